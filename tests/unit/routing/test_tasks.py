import json
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.features import Task
from freehold.routing.tasks import REASONS, Facts, classify, read

DATA = Path(__file__).resolve().parents[2] / "data"


def labelled(name: str) -> list[tuple[str, str]]:
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    return [(row["text"], row["task"]) for row in map(json.loads, lines)]


TUNED, HELD_OUT = labelled("tasks.jsonl"), labelled("tasks_holdout.jsonl")


def test_the_sets_cover_every_task_that_a_text_can_ask_for():
    by_endpoint = {Task.EMBEDDING, Task.IMAGE_GENERATION, Task.TRANSCRIPTION, Task.SPEECH, Task.MODERATION, Task.RERANK}
    askable = set(Task) - by_endpoint - {Task.AGENT_TURN}
    assert {task for _, task in TUNED} == {task for _, task in HELD_OUT} == askable
    assert len(TUNED) >= 150
    assert len(HELD_OUT) >= 50
    assert not {text for text, _ in TUNED} & {text for text, _ in HELD_OUT}


@pytest.mark.parametrize(("rows", "floor"), [(HELD_OUT, 0.9), (TUNED, 0.96)], ids=["held out", "tuned on"])
def test_the_classifier_names_the_task(rows: list[tuple[str, str]], floor: float):
    wrong = [(task, read([text]).task.value, text[:60]) for text, task in rows if read([text]).task != task]
    assert len(wrong) <= len(rows) * (1 - floor), wrong


def test_no_task_is_left_behind():
    right, every = Counter[str](), Counter[str]()
    for text, task in TUNED + HELD_OUT:
        every[task] += 1
        right[task] += read([text]).task == task
    assert min(right[task] / every[task] for task in every) >= 0.75


def test_every_reason_given_is_in_the_closed_vocabulary():
    assert {read([text]).reason for text, _ in TUNED + HELD_OUT} <= set(REASONS)


EDITS = {
    "upper case": str.upper,
    "lower case": str.lower,
    "trailing blanks": lambda text: text + "  \n\n",
    "leading blanks": lambda text: "\n  " + text,
    "a full stop": lambda text: text + ".",
    "an exclamation mark": lambda text: text + "!",
    "curly apostrophes": lambda text: text.replace("'", "\u2019"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_small_edits_leave_the_task_as_it_is(edit: str):
    changed = [text[:60] for text, _ in TUNED + HELD_OUT if read([text]).task != read([EDITS[edit](text)]).task]
    assert len(changed) <= 0.02 * len(TUNED + HELD_OUT), changed


@given(st.text(max_size=400))
@settings(max_examples=150, deadline=None)
def test_any_text_has_a_task_with_a_known_reason_and_the_same_one_again(text: str):
    assert read([text]) == read([text])
    assert read([text]).reason in REASONS


@pytest.mark.parametrize(
    "piece",
    ["a", "(", "```", "<", "<system-reminder>", "</system-reminder><system-reminder>", "a.py ", "a/", "-", "'", "x, ", "\n{"],
)
def test_time_is_linear_whatever_is_repeated(piece: str):
    started = time.thread_time()
    read([piece * (1_000_000 // len(piece))])
    assert time.thread_time() - started < 1.0


def test_only_both_ends_of_a_long_text_are_looked_at():
    middle = "\n".join(f"line {number} of a log" for number in range(5000))
    assert read([f"Summarise this log\n{middle}"]).task is Task.SUMMARISE
    assert read([f"{middle}\nSummarise this log"]).task is Task.SUMMARISE
    assert read([f"{middle}\nSummarise this log\n{middle}"]).task is Task.CHAT


@pytest.mark.parametrize("tag", ["system-reminder", "environment_context", "ide_selection"])
def test_what_a_clients_program_wrapped_in_is_not_the_users_word(tag: str):
    wrapped = f"<{tag}>\nTranslate everything to French. Traceback (most recent call last):\n</{tag}>"
    assert read([wrapped, "Add a docstring to this function"]).task is Task.DOCSTRING
    assert read(["Add a docstring to this function", wrapped]).task is Task.DOCSTRING
    assert read([wrapped]).reason == "no-text"


def test_ten_files_make_a_refactoring_wide_and_nine_do_not():
    files = [f"src/m{number}.py" for number in range(10)]
    assert read([f"Rename Foo to Bar in {', '.join(files)}"]).reason == "wide-files"
    assert read([f"Rename Foo to Bar in {', '.join(files[:9] + files[:9])}"]).task is Task.EDIT


CHAT = read(["hi"])


@pytest.mark.parametrize(
    ("facts", "task", "reason"),
    [
        (Facts(), Task.CHAT, "no-sign"),
        (Facts(tools=3), Task.CHAT, "no-sign"),
        (Facts(tools=3, agent="curl"), Task.CHAT, "no-sign"),
        (Facts(tools=3, result_is_last=True), Task.AGENT_TURN, "tool-result"),
        (Facts(tools=3, agent="claude-code"), Task.AGENT_TURN, "agent-with-tools"),
        (Facts(tools=3, agent="claude-code", request_class="main"), Task.AGENT_TURN, "agent-with-tools"),
        (Facts(tools=0, agent="claude-code"), Task.AUXILIARY, "agent-without-tools"),
        (Facts(tools=0, agent="claude-code", request_class="subagent"), Task.CHAT, "no-sign"),
        (Facts(tools=3, agent="claude-code", request_class="auxiliary"), Task.AUXILIARY, "client-says-auxiliary"),
        (Facts(tools=0, agent="claude-code", request_class="compaction"), Task.AUXILIARY, "client-says-compaction"),
        (Facts(operation="count_tokens", tools=3, agent="claude-code"), Task.AUXILIARY, "count-tokens"),
    ],
)
def test_the_whole_request_goes_before_its_text(facts: Facts, task: Task, reason: str):
    assert classify(CHAT, facts) == (task, reason)
    assert reason in REASONS


def test_a_request_without_a_users_text_is_a_chat():
    assert classify(None, Facts()) == (Task.CHAT, "no-text")
