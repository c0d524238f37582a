"""Passes Ollama's format through to a client of the same format: the bytes are kept but for the named edits.

Request: `model`, `max_tokens_clamped` (`options.num_predict`), `engine_options` (`truncate`, `shift`, `options.num_ctx` and the
deployment's own). Reply: `reply_model`, and `end_mark`: a last line that lacks its end is given it, what comes behind it is left
out. A line that needs no edit leaves as the very bytes that came. Ollama cuts a prompt
that is longer than its window, and shifts a full window under an answer, without a word: both are always switched off.
"""

import msgspec

from freehold.fault import Kind, faulty
from freehold.wire.body import UNREADABLE, refusal
from freehold.wire.codec import Asked, EditName, Envelope, Sent, Tap
from freehold.wire.ndjson import LINE_END, LineSplitter
from freehold.wire.ollama.shapes import Chunk, read_chunk, read_finish, read_usage
from freehold.wire.relay import EventRelay
from freehold.wire.sse import SseEvent

_encode = msgspec.json.Encoder().encode
_TOP = msgspec.json.Decoder(dict[str, msgspec.Raw])
_OPTIONS = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_NULL = msgspec.Raw(b"null")
_FALSE = msgspec.Raw(b"false")
NEVER_CUT: dict[str, msgspec.Raw] = {"truncate": _FALSE, "shift": _FALSE}
"""An input that is too long becomes an error, and a window that fills up ends the answer."""


def relay_request(envelope: Envelope, sent: Sent) -> tuple[bytes, tuple[EditName, ...]]:
    """See `wire.codec.Codec.relay_request`. Engine options win over the client's own: a changed `num_ctx` reloads the model."""
    changed: dict[str, msgspec.Raw] = {}
    edits: list[EditName] = []
    if envelope.model != sent.model:
        changed["model"] = msgspec.Raw(_encode(sent.model))
        edits.append("model")
    try:
        options = _OPTIONS.decode(envelope.top.get("options", _NULL)) or {}
    except UNREADABLE as error:
        raise refusal(error, "options") from None
    pinned: dict[str, msgspec.Raw] = {}
    ceiling = sent.max_tokens_ceiling
    if ceiling is not None and (envelope.max_tokens is None or envelope.max_tokens > ceiling):
        pinned["num_predict"] = msgspec.Raw(b"%d" % ceiling)
        edits.append("max_tokens_clamped")
    engine = {key: value for key, value in (NEVER_CUT | sent.extra).items() if envelope.top.get(key) != value}
    if sent.window is not None and options.get("num_ctx") != (window := msgspec.Raw(b"%d" % sent.window)):
        pinned["num_ctx"] = window
    if engine or "num_ctx" in pinned:
        changed |= engine
        edits.append("engine_options")
    if pinned:
        changed["options"] = msgspec.Raw(_encode({**options, **pinned}))
    if not changed:
        return envelope.body, ()
    return _encode({**envelope.top, **changed}), tuple(edits)


class LineRelay(EventRelay):
    """One stream on its way through. See `wire.codec.Pipe`."""

    __slots__ = ("_asked_model", "_done", "_from", "_model", "_to")

    def __init__(self, asked: Asked) -> None:
        super().__init__(LineSplitter())
        self._asked_model = asked.model
        self._to = b'{"model":' + _encode(asked.model)
        self._model = asked.model
        self._from = b""
        self._done = False

    def _require_whole(self) -> None:
        if not self._done:
            raise faulty(Kind.BROKEN_STREAM, "the runtime closed its stream before the answer was done")

    def _complete(self, last: bytes) -> bytes:
        """The last line with its end, where the upstream ended amid it: some clients read a line only with that."""
        if not last.strip() or last.endswith(LINE_END):
            return last
        self.tap.edits.add("end_mark")
        return last + LINE_END

    def _pass(self, block: SseEvent) -> bytes:
        if not block.data or self._done:
            return self._pass_silent(block)
        chunk = read_chunk(block.data)
        if chunk.said is None and not chunk.done:
            raise faulty(Kind.INVALID_REPLY, "the runtime's stream has a line without a message")
        model = chunk.model
        note(self.tap, chunk)
        self._done = chunk.done is True
        if not model or model == self._asked_model:
            return block.raw
        self.tap.edits.add("reply_model")
        if model != self._model:
            self._model, self._from = model, b'{"model":' + _encode(model)
        if block.raw.startswith(self._from):
            return self._to + block.raw[len(self._from) :]
        return rename(block.data, self._asked_model) + b"\n"


def relay_whole(body: bytes, asked: Asked) -> tuple[bytes, Tap]:
    """See `wire.codec.Codec.relay_whole`."""
    chunk = read_chunk(body)
    if chunk.said is None:
        raise faulty(Kind.INVALID_REPLY, "the runtime's answer has no message")
    if chunk.done is False:
        raise faulty(Kind.INVALID_REPLY, "the runtime's answer is a piece of a stream, not a whole answer")
    tap = Tap()
    note(tap, chunk)
    tap.finish = read_finish(chunk.done_reason, tap.tool_calls > 0)
    if not chunk.model or chunk.model == asked.model:
        return body, tap
    tap.edits.add("reply_model")
    return rename(body, asked.model), tap


def note(tap: Tap, chunk: Chunk) -> None:
    """Write down what a line, or a whole reply, shows."""
    if chunk.model:
        tap.answered_model = chunk.model
    if chunk.says_something:
        tap.content = True
        if chunk.message is not None and chunk.message.tool_calls:
            tap.tool_calls += len(chunk.message.tool_calls)
    if chunk.done:
        tap.finish = read_finish(chunk.done_reason, tap.tool_calls > 0)
        tap.usage = read_usage(chunk) or tap.usage


def rename(body: bytes, model: str) -> bytes:
    """The object with that model, every other value as it came."""
    return _encode({**_TOP.decode(body), "model": msgspec.Raw(_encode(model))})
