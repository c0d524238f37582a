"""Passes Chat Completions through to a client of the same format: the bytes are kept but for the named edits.

Request: `model`, `usage_asked`, `max_tokens_clamped`, `engine_options`. Reply: `reply_model`, `usage_hidden`. An event that
needs no edit leaves as the very bytes that came, comments included. A missing `[DONE]` is added, and what comes behind one
is left out (`end_mark`).
"""

import msgspec

from freehold.fault import Kind, faulty
from freehold.wire.codec import Asked, EditName, Envelope, Sent, Tap
from freehold.wire.openai_chat.chunks import ChunkChoice, read_chunk, read_whole_usage, refuse_error
from freehold.wire.openai_relay import ChunkRelay, ask_usage, held_to, rename_whole
from freehold.wire.openai_replies import DONE_EVENT, MOST_CALLS, Progress, read_finish, read_usage
from freehold.wire.sse import SseEvent

_encode = msgspec.json.Encoder().encode


def relay_request(envelope: Envelope, sent: Sent) -> tuple[bytes, tuple[EditName, ...]]:
    """See `wire.codec.Codec.relay_request`. Engine options win over the client's own: the operator pins them."""
    changed: dict[str, msgspec.Raw] = {}
    edits: list[EditName] = []
    if envelope.model != sent.model:
        changed["model"] = msgspec.Raw(_encode(sent.model))
        edits.append("model")
    if envelope.stream and not envelope.stream_usage:
        changed["stream_options"] = ask_usage(envelope.top.get("stream_options"))
        edits.append("usage_asked")
    clamped = _clamp(envelope, sent)
    if clamped:
        changed.update(clamped)
        edits.append("max_tokens_clamped")
    options = {key: value for key, value in sent.extra.items() if envelope.top.get(key) != value}
    if options:
        changed.update(options)
        edits.append("engine_options")
    if not changed:
        return envelope.body, ()
    return _encode({**envelope.top, **changed}), tuple(edits)


def _clamp(envelope: Envelope, sent: Sent) -> dict[str, msgspec.Raw]:
    ceiling, wanted = sent.max_tokens_ceiling, envelope.max_tokens
    if ceiling is None or (wanted is not None and wanted <= ceiling):
        return {} if wanted is None else held_to(wanted, envelope.top)
    said = [key for key in ("max_tokens", "max_completion_tokens") if key in envelope.top]
    own = said or ["max_completion_tokens" if "max_completion_tokens" in sent.quirks else "max_tokens"]
    return held_to(ceiling, envelope.top) | dict.fromkeys(own, msgspec.Raw(b"%d" % ceiling))


class RelayPipe(ChunkRelay):
    """One stream on its way through. See `wire.codec.Pipe`."""

    __slots__ = (
        "_done",
        "_opened",
        "_progress",
        "_tools",
    )

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self._progress = Progress()
        self._opened = self._progress.open
        self._done = False
        self._tools: dict[int, set[object]] = {}

    def _require_whole(self) -> None:
        self._progress.require_whole()

    def _end_mark(self) -> bytes:
        return b"" if self._done else DONE_EVENT

    def _pass(self, block: SseEvent) -> bytes:
        data = block.data
        if not data or self._done:
            return self._pass_silent(block)
        if data == b"[DONE]":
            self._done = True
            return block.raw
        chunk = read_chunk(data)
        choices = chunk.choices
        if chunk.error or not choices or block.name:
            refuse_error(chunk, block.name, data)
        tap, model, opened = self.tap, chunk.model, self._opened
        for choice in choices or ():
            said = choice.delta
            if not tap.content or said is None or said.tool_calls or choice.finish_reason or choice.index not in opened:
                self._note(choice)
        if model:
            tap.answered_model = model
        if chunk.system_fingerprint:
            tap.fingerprint = chunk.system_fingerprint
        if chunk.usage is not None:
            usage = self._progress.add_up(read_usage(chunk.usage, chunk.timings), chunk.timings)
            return self._pass_usage(usage, model, bool(choices), block)
        if model is None or model == self._asked_model:
            return block.raw
        return self._rename(model, block)

    def _note(self, choice: ChunkChoice) -> None:
        tap, at = self.tap, choice.index
        said = choice.delta or choice.message
        self._progress.begin(at)
        if said is not None:
            if said.content or said.reasoning_content or said.reasoning or said.refusal or said.audio:
                tap.content = True
            if said.tool_calls or said.function_call is not None:
                tap.content = True
                self._count_tools(choice)
        if choice.finish_reason:
            self._progress.finish(at)
            tap.finish, _ = read_finish(choice.finish_reason, at in self._tools, choice.stop_reason)

    def _count_tools(self, choice: ChunkChoice) -> None:
        """A call is counted where its name is said; a name said again under the same index or id is the same call."""
        said = choice.delta or choice.message
        seen = self._tools.setdefault(choice.index, set())
        for piece in (said.tool_calls if said is not None else None) or ():
            if piece.function is not None and piece.function.name:
                seen.add(piece.id or piece.index)
        self.tap.tool_calls = sum(map(len, self._tools.values()))
        if self.tap.tool_calls > MOST_CALLS:
            raise faulty(Kind.INVALID_REPLY, f"the runtime began more than {MOST_CALLS} tool calls")


def relay_whole(body: bytes, asked: Asked) -> tuple[bytes, Tap]:
    """See `wire.codec.Codec.relay_whole`."""
    chunk = read_chunk(body)
    refuse_error(chunk, b"", body)
    if not chunk.choices:
        raise faulty(Kind.INVALID_REPLY, "the runtime's answer has no choices")
    tap = Tap()
    tap.answered_model = chunk.model or None
    tap.fingerprint = chunk.system_fingerprint or None
    tap.usage = read_whole_usage(chunk)
    for choice in chunk.choices:
        said = choice.message
        if said is None:
            raise faulty(Kind.INVALID_REPLY, "the runtime's answer has a choice without a message")
        calls = len(said.tool_calls or ()) + (said.function_call is not None)
        tap.tool_calls += calls
        tap.content = tap.content or bool(
            said.content or said.reasoning_content or said.reasoning or said.refusal or said.audio or calls
        )
        tap.finish, _ = read_finish(choice.finish_reason or "stop", calls > 0, choice.stop_reason)
    if chunk.model is None or chunk.model == asked.model:
        return body, tap
    tap.edits.add("reply_model")
    return rename_whole(body, asked.model), tap
