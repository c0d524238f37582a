"""How an agent fares is read from its conversation, the same in every wire format, and nothing else is taken for trouble."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from freehold.chat import WireFormat
from freehold.features import Caller, Progress
from freehold.policy.labels import LabelSettings
from freehold.routing.detectors.scanner import Detectors
from freehold.routing.facts_cache import FactsCache
from freehold.routing.features import gather
from freehold.routing.outcomes import Act
from freehold.routing.progress import MOST_ACTS, weigh
from freehold.wire.formats import CODECS

DETECTORS = Detectors(LabelSettings())
FORMATS: tuple[WireFormat, ...] = ("anthropic_messages", "openai_chat", "openai_responses", "ollama")

Step = tuple[str, dict[str, Any], str] | tuple[str, dict[str, Any], str, bool]
"""A tool, its arguments, what it returned, and whether the client marked that as an error."""

EDIT: dict[str, Any] = {"file_path": "/src/main.py", "old_string": "a", "new_string": "b"}
MISSED = "<tool_use_error>String to replace not found in file.\nString: a</tool_use_error>"
DONE = "The file /src/main.py has been updated."
TESTS = {"command": "pytest -q", "description": "run the tests"}
RED = "Exit code 1\nF\nE  assert 1 == 2\nFAILED tests/test_main.py::test_sum\n1 failed in 0.{}s"
GREEN = "1 passed in 0.03s"


def as_messages(steps: list[Step]) -> dict[str, Any]:
    messages: list[Any] = [{"role": "user", "content": "fix it"}]
    for at, (name, given, result, *marked) in enumerate(steps):
        call = {"type": "tool_use", "id": f"c{at}", "name": name, "input": given}
        back = {
            "type": "tool_result",
            "tool_use_id": f"c{at}",
            "content": [{"type": "text", "text": result}],
            "is_error": any(marked),
        }
        messages += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [back]}]
    return {"max_tokens": 9, "messages": messages}


def as_chat(steps: list[Step]) -> dict[str, Any]:
    messages: list[Any] = [{"role": "user", "content": "fix it"}]
    for at, (name, given, result, *_) in enumerate(steps):
        call = {"id": f"c{at}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"c{at}", "content": result})
    return {"messages": messages}


def as_responses(steps: list[Step]) -> dict[str, Any]:
    items: list[Any] = [{"type": "message", "role": "user", "content": "fix it"}]
    for at, (name, given, result, *_) in enumerate(steps):
        items.append({"type": "function_call", "call_id": f"c{at}", "name": name, "arguments": json.dumps(given)})
        items.append({"type": "function_call_output", "call_id": f"c{at}", "output": result})
    return {"input": items}


def as_ollama(steps: list[Step]) -> dict[str, Any]:
    messages: list[Any] = [{"role": "user", "content": "fix it"}]
    for name, given, result, *_ in steps:
        messages.append({"role": "assistant", "content": "", "tool_calls": [{"function": {"name": name, "arguments": given}}]})
        messages.append({"role": "tool", "content": result})
    return {"messages": messages}


WRITERS: dict[str, Callable[[list[Step]], dict[str, Any]]] = {
    "anthropic_messages": as_messages,
    "openai_chat": as_chat,
    "openai_responses": as_responses,
    "ollama": as_ollama,
}


def read(form: WireFormat, body: dict[str, Any], cache: FactsCache | None = None) -> Progress | None:
    codec = CODECS[form]
    envelope = codec.peek(json.dumps({"model": "m"} | body).encode())
    cache = FactsCache(bytes(32)) if cache is None else cache
    return gather(envelope, codec.describe, Caller(), {}, cache, len, DETECTORS, exact=False).progress


def fares(form: WireFormat, steps: list[Step]) -> tuple[int, int, int]:
    """Failed results, repeated failures, edits without progress."""
    seen = read(form, WRITERS[form](steps))
    assert seen is not None
    assert seen.turns == seen.results == len(steps)
    return seen.failed_results, seen.repeated_failures, seen.edits_without_progress


def bash(command: str, result: str) -> Step:
    return ("Bash", {"command": command, "description": f"once more: {len(result)}"}, result)


def edited(file: str, change: str) -> Step:
    return ("Edit", {"file_path": file, "new_string": change}, f"The file {file} has been updated.")


CIRCLE: list[Step] = [
    step for turn in range(3) for step in (edited("/src/main.py", str(turn)), bash("pytest -q", RED.format(turn)))
]

CASES: list[tuple[str, list[Step], tuple[int, int, int]]] = [
    ("all goes well", [("Read", {"path": "a"}, "text"), bash("ls", "a b")], (0, 0, 0)),
    ("the same edit fails three times", [("Edit", EDIT, MISSED, True)] * 3, (3, 3, 0)),
    ("edits of one file fail, each another", [("Edit", EDIT | {"old_string": word}, f"{MISSED}{word}", True) for word in "abc"], (3, 3, 0)),
    ("edits of three files fail once", [("Edit", EDIT | {"file_path": word}, MISSED, True) for word in "abc"], (3, 1, 0)),
    ("the edit goes through at last", [("Edit", EDIT, MISSED, True)] * 3 + [("Edit", EDIT | {"new_string": "c"}, DONE)], (3, 0, 0)),
    ("a test fails and passes", [bash("pytest", RED), bash("pytest", GREEN)], (1, 0, 0)),
    ("the same test fails, edits between", CIRCLE, (3, 3, 3)),
    ("the circle is left", [*CIRCLE, bash("pytest -q", GREEN)], (3, 0, 0)),
    (
        "each edit leads to another failure",
        [step for word in ("one", "two", "three") for step in (edited("/a", word), bash("pytest", f"Exit code 1\nE {word}"))],
        (3, 1, 1),
    ),
    ("another command in other words", [bash("make", "make: *** [all] Error 2"), bash("make -k", "make: *** [all] Error 2")], (2, 2, 0)),
    ("three files are not there", [("Read", {"path": word}, "Error: File does not exist.", True) for word in "abc"], (3, 1, 0)),
    ("a file that speaks of errors", [("Read", {"path": "log"}, "x\nTraceback (most recent call last):\nexit code 1\n2 failed")], (0, 0, 0)),
    ("an edit whose code speaks of what is not found", [("Edit", EDIT, "The file has been updated.\n  raise Error('not found')")], (0, 0, 0)),
    ("codex's exit code", [("exec_command", {"cmd": "make"}, "Chunk ID: 1\nWall time: 0.1 seconds\nProcess exited with code 2\nOutput:\nno rule")], (1, 1, 0)),
    ("codex's exit code of 0", [("exec_command", {"cmd": "cat a"}, "Process exited with code 0\nOutput:\nTraceback (most recent call last)")], (0, 0, 0)),
    ("codex's older exit code", [("shell", {"command": ["make"]}, '{"output":"no rule","metadata":{"exit_code":2,"duration_seconds":0.1}}')], (1, 1, 0)),
    (
        "codex's patch",
        [("exec_command", {"cmd": f"apply_patch <<'EOF'\n*** Begin Patch\n*** Update File: a.py\n{word}"}, "apply_patch verification failed: Failed to find expected lines in a.py") for word in "ab"],
        (2, 2, 0),
    ),
    ("opencode's edit", [("edit", {"filePath": "a", "oldString": word}, "Could not find oldString in the file. It must match exactly") for word in "ab"], (2, 2, 0)),
    ("qwen's edit", [("edit", {"file_path": "a", "old_string": "x"}, "Failed to edit, 0 occurrences found for old_string in a. No edits made.")], (1, 1, 0)),
    ("qwen's command", [("run_shell_command", {"command": "make"}, "Command: make\nOutput: (empty)\nError: (none)\nExit Code: 2\nSignal: (none)")], (1, 1, 0)),
    ("qwen's command that worked", [("run_shell_command", {"command": "make"}, "Command: make\nOutput: ok\nError: (none)\nExit Code: 0")], (0, 0, 0)),
    ("a tool of an MCP server", [("mcp__files__edit_file", {"path": "a"}, "Error: no match"), ("mcp__files__read_file", {"path": "a"}, "exit code 1")], (1, 1, 0)),
    ("a shell without exit codes", [bash("pyhton a", "bash: pyhton: command not found")] * 2, (2, 2, 0)),
    ("tests of a shell without exit codes", [bash("npm test", "Tests:       1 failed, 3 total"), bash("npm test", "Tests: 0 failed, 4 total")], (1, 0, 0)),
]  # fmt: skip


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("name", "steps", "expected"), CASES, ids=[case[0] for case in CASES])
def test_progress_is_read_from_the_conversation(
    name: str, steps: list[Step], expected: tuple[int, int, int], form: WireFormat
) -> None:
    del name
    assert fares(form, steps) == expected


def test_a_call_that_the_user_declined_is_neither_good_nor_bad() -> None:
    declined: Step = ("Bash", {"command": "rm"}, "The user doesn't want to proceed with this tool use.", True)
    seen = read("anthropic_messages", as_messages([declined] * 3))
    assert seen is not None
    assert (seen.failed_results, seen.repeated_failures) == (0, 0)


def test_the_share_is_of_the_newest_ten_and_says_nothing_before_there_are_four() -> None:
    bad, good = bash("make", "make: *** boom"), bash("ls", "a")
    shares = []
    for steps in ([bad] * 3, [bad, bad, bad, good], [bad] * 20 + [good] * 9, [bad] * 20 + [good] * 10):
        seen = read("openai_chat", as_chat(steps))
        assert seen is not None
        shares.append(seen.failed_share)
    assert shares == [0.0, 0.75, 0.1, 0.0]


def test_a_conversation_without_tools_has_no_progress() -> None:
    assert read("openai_chat", {"messages": [{"role": "user", "content": "Error: exit code 1"}]}) is None
    assert read("openai_chat", {"messages": [{"role": "user", "content": "hi"}], "tools": []}) is None


def test_aider_is_understood_although_it_calls_no_tools() -> None:
    block = "main.py\n```python\n<<<<<<< SEARCH\na\n=======\n{}\n>>>>>>> REPLACE\n```"
    missed = "# 1 SEARCH/REPLACE block failed to match!\n\n## SearchReplaceNoExactMatch: This SEARCH block failed to exactly match lines in main.py\n{}"
    red = "I ran this command:\n\npytest\n\nAnd got this output:\n\nE assert 1 == 2\n1 failed in 0.1s\n"

    def conversation(*turns: str) -> dict[str, Any]:
        return {"messages": [{"role": "assistant" if at % 2 else "user", "content": text} for at, text in enumerate(turns)]}

    stuck = read("openai_chat", conversation("fix", block.format(1), missed.format(1), block.format(2), missed.format(2)))
    assert stuck is not None
    assert (stuck.failed_results, stuck.repeated_failures, stuck.edits_without_progress) == (2, 2, 0)
    vain = read("openai_chat", conversation("fix", block.format(1), red, block.format(2), red))
    assert vain is not None
    assert (vain.repeated_failures, vain.edits_without_progress) == (2, 2)


@pytest.mark.parametrize("form", FORMATS)
def test_what_was_seen_before_and_what_is_read_anew_after_a_restart_say_the_same(form: WireFormat) -> None:
    kept = FactsCache(bytes(32))
    for turns in range(1, len(CIRCLE) + 1):
        body = WRITERS[form](CIRCLE[:turns])
        assert read(form, body, kept) == read(form, body, FactsCache(b"\1" * 32))


def test_old_results_are_let_go() -> None:
    steps = [("Edit", EDIT, MISSED, True)] * 3 + [bash(f"ls {at}", "a") for at in range(MOST_ACTS // 2)]
    assert fares_of(steps) == (40, 0, 0)
    assert fares_of(steps[:-3]) == (40, 3, 3)


def fares_of(steps: list[Step]) -> tuple[int, int, int]:
    seen = read("anthropic_messages", as_messages(steps))
    assert seen is not None
    return seen.results, seen.failed_results, seen.repeated_failures


def test_nothing_of_the_texts_is_kept() -> None:
    cache = FactsCache(bytes(32))
    read("anthropic_messages", as_messages([("Edit", EDIT, MISSED, True)]), cache)
    kept = [act for facts in cache._young.values() for act in facts.acts]
    assert len(kept) == 2
    assert all(isinstance(value, int) for act in kept for value in msgspec.structs.astuple(act))


def test_the_order_of_parallel_results_does_not_matter() -> None:
    calls = [Act(at, 0, action=at) for at in (10, 11)]
    results = [Act(10, 2 | 4 | 8, error=1), Act(11, 4)]
    assert weigh([*calls, *results], 1) == weigh([*calls, *reversed(results)], 1)
