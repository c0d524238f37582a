"""The neutral middle: one shape for a chat request and seven events for a reply.

Every wire format reads into this shape and writes from it. Values are frozen; nothing here does I/O or knows a
wire format's spelling. What the middle cannot say is `Opaque(format, value)`: written back to the same format
only. Token counts are whole tokens; `input_tokens` includes cached ones, `output_tokens` includes reasoning.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

WireFormat = Literal["openai_chat", "openai_responses", "openai_completions", "anthropic_messages", "ollama"]
Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "stop_sequence", "length", "tool_calls", "content_filter", "refusal", "pause"]
UsageBasis = Literal["measured", "reported", "estimated"]


class Opaque(msgspec.Struct, frozen=True, tag="opaque"):
    """Something of one wire format with no neutral meaning; `value` is its JSON, kept byte for byte."""

    format: WireFormat
    key: str
    """The field it stood under; for a content part its `type`."""
    value: msgspec.Raw
    may_drop: bool | None = None
    """Whether it may be left out where another format is spoken; None: whoever writes that format judges."""
    remedy: str | None = None
    """What the client can do instead, told where it is refused."""


class TextPart(msgspec.Struct, frozen=True, tag="text"):
    """Plain text."""

    text: str
    cache_mark: bool = False
    """The client marked a prompt-cache breakpoint behind this part (Anthropic `cache_control: ephemeral`)."""


class ImagePart(msgspec.Struct, frozen=True, tag="image"):
    """An image: either inline (`media_type`, base64 `data`) or by `url`. Exactly one of data and url is set."""

    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    detail: str | None = None
    cache_mark: bool = False


class ReasoningPart(msgspec.Struct, frozen=True, tag="reasoning"):
    """Thinking of the assistant. `signature` is set only where the vendor that made it signed it (see `wire.signatures`)."""

    text: str
    signature: str | None = None
    redacted: str | None = None
    """Encrypted thinking (Anthropic `redacted_thinking.data`); then `text` is empty."""


class ToolCallPart(msgspec.Struct, frozen=True, tag="tool_call"):
    """A call the assistant asks for. `arguments` is JSON text exactly as the model wrote it ("" means {})."""

    id: str
    name: str
    arguments: str
    cache_mark: bool = False


class ToolResultPart(msgspec.Struct, frozen=True, tag="tool_result"):
    """The client's result for a call. Stands in a user message."""

    call_id: str
    content: tuple["TextPart | ImagePart | Opaque", ...]
    is_error: bool = False
    cache_mark: bool = False


Part = TextPart | ImagePart | ReasoningPart | ToolCallPart | ToolResultPart | Opaque


class Message(msgspec.Struct, frozen=True):
    """One turn. System text stands where the client put it, also in the middle of a conversation."""

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None


class Tool(msgspec.Struct, frozen=True):
    """A function the model may call. `parameters` is a JSON schema; None: no schema was given."""

    name: str
    description: str | None
    parameters: dict[str, Any] | None
    strict: bool | None = None
    cache_mark: bool = False
    original: Opaque | None = None
    """The client's own tool that this function stands for, where its format has other kinds of tools than functions."""


class ToolChoice(msgspec.Struct, frozen=True):
    """`auto`, `none`, `required` (any tool) or `named` (the tool in `name`)."""

    mode: Literal["auto", "none", "required", "named"]
    name: str | None = None


class OutputFormat(msgspec.Struct, frozen=True):
    """Structured output: any JSON object, or JSON that satisfies `schema`."""

    kind: Literal["json_object", "json_schema"]
    schema: dict[str, Any] | None = None
    name: str | None = None
    strict: bool | None = None


