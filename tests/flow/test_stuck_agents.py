"""An agent that does not get on is moved to a stronger runtime by a rule, within its ceiling, and is not moved back and forth."""

import asyncio
import json
from pathlib import Path
from typing import Any

import anthropic
import msgspec
import openai

from freehold.gateways.fake import FakeRuntime
from freehold.routing.plan import make_plan
from freehold.routing.situation import Situation
from support.gateway import NO_ENGINE, Serve, base_url, deployment_toml, runtime_toml
from support.place import Place

CLAUDE = {"user-agent": "claude-cli/2.1.329 (external, cli)", "x-claude-code-session-id": "s1"}
TOOLS: Any = [{"name": "Edit", "description": "edits a file", "input_schema": {"type": "object"}}]
RULES = """
[aliases]
auto = ["box/small", "cloud/big"]
[[rules]]
name = "stuck agents go up"
when = { repeated_failures_at_least = 3 }
try = ["vendor", "local"]
sticky = false
[[rules]]
name = "work stays here"
try = ["local", "vendor"]
"""
MISSED = "<tool_use_error>String to replace not found in file.\nString: a</tool_use_error>"
EDIT = {"file_path": "/src/main.py", "old_string": "a", "new_string": "b"}


def config(local: FakeRuntime, vendor: FakeRuntime) -> str:
    return (
        NO_ENGINE
        + runtime_toml("box", "local", base_url(local), formats='["openai_chat"]')
        + runtime_toml("cloud", "vendor", base_url(vendor), formats='["anthropic_messages"]')
        + deployment_toml("box", "small", "small-model")
        + deployment_toml("cloud", "big", "big-model", price="{ input_usd_per_mtok = 3.0, output_usd_per_mtok = 15.0 }")
        + RULES
    )


def tried(failed: int, *, then: bool = False) -> Any:
    """A conversation in which the same edit failed so often, and went through in the end."""
    messages: list[Any] = [{"role": "user", "content": "fix the bug in main.py"}]
    for at in range(failed + then):
        missed = at < failed
        call = {"type": "tool_use", "id": f"c{at}", "name": "Edit", "input": EDIT | ({} if missed else {"old_string": "x"})}
        back = {"type": "tool_result", "tool_use_id": f"c{at}", "content": MISSED if missed else "updated", "is_error": missed}
        messages += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [back]}]
    return messages


async def turn(client: anthropic.AsyncAnthropic, messages: Any, **headers: str) -> None:
    await client.messages.create(model="auto", max_tokens=64, tools=TOOLS, messages=messages, extra_headers=CLAUDE | headers)


async def test_the_third_failure_of_one_edit_moves_a_session_up_and_it_stays_there(
    serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime
) -> None:
    served = await serve(config(fake, other_fake))
    client = served.anthropic()
    places = []
    for messages in (tried(0), tried(1), tried(2), tried(3), tried(4), tried(4, then=True)):
        await turn(client, messages)
        places.append(served.last().request.deployment)
    assert places == ["box/small"] * 3 + ["cloud/big"] * 3
    assert served.last().request.reason == "session stays where it is"  # the trouble is over, the session does not go back
    moved = served.last(3)
    assert moved.decision.rule == "stuck agents go up"
    assert "the session leaves box/small: rule 'stuck agents go up' says sticky = false" in moved.request.reason
    progress = moved.decision.features.progress
    assert (progress.turns, progress.failed_results, progress.repeated_failures) == (3, 3, 3)


async def test_a_ceiling_keeps_a_stuck_agent_here(serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime) -> None:
    served = await serve(config(fake, other_fake))
    client = served.anthropic()
    for failed in range(6):
        await turn(client, tried(failed), **{"x-freehold-ceiling": "local"})
        assert served.last().request.deployment == "box/small"
    assert served.last().decision.rule == "stuck agents go up"
    assert not other_fake.journal


async def test_the_decision_of_a_stuck_agent_can_be_computed_again_from_what_was_written_down(
    serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime
) -> None:
    served = await serve(config(fake, other_fake))
    await turn(served.anthropic(), tried(3))
    decision = served.last().decision
    again = make_plan(decision.features, served.app.config.policy, msgspec.json.decode(decision.situation, type=Situation))
    assert again.rule == decision.rule == "stuck agents go up"
    assert [step.placed.id for step in again.steps] == [step.deployment for step in decision.steps] == ["cloud/big", "box/small"]


async def test_chat_completions_and_responses_show_the_same(serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime) -> None:
    served = await serve(config(fake, other_fake))
    client: openai.AsyncOpenAI = served.openai()
    messages: list[Any] = [{"role": "user", "content": "fix it"}]
    items: list[Any] = [{"role": "user", "content": "fix it"}]
    for at in range(3):
        given = '{"cmd": "make"}'
        failed = "Process exited with code 2\nOutput:\nno rule to make target"
        call = {"id": f"c{at}", "type": "function", "function": {"name": "exec_command", "arguments": given}}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"c{at}", "content": failed})
        items.append({"type": "function_call", "call_id": f"c{at}", "name": "exec_command", "arguments": given})
        items.append({"type": "function_call_output", "call_id": f"c{at}", "output": failed})
    await client.chat.completions.create(model="auto", messages=messages)
    chat = served.last()
    await client.responses.create(model="auto", input=items)
    responses = served.last()
    assert chat.request.deployment == responses.request.deployment == "cloud/big"
    assert chat.decision.features.progress == responses.decision.features.progress


async def test_explain_says_how_the_agent_fares(tmp_path: Path, fake: FakeRuntime, other_fake: FakeRuntime) -> None:
    place = Place(tmp_path)
    (place.folder / "body.json").write_text(json.dumps({"model": "auto", "max_tokens": 9, "tools": TOOLS, "messages": tried(3)}))
    place.config.write_text(config(fake, other_fake))
    ask = ("explain", "--request", "body.json", "--format", "anthropic_messages")
    explained = await asyncio.to_thread(place.json, *ask)  # the runtimes it may look at are served by this loop
    assert explained["features"]["progress"]["repeated_failures"] == 3
    shown = " ".join((await asyncio.to_thread(place.run, *ask)).split())
    assert "3 results lately in 3 turns, 3 failed" in shown
    assert "the same failure 3 times" in shown
