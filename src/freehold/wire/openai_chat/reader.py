"""Reads a Chat Completions reply, streamed or whole, into the seven events.

Promised: bytes cut anywhere give the same events; every call has an id unique in its choice and an index that counts
from 0; an error object is raised as the fault it means; a stream without an end for every choice is BROKEN_STREAM.
Repaired: a missing `index` or `id` of a call, arguments given as an object, a `stop` behind tool calls. A missing
`[DONE]` is fine. Content that is a list is its thinking and its text. Not carried: audio, annotations, and what comes after a choice's
finish.
"""

from collections.abc import Iterator, Sequence
from hashlib import blake2b

import msgspec

from freehold.chat import (
    Event,
    Finished,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from freehold.fault import Kind, faulty
from freehold.wire.body import UNREADABLE
from freehold.wire.event_reader import EventReader
from freehold.wire.openai_chat.chunks import (
    CallFunction,
    CallPiece,
    Chunk,
    ChunkChoice,
    ContentPart,
    LogProbs,
    Said,
    read_arguments,
    read_chunk,
    read_prompt,
    read_whole_usage,
    refuse_error,
)
from freehold.wire.openai_replies import MOST_CALLS, Progress, read_finish, read_usage
from freehold.wire.sse import SseEvent


class _Calls:
    """The tool calls of one choice: upstream's spelling of them to ours."""

    __slots__ = ("_by_id", "_by_index", "_ids", "_last", "_seed")

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._ids: set[str] = set()
        self._by_id: dict[str, int] = {}
        self._by_index: dict[int, int] = {}
        self._last = -1

    def find(self, piece: CallPiece) -> int | None:
        """Our index of the call this piece continues; None: it begins a new one.

        Some servers give every parallel call index 0; a new id with a name then begins a new call.
        """
        name = piece.function.name if piece.function is not None else None
        if piece.index is not None:
            known = self._by_index.get(piece.index)
            if known is None or not (piece.id and name and piece.id not in self._by_id):
                return known
            return None
        if piece.id:
            return self._by_id.get(piece.id)
        return None if name or self._last < 0 else self._last

    def begin(self, piece: CallPiece) -> tuple[int, str]:
        """Number a new call and give it an id; an id that is missing or taken is made from the reply's own bytes."""
        self._last += 1
        if self._last >= MOST_CALLS:
            raise faulty(Kind.INVALID_REPLY, f"the runtime began more than {MOST_CALLS} tool calls")
        given = piece.id or ""
        call_id = given if given and given not in self._ids else f"call_{self._seed}_{self._last}"
        self._ids.add(call_id)
        if given:
            self._by_id[given] = self._last
        if piece.index is not None:
            self._by_index[piece.index] = self._last
        return self._last, call_id


class ChatReader(EventReader):
    """One reply being read."""

    __slots__ = ("_calls", "_done", "_progress", "_started")

    def __init__(self) -> None:
        super().__init__()
        self._progress = Progress()
        self._calls: dict[int, _Calls] = {}
        self._started = False
        self._done = False

    def _require_whole(self) -> None:
        self._progress.require_whole()

    def whole(self, body: bytes) -> list[Event]:
        """See `wire.codec.Reader.whole`."""
        chunk = read_chunk(body)
        refuse_error(chunk, b"", body)
        if not chunk.choices:
            raise faulty(Kind.INVALID_REPLY, "the runtime's answer has no choices")
        events: list[Event] = [self._start(chunk)]
        for choice in chunk.choices:
            said = choice.message or choice.delta
            if said is None:
                raise faulty(Kind.INVALID_REPLY, "the runtime's answer has a choice without a message")
            self._take_choice(choice, said, body, events)
            if choice.index not in self._progress.ended:
                reason, stop = read_finish("stop", choice.index in self._calls, choice.stop_reason)
                events.append(Finished(reason, stop, choice.index))
        usage = read_whole_usage(chunk)
        if usage is not None:
            events.append(UsageReported(usage))
        return events

    def _take_usage(self, chunk: Chunk, events: list[Event]) -> None:
        """What is told of it, at the end or when the prompt is read."""
        if chunk.usage is not None:
            usage = read_usage(chunk.usage, chunk.timings)
            events.append(UsageReported(self._progress.add_up(usage, chunk.timings)))
        elif chunk.prompt_progress is not None and self._started:
            prompt = read_prompt(chunk.prompt_progress)
            if prompt is not None:
                events.append(UsageReported(prompt))

    def _take(self, block: SseEvent, events: list[Event]) -> None:
        data = block.data
        if not data or self._done:
            return
        if data == b"[DONE]":
            self._done = True
            return
        chunk = read_chunk(data)
        choices, opened = chunk.choices, self._progress.open
        if chunk.error or not choices or block.name:
            refuse_error(chunk, block.name, data)
        if not self._started and (choices or chunk.usage is not None):
            self._started = True
            events.append(self._start(chunk))
        if choices:
            for choice in choices:
                at = choice.index
                if at in opened or self._progress.begin(at):
                    self._take_choice(choice, choice.delta or choice.message, data, events)
        self._take_usage(chunk, events)

    def _start(self, chunk: Chunk) -> Started:
        created_s = int(chunk.created) if chunk.created is not None else None
        return Started(chunk.id or None, chunk.model or None, created_s, None, chunk.system_fingerprint or None)

    def _take_choice(self, choice: ChunkChoice, said: Said | None, data: bytes, events: list[Event]) -> None:
        at = choice.index
        if said is not None:
            thought, content = said.reasoning_content or said.reasoning, said.content
            if thought:
                events.append(ReasoningDelta(thought, at))
            if choice.logprobs is not None or isinstance(content, list):
                self._take_apart(choice, said, events)
            else:
                if content:
                    events.append(TextDelta(content, at))
                if said.refusal:
                    events.append(TextDelta(said.refusal, at, None, True))
            if said.tool_calls:
                for piece in said.tool_calls:
                    self._take_call(at, piece, data, events)
            elif said.function_call is not None:
                self._take_call(at, CallPiece(0, None, "function", said.function_call), data, events)
        if choice.finish_reason:
            reason, stop = read_finish(choice.finish_reason, at in self._calls, choice.stop_reason)
            self._progress.finish(at)
            events.append(Finished(reason, stop, at))

    def _take_apart(self, choice: ChunkChoice, said: Said, events: list[Event]) -> None:
        """What comes with log probabilities, or as a list."""
        probable, at = choice.logprobs or LogProbs(), choice.index
        of_text, of_refusal = _tokens(probable.content), _tokens(probable.refusal)
        content = said.content
        if isinstance(content, list):
            told = list(_told(content, at))
            if of_text is None:
                events.extend(told)
                content = ""
            else:  # which of the texts they belong to is not said
                events.extend(event for event in told if isinstance(event, ReasoningDelta))
                content = "".join(event.text for event in told if isinstance(event, TextDelta))
        if content or of_text is not None:
            events.append(TextDelta(content or "", at, of_text))
        if said.refusal or of_refusal is not None:
            events.append(TextDelta(said.refusal or "", at, of_refusal, True))

    def _take_call(self, choice: int, piece: CallPiece, data: bytes, events: list[Event]) -> None:
        calls = self._calls.get(choice)
        if calls is None:
            calls = self._calls[choice] = _Calls(blake2b(data, digest_size=8).hexdigest() + (f"_{choice}" if choice else ""))
        function = piece.function or CallFunction()
        index = calls.find(piece)
        if index is None:
            if not function.name:
                raise faulty(Kind.INVALID_REPLY, "the runtime began a tool call without naming the tool")
            index, call_id = calls.begin(piece)
            events.append(ToolCallStarted(index, call_id, function.name, choice))
        try:
            arguments = read_arguments(function.arguments)
        except UNREADABLE:
            raise faulty(Kind.INVALID_REPLY, "the runtime sent a tool call with unreadable arguments") from None
        if arguments:
            events.append(ToolCallDelta(index, arguments, choice))


def _told(content: Sequence[ContentPart], choice: int) -> Iterator[ReasoningDelta | TextDelta]:
    """Thinking and text of content that is a list, in their order. References and the like are not carried."""
    for part in content:
        thinking = part.thinking
        if thinking:
            thought = thinking if isinstance(thinking, str) else "".join(piece.text or "" for piece in thinking)
            if thought:
                yield ReasoningDelta(thought, choice)
        if part.text:
            yield TextDelta(part.text, choice)


def _tokens(raw: msgspec.Raw) -> msgspec.Raw | None:
    """A list of token objects that says something, on one line (a line end in JSON is a blank, in a stream it is not)."""
    text = bytes(raw).replace(b"\n", b" ").replace(b"\r", b" ")
    return msgspec.Raw(text) if text[:1] == b"[" and text != b"[]" else None