class Reasoning(msgspec.Struct, frozen=True):
    """How much the model should think. None in a field: the client did not say."""

    enabled: bool | None = None
    effort: str | None = None
    """As the client wrote it: none, minimal, low, medium, high, xhigh, max."""
    budget_tokens: int | None = None


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A chat request in the neutral middle. None: the client did not say."""

    model: str
    messages: tuple[Message, ...]
    tools: tuple["Tool | Opaque", ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    n: int = 1
    logprobs: bool = False
    top_logprobs: int | None = None
    output: OutputFormat | None = None
    reasoning: Reasoning | None = None
    stream: bool = False
    stream_usage: bool = False
    """The client asked for a usage report inside the stream (always true for formats that always send one)."""
    user: str | None = None
    opaque: tuple[Opaque, ...] = ()
    """Top-level fields of the client's format that the middle has no word for."""
    suffix: str | None = None
    """A text behind the cursor: the one user message stands before it, and what lies between is asked for."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one attempt. `input_tokens` includes cached reads and cache writes; nothing is counted twice."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    """Read from the prompt cache, a share of `input_tokens`."""
    cache_write_tokens: int = 0
    """Written to the prompt cache, a share of `input_tokens`."""
    reasoning_tokens: int = 0
    """A share of `output_tokens`."""
    cache_write_1h_tokens: int = 0
    """Written to be kept for an hour, a share of `cache_write_tokens`."""
    audio_input_tokens: int = 0
    """A share of `input_tokens`; which of them were cached is not told."""
    audio_output_tokens: int = 0
    """A share of `output_tokens`."""
    image_input_tokens: int = 0
    """A share of `input_tokens`."""
    basis: UsageBasis = "reported"


class Started(msgspec.Struct, frozen=True, tag="started"):
    """The reply began. `id` and `model` as the upstream said them; `usage` where it reports input early."""

    id: str | None = None
    model: str | None = None
    created_s: int | None = None
    usage: Usage | None = None
    fingerprint: str | None = None


class TextDelta(msgspec.Struct, frozen=True, tag="text_delta"):
    """More text. `logprobs` is the OpenAI list of token objects for this delta, where asked for."""

    text: str
    choice: int = 0
    logprobs: msgspec.Raw | None = None
    refusal: bool = False
    """The text is a refusal spoken in OpenAI's `refusal` field."""


class ReasoningDelta(msgspec.Struct, frozen=True, tag="reasoning_delta"):
    """More thinking. A `signature` or `redacted` closes one block of it."""

    text: str
    choice: int = 0
    signature: str | None = None
    redacted: str | None = None


class ToolCallStarted(msgspec.Struct, frozen=True, tag="tool_call_started"):
    """A tool call begins. `index` counts calls within the choice from 0 and names the call in its deltas."""

    index: int
    id: str
    name: str
    choice: int = 0


class ToolCallDelta(msgspec.Struct, frozen=True, tag="tool_call_delta"):
    """More of a call's JSON arguments, cut anywhere."""

    index: int
    arguments: str
    choice: int = 0


class UsageReported(msgspec.Struct, frozen=True, tag="usage_reported"):
    """The upstream's usage so far; the last one holds."""

    usage: Usage


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """A choice ended properly. A stream that ends without this for every choice was cut."""

    reason: FinishReason
    stop_sequence: str | None = None
    choice: int = 0


Event = Started | TextDelta | ReasoningDelta | ToolCallStarted | ToolCallDelta | UsageReported | Finished
CONTENT_EVENTS = (TextDelta, ReasoningDelta, ToolCallStarted, ToolCallDelta)


