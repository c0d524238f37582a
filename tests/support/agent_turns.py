"""Two turns of an agent on the embedded engine, a side job between them: what of the second turn's prompt is read again."""

import asyncio
import time
from typing import Any, NamedTuple

from support.gateway import Served

RULE_TOKENS = 20
COLD: Any = {"temperature": 0}
AGENT = {"user-agent": "claude-cli/2.1.329 (external, cli)"}


class Turns(NamedTuple):
    """Tokens and seconds of both."""

    cold_tokens: int
    warm_tokens: int
    read_again: int
    """Of the warm ones; the rest was in the engine's memory."""
    cold_s: float
    warm_s: float


def engine_toml(weights: str, context: int, *, threads: int = 0, longest_s: int = 600) -> str:
    """As the built-in engine, with time to read on a machine that does other things. `threads`: 0 for as many as it takes itself."""
    more = f", threads = {threads}" if threads else ""
    return f"""
[defaults]
embedded = false
[[runtimes]]
name = "box"
kind = "local"
first_content_timeout_s = {longest_s}
total_timeout_s = {longest_s}
launch = {{ engine = "llama", weights = "{weights}", context = {context}, slots = 2{more} }}
quirks = ["system_first"]
[[deployments]]
id = "box/model"
model = "model"
runtime = "box"
served_as = "model"
abilities = {{ context = {context} }}
quirks = ["always_stream"]
[aliases]
"claude-*" = "box/model"
"""


def _system(cch: str, rules: int) -> list[dict[str, Any]]:
    """As Claude Code sends it: billing facts that change with every request, then the same words every time."""
    text = "\n".join(f"Rule {number}: keep file {number} tidy and say what you did to it." for number in range(rules))
    return [
        {"type": "text", "text": f"x-anthropic-billing-header: cc_version=2.1.329.c1d; cc_entrypoint=cli; cch={cch};"},
        {"type": "text", "text": "You are an agent for files.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}},
    ]


async def _ask(served: Served, system: Any, messages: Any, longest_s: int, max_tokens: int = 8) -> tuple[Any, float]:
    before_s = time.monotonic()
    message = await served.anthropic(timeout=longest_s).messages.create(
        model="claude-x",
        max_tokens=max_tokens,
        system=system,
        messages=messages,
        extra_body=COLD,
        extra_headers=AGENT | {"x-claude-code-session-id": "s1"},
    )
    return message, time.monotonic() - before_s


async def take_two_turns(served: Served, rules: int, *, longest_s: int = 550) -> Turns:
    """Ask, have a title made as agents do, ask on; fails where more is read again than is new, or the client is told otherwise."""
    await asyncio.wait_for(served.app.engines.ready(), 120)
    first = [{"role": "user", "content": "Tidy file 7."}]
    one, cold_s = await _ask(served, _system("fa690", rules), first, longest_s)
    cold = served.last().attempts[0]
    assert cold.usage.input_tokens > RULE_TOKENS * rules
    assert cold.usage.cached_tokens < 100
    assert "steady_prefix" in cold.edits

    title = [{"role": "user", "content": "Generate a title for this conversation: tidy files"}]
    await _ask(served, [], title, longest_s, max_tokens=4)
    assert served.last().attempts[0].usage.cached_tokens < 30  # it took the other slot
    said = {"role": "assistant", "content": one.content}
    second = [*first, said, {"role": "user", "content": "File 7 is tidy now. Tidy file 8."}]
    two, warm_s = await _ask(served, _system("0aaa9", rules), second, longest_s)
    warm = served.last().attempts[0]
    read_again = warm.usage.input_tokens - warm.usage.cached_tokens
    assert warm.usage.input_tokens > cold.usage.input_tokens
    assert read_again < warm.usage.input_tokens - cold.usage.input_tokens + 50
    assert two.usage.cache_read_input_tokens == warm.usage.cached_tokens  # the client is told, too
    assert two.usage.input_tokens == read_again
    assert warm_s < cold_s / 2
    return Turns(cold.usage.input_tokens, warm.usage.input_tokens, read_again, cold_s, warm_s)
