"""The second turn of an agent's prompt re-reads only what is new: measured on the embedded model."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from support.gateway import Serve, Served

RULE_TOKENS = 20
COLD: Any = {"temperature": 0}
AGENT = {"user-agent": "claude-cli/2.1.329 (external, cli)"}


ENGINE = """
[defaults]
embedded = false
[[runtimes]]
name = "box"
kind = "local"
first_content_timeout_s = 600
launch = { engine = "llama", weights = "smollm2-135m-instruct", context = 8192, slots = 2 }
quirks = ["system_first"]
[[deployments]]
id = "box/smollm2"
model = "smollm2"
runtime = "box"
served_as = "smollm2-135m-instruct"
abilities = { context = 8192 }
quirks = ["always_stream"]
[aliases]
"claude-*" = "box/smollm2"
"""
"""As the built-in one, with time to read on a machine that does other things."""


@pytest.fixture
async def served(serve: Serve, home_with_weights: Path) -> Served:
    served: Served = await serve(ENGINE, home=home_with_weights)
    await asyncio.wait_for(served.app.engines.ready(), 60)
    return served


def system(cch: str, rules: int) -> list[dict[str, Any]]:
    """As Claude Code sends it: billing facts that change with every request, then the same words every time."""
    text = "\n".join(f"Rule {number}: keep file {number} tidy and say what you did to it." for number in range(rules))
    return [
        {"type": "text", "text": f"x-anthropic-billing-header: cc_version=2.1.329.c1d; cc_entrypoint=cli; cch={cch};"},
        {"type": "text", "text": "You are an agent for files.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}},
    ]


async def ask(served: Served, cch: str, rules: int, messages: list[dict[str, Any]], session: str) -> tuple[Any, float]:
    before_s = time.monotonic()
    message = await served.anthropic(timeout=550).messages.create(
        model="claude-x",
        max_tokens=8,
        system=system(cch, rules),  # type: ignore[arg-type]
        messages=messages,  # type: ignore[arg-type]
        extra_body=COLD,
        extra_headers=AGENT | {"x-claude-code-session-id": session},
    )
    return message, time.monotonic() - before_s


async def aside(served: Served, session: str) -> None:
    """A title, asked for beside the main loop, as agents do."""
    await served.anthropic(timeout=550).messages.create(
        model="claude-x",
        max_tokens=4,
        messages=[{"role": "user", "content": "Generate a title for this conversation: tidy files"}],
        extra_body=COLD,
        extra_headers=AGENT | {"x-claude-code-session-id": session},
    )


@pytest.mark.engine
@pytest.mark.parametrize("rules", [60, pytest.param(310, marks=pytest.mark.proof)])
async def test_the_second_turn_of_an_agent_re_reads_only_what_is_new(served: Served, rules: int) -> None:
    """The long one has over 6,000 tokens."""
    first = [{"role": "user", "content": "Tidy file 7."}]
    one, cold_s = await ask(served, "fa690", rules, first, "s1")
    cold = served.last().attempts[0]
    assert cold.usage.input_tokens > RULE_TOKENS * rules
    assert cold.usage.cached_tokens < 100
    assert "steady_prefix" in cold.edits

    await aside(served, "s1")
    assert served.last().attempts[0].usage.cached_tokens == 0  # it took the other slot
    said = {"role": "assistant", "content": one.content}
    second = [*first, said, {"role": "user", "content": "File 7 is tidy now. Tidy file 8."}]
    two, warm_s = await ask(served, "0aaa9", rules, second, "s1")
    warm = served.last().attempts[0]
    read_again = warm.usage.input_tokens - warm.usage.cached_tokens
    assert warm.usage.input_tokens > cold.usage.input_tokens
    assert read_again < warm.usage.input_tokens - cold.usage.input_tokens + 50
    assert two.usage.cache_read_input_tokens == warm.usage.cached_tokens  # the client is told, too
    assert two.usage.input_tokens == read_again
    assert warm_s < cold_s / 2
