"""What a fake model says: the events of an answer, made from the request and its act, the same each time.

Tokens are counted as 1.3 for each word, rounded up; a prompt has 4 more for each message. Nothing is ever cached. Pure.
"""

import json
import re
from collections.abc import Iterator

from freehold.chat import (
    ChatRequest,
    Event,
    Finished,
    FinishReason,
    Message,
    ReasoningDelta,
    Started,
    TextDelta,
    TextPart,
    Tool,
    ToolCallDelta,
    ToolCallPart,
    ToolCallStarted,
    ToolResultPart,
    Usage,
    UsageReported,
)
from freehold.gateways.fake.sample import sample
from freehold.gateways.fake.script import NAMED, Act, Called, read_directives, strip_directives

CREATED_S = 1_767_225_600
"""The fake has no clock: every answer was made as 2026 began."""
REFUSAL = "I'm sorry, but I can't help with that."
LINE = "The same line is said again.\n"
LINES = 40
_WORD = re.compile(r"\S+")
_PIECE = re.compile(r"\s*\S+\s*|\s+")
_ASKS = re.compile(r"\b(tool|tools|call|function|use)\b", re.IGNORECASE)


def count_tokens(text: str) -> int:
    """1.3 tokens for each word, rounded up."""
    return -(-13 * len(_WORD.findall(text)) // 10)


def count_prompt(request: ChatRequest) -> int:
    """Tokens of all messages and tools."""
    total = 0
    for message in request.messages:
        total += 4 + sum(count_tokens(text) for text in _texts(message))
    for tool in request.tools:
        if isinstance(tool, Tool):
            total += count_tokens(f"{tool.name} {tool.description or ''} {json.dumps(tool.parameters)}")
    return total


def _texts(message: Message) -> Iterator[str]:
    for part in message.parts:
        match part:
            case TextPart():
                yield part.text
            case ToolCallPart():
                yield f"{part.name} {part.arguments}"
            case ToolResultPart():
                yield from (piece.text for piece in part.content if isinstance(piece, TextPart))
            case _:
                pass


def last_text(request: ChatRequest) -> str:
    """The text of the last user message; empty when it only brings tool results."""
    for message in reversed(request.messages):
        if message.role == "user":
            return "\n".join(part.text for part in message.parts if isinstance(part, TextPart))
    return ""


def act_for(request: ChatRequest) -> Act:
    """What the model's name and the directives of the last user message ask for. Raises ValueError."""
    return read_directives(last_text(request), NAMED.get(request.model, Act()))


class _Said:
    """What one choice says before it is cut into events."""

    def __init__(self, text: str = "", calls: tuple[Called, ...] = (), *, refusal: bool = False) -> None:
        self.text = text
        self.calls = calls
        self.refusal = refusal


def answer(request: ChatRequest, act: Act, number: int) -> list[Event]:
    """The events of the whole answer. `number` tells answers apart in their ids."""
    said = _decide(request, act)
    reason: FinishReason = "tool_calls" if said.calls else "refusal" if said.refusal else "stop"
    text, stop = _stop_early(said.text, request.stop)
    if stop is not None:
        reason = "stop_sequence"
    pieces = _PIECE.findall(text)
    limit = len(pieces) // 2 if act.truncate else request.max_tokens * 10 // 13 if request.max_tokens else len(pieces)
    if act.truncate or limit < len(pieces):
        pieces, reason, stop = pieces[:limit], "length", None
    thoughts = _PIECE.findall(act.think or "")
    spoken = "".join(pieces)
    output = sum(
        count_tokens(text) for text in (spoken, act.think or "", *(f"{call.name} {call.arguments}" for call in said.calls))
    )
    usage = Usage(
        input_tokens=count_prompt(request),
        output_tokens=max(output, 1) * request.n,
        reasoning_tokens=count_tokens(act.think or "") * request.n,
    )
    if act.usage == "lie":
        usage = Usage(input_tokens=1, output_tokens=1)
    reported = None if act.usage == "none" else usage
    events: list[Event] = [Started(f"fake-{number}", act.model or request.model, CREATED_S, reported, "fake")]
    for choice in range(request.n):
        events += [ReasoningDelta(piece, choice) for piece in thoughts]
        events += [TextDelta(piece, choice, refusal=said.refusal) for piece in pieces]
        events += _call_events(said.calls, choice, number)
        events.append(Finished(reason, stop, choice))
    if reported is not None:
        events.append(UsageReported(reported))
    return events


def _call_events(calls: tuple[Called, ...], choice: int, number: int) -> Iterator[Event]:
    for index, call in enumerate(calls):
        yield ToolCallStarted(index, f"call_{number}_{choice}_{index}", call.name, choice)
        for at in range(0, len(call.arguments), 12):
            yield ToolCallDelta(index, call.arguments[at : at + 12], choice)


def _stop_early(text: str, stops: tuple[str, ...]) -> tuple[str, str | None]:
    found = [(text.find(stop), stop) for stop in stops if stop and stop in text]
    if not found:
        return text, None
    at, stop = min(found)
    return text[:at], stop


def _decide(request: ChatRequest, act: Act) -> _Said:
    if act.empty:
        return _Said()
    if act.refuse:
        return _Said(REFUSAL, refusal=True)
    if act.repeat:
        return _Said(LINE * LINES)
    if act.tools or act.say is not None:
        return _Said(act.say or "", act.tools)
    text = strip_directives(last_text(request))
    call = _chosen_call(request, text)
    if call is not None:
        return _Said(calls=(call,))
    if request.output is not None:
        schema = request.output.schema
        return _Said(json.dumps(sample(schema) if schema else {"answer": text[:200]}, ensure_ascii=False))
    if request.model == "fake-echo":
        return _Said(text)
    return _Said(_describe(request, text))


def _chosen_call(request: ChatRequest, text: str) -> Called | None:
    """The tool call the request asks for, if it does; not again once its result is there."""
    tools = [tool for tool in request.tools if isinstance(tool, Tool)]
    choice = request.tool_choice
    if not tools or (choice is not None and choice.mode == "none"):
        return None
    if choice is not None and choice.mode == "named":
        tools = [tool for tool in tools if tool.name == choice.name] or tools
    elif choice is None or choice.mode == "auto":
        answered = any(isinstance(part, ToolResultPart) for part in request.messages[-1].parts)
        named = [tool for tool in tools if tool.name in text]
        if answered or not (named or _ASKS.search(text) or request.model == "fake-tools"):
            return None
        tools = named or tools
    return Called(tools[0].name, json.dumps(sample(tools[0].parameters)))


def _describe(request: ChatRequest, text: str) -> str:
    """An answer that shows what arrived."""
    results = [part for part in request.messages[-1].parts if isinstance(part, ToolResultPart)] if request.messages else []
    if results and not text:
        seen = " ".join(_texts(Message("user", tuple(results))))
        return f"The tool answered: {seen[:200]}"
    shown = text if len(text) <= 200 else f"{text[:200]}..."
    tools = f", {len(request.tools)} tools offered" if request.tools else ""
    return f"This is a scripted answer to: {shown or 'nothing'} ({len(request.messages)} messages{tools}.)"