class Choice(msgspec.Struct, frozen=True):
    """One of a reply's alternatives, folded. `finish` is None when the stream was cut."""

    parts: tuple[TextPart | ReasoningPart | ToolCallPart, ...] = ()
    finish: FinishReason | None = None
    stop_sequence: str | None = None
    logprobs: tuple[msgspec.Raw, ...] = ()
    refusal: str | None = None


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A whole reply: the fold of its events."""

    id: str | None = None
    model: str | None = None
    created_s: int | None = None
    fingerprint: str | None = None
    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None


class _Piece:
    """A part while its deltas come in: texts are joined once, at the end, so that folding is linear."""

    __slots__ = ("id", "kind", "name", "redacted", "signature", "texts")

    def __init__(self, kind: Literal["text", "reasoning", "call"], *, id_: str = "", name: str = "") -> None:
        self.kind = kind
        self.texts: list[str] = []
        self.id = id_
        self.name = name
        self.signature: str | None = None
        self.redacted: str | None = None

    def part(self) -> TextPart | ReasoningPart | ToolCallPart:
        text = "".join(self.texts)
        if self.kind == "text":
            return TextPart(text)
        if self.kind == "reasoning":
            return ReasoningPart(text, self.signature, self.redacted)
        return ToolCallPart(self.id, self.name, text)


class _Folding:
    """One choice while its events come in."""

    def __init__(self) -> None:
        self.pieces: list[_Piece] = []
        self.calls: dict[int, _Piece] = {}
        self.finish: FinishReason | None = None
        self.stop_sequence: str | None = None
        self.logprobs: list[msgspec.Raw] = []
        self.refusal: list[str] = []

    def take(self, event: Event) -> None:
        match event:
            case TextDelta():
                self._take_text(event)
            case ReasoningDelta():
                self._take_reasoning(event)
            case ToolCallStarted(index, id_, name):
                self.calls[index] = self._begin(_Piece("call", id_=id_, name=name))
            case ToolCallDelta(index, arguments):
                self.calls[index].texts.append(arguments)
            case Finished(reason, stop_sequence):
                self.finish, self.stop_sequence = reason, stop_sequence
            case _:
                pass

    def _begin(self, piece: _Piece) -> _Piece:
        self.pieces.append(piece)
        return piece

    def _take_text(self, event: TextDelta) -> None:
        if event.logprobs is not None:
            self.logprobs.append(event.logprobs)
        if event.refusal:
            self.refusal.append(event.text)
        elif event.text:
            last = self.pieces[-1] if self.pieces else None
            if last is None or last.kind != "text":
                last = self._begin(_Piece("text"))
            last.texts.append(event.text)

    def _take_reasoning(self, event: ReasoningDelta) -> None:
        last = self.pieces[-1] if self.pieces else None
        is_open = last is not None and last.kind == "reasoning" and last.signature is None and last.redacted is None
        if last is None or not is_open or event.redacted is not None:
            last = self._begin(_Piece("reasoning"))
        last.texts.append(event.text)
        last.signature, last.redacted = event.signature, event.redacted

    def choice(self) -> Choice:
        return Choice(
            parts=tuple(piece.part() for piece in self.pieces),
            finish=self.finish,
            stop_sequence=self.stop_sequence,
            logprobs=tuple(self.logprobs),
            refusal="".join(self.refusal) or None,
        )


def fold(events: Iterable[Event]) -> Reply:
    """Fold a reply's events into the whole reply. The only way a whole reply is made."""
    started: Started | None = None
    usage: Usage | None = None
    choices: dict[int, _Folding] = {}
    for event in events:
        match event:
            case Started():
                started = started or event
                usage = event.usage or usage
            case UsageReported():
                usage = event.usage
            case _:
                folding = choices.get(event.choice)
                if folding is None:
                    folding = choices[event.choice] = _Folding()
                folding.take(event)
    head = started or Started()
    return Reply(
        id=head.id,
        model=head.model,
        created_s=head.created_s,
        fingerprint=head.fingerprint,
        choices=tuple(choices[index].choice() for index in sorted(choices)),
        usage=usage,
    )


def unfold(reply: Reply) -> Iterator[Event]:
    """The events of a whole reply, each block in one delta. `fold(unfold(reply)) == reply` for folded replies."""
    yield Started(reply.id, reply.model, reply.created_s, None, reply.fingerprint)
    for index, choice in enumerate(reply.choices):
        yield from _unfold_choice(index, choice)
    if reply.usage is not None:
        yield UsageReported(reply.usage)


def _unfold_choice(index: int, choice: Choice) -> Iterator[Event]:
    calls = 0
    logprobs = list(choice.logprobs)
    for part in choice.parts:
        match part:
            case TextPart():
                yield TextDelta(part.text, index, logprobs.pop(0) if logprobs else None)
            case ReasoningPart():
                yield ReasoningDelta(part.text, index, part.signature, part.redacted)
            case ToolCallPart():
                yield ToolCallStarted(calls, part.id, part.name, index)
                if part.arguments:
                    yield ToolCallDelta(calls, part.arguments, index)
                calls += 1
    if choice.refusal is not None:
        yield TextDelta(choice.refusal, index, refusal=True)
    for rest in logprobs:
        yield TextDelta("", index, rest)
    if choice.finish is not None:
        yield Finished(choice.finish, choice.stop_sequence, index)
