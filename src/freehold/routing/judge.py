"""Judging a reply: deterministic checks, each with a name that policy's `escalate.on` may list.

Promised: no call is made and no text of prompt or reply stands in a verdict; a check that cannot tell says *not poor*.
Of several choices a reply is poor only when all are: who asks for many picks one. Not done: quality beyond form.
"""

from collections.abc import Callable, Sequence

import msgspec

from freehold.chat import Choice, Opaque, OutputFormat, ReasoningPart, Reply, TextPart, Tool, ToolCallPart
from freehold.record import Verdict
from freehold.routing import refusals, repeats
from freehold.routing.schema import read_json, violation

ENOUGH_OF_LIMIT = 0.95
"""An answer that used this share of the client's own `max_tokens` ended where the client wanted it to."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a reply is judged by: itself, and what the request asked of it."""

    reply: Reply
    tools: tuple[Tool | Opaque, ...] = ()
    output: OutputFormat | None = None
    max_tokens: int | None = None
    """The client's own limit, before any clamping."""
    calls_left: int = 0
    """Calls that nothing could be made of; those printed as text are part of the reply's words."""
    cut: str = ""
    """What the tokens say of a prompt that was not read whole (`routing.cut`); "": nothing."""


def judge(evidence: Evidence, checks: Sequence[str]) -> tuple[Verdict, ...]:
    """One verdict per named check, in that order. Raises KeyError for a name that is not in `CHECKS`."""
    return tuple(_verdict(name, evidence) for name in checks)


def _verdict(name: str, evidence: Evidence) -> Verdict:
    check = CHECKS[name]
    if not evidence.reply.choices:
        return Verdict(name, name == "empty", "no choice at all" if name == "empty" else "")
    found = ""
    for choice in evidence.reply.choices:
        found = check(choice, evidence)
        if not found:
            return Verdict(name, False)
    return Verdict(name, True, found)


def _text(choice: Choice) -> str:
    return "".join(part.text for part in choice.parts if isinstance(part, TextPart))


def _calls(choice: Choice) -> list[ToolCallPart]:
    return [part for part in choice.parts if isinstance(part, ToolCallPart)]


def _empty(choice: Choice, evidence: Evidence) -> str:
    """No text, no call, no refusal: thinking alone is no answer. A paused turn goes on later."""
    del evidence
    if _text(choice).strip() or _calls(choice) or choice.refusal is not None or choice.finish == "pause":
        return ""
    return "only thinking" if any(isinstance(part, ReasoningPart) for part in choice.parts) else "no text and no tool call"


def _refusal(choice: Choice, evidence: Evidence) -> str:
    """The model declined: it says so by field or finish, or in a short text that opens with it and holds no code."""
    del evidence
    if choice.refusal is not None:
        return "said in the refusal field"
    if choice.finish in {"refusal", "content_filter"}:
        return f"finished with {choice.finish}"
    if _calls(choice):
        return ""
    language = refusals.language_of(_text(choice))
    return "" if language is None else f"opens with a refusal ({language})"


def _truncated(choice: Choice, evidence: Evidence) -> str:
    """It ended by length or without an end, and not because of the client's own limit.

    The limit was the client's when the answer used nearly all of `max_tokens`. Without a usage report the length in
    characters stands for the tokens, which is never too few.
    """
    if choice.finish is None:
        return "the stream was cut"
    if choice.finish != "length":
        return ""
    limit = evidence.max_tokens
    if limit is None:
        return "ended by length, though the client set no limit"
    usage = evidence.reply.usage
    if usage is not None and len(evidence.reply.choices) == 1:
        tokens = usage.output_tokens
    else:
        tokens = sum(len(part.text) for part in choice.parts if not isinstance(part, ToolCallPart))
        tokens += sum(len(call.arguments) for call in _calls(choice))
    return "ended by length before the client's limit" if tokens < limit * ENOUGH_OF_LIMIT else ""


def _invalid_json(choice: Choice, evidence: Evidence) -> str:
    """Structured output was asked for and the text is not it. Calls and refusals are judged elsewhere."""
    output = evidence.output
    text = _text(choice)
    if output is None or choice.refusal is not None or (_calls(choice) and not text.strip()):
        return ""
    is_json, value = read_json(text)
    if not is_json:
        return "not JSON"
    if output.kind == "json_object":
        return "" if isinstance(value, dict) else "not a JSON object"
    keyword = None if output.schema is None else violation(output.schema, value)
    return "" if keyword is None else f"violates `{keyword}` of the schema"


def _invalid_tool_arguments(choice: Choice, evidence: Evidence) -> str:
    """A call of a tool that was not offered, with arguments its schema does not allow, or one that only its words are left of."""
    known = {tool.name: tool for tool in evidence.tools if isinstance(tool, Tool)}
    has_opaque = any(isinstance(tool, Opaque) for tool in evidence.tools)
    for number, call in enumerate(_calls(choice), 1):
        tool = known.get(call.name)
        if tool is None:
            if has_opaque:  # a vendor's own tools have names that the middle does not know
                continue
            return f"call {number}: no such tool"
        is_json, value = read_json(call.arguments or "{}")
        if not is_json:
            return f"call {number}: arguments are not JSON"
        if not isinstance(value, dict):
            return f"call {number}: arguments are not an object"
        keyword = None if tool.parameters is None else violation(tool.parameters, value)
        if keyword is not None:
            return f"call {number}: arguments violate `{keyword}`"
    return "a call printed as text is none of the tools offered, or cannot be read" if evidence.calls_left else ""


def _repeats(choice: Choice, evidence: Evidence) -> str:
    """The model went in circles: in its text, in its thinking, or by the same call over and over."""
    del evidence
    calls = [(call.name, call.arguments) for call in _calls(choice)]
    if any(calls.count(call) >= repeats.SAME_CALLS for call in set(calls)):
        return "the same tool call over and over"
    for part in choice.parts:
        if isinstance(part, TextPart | ReasoningPart):
            found = repeats.loop_in(part.text)
            if found is not None:
                return found
    return ""


def _prompt_cut(choice: Choice, evidence: Evidence) -> str:
    """The runtime dropped some of the prompt without a word."""
    del choice
    return evidence.cut


CHECKS: dict[str, Callable[[Choice, Evidence], str]] = {
    "empty": _empty,
    "refusal": _refusal,
    "truncated": _truncated,
    "invalid_json": _invalid_json,
    "invalid_tool_arguments": _invalid_tool_arguments,
    "repeats": _repeats,
    "prompt_cut": _prompt_cut,
}
"""Every check by name; each returns what it found, "" when nothing is wrong."""
