"""What relays of OpenAI's chunked formats share: asking for usage, and the reply's model put in place of another.

Promised: an event whose model is the asked one leaves as the very bytes that came; where it differs, every other value
keeps its bytes.
"""

from collections.abc import Mapping

import msgspec

from freehold.chat import Usage
from freehold.fault import Kind, faulty
from freehold.wire.body import UNREADABLE
from freehold.wire.codec import Asked
from freehold.wire.relay import EventRelay
from freehold.wire.sse import SseEvent

_encode = msgspec.json.Encoder().encode
_TOP = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TRUE = msgspec.Raw(b"true")
LONGEST_BEGINNING = 1024
"""Bytes of an event up to its model that are remembered."""
_MOST_DIGITS = 20


LIMITS = frozenset({"max_completion_tokens", "max_new_tokens", "max_output_tokens", "max_tokens", "n_predict"})
"""Names that runtimes of these formats know an answer's limit by. Which one counts where several stand is each one's own choice
(llama.cpp's server goes by `n_predict`), so all of them are held to the one that was read."""


def held_to(limit: int, top: Mapping[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """The limits of a body that would let an answer be longer than `limit`, made to say it."""
    said = msgspec.Raw(b"%d" % limit)
    return {key: said for key in LIMITS & top.keys() if not _is_within(bytes(top[key]), limit)}


def _is_within(raw: bytes, limit: int) -> bool:
    return raw == b"null" or (raw.isdigit() and len(raw) < _MOST_DIGITS and 0 < int(raw) <= limit)


def ask_usage(options: msgspec.Raw | None) -> msgspec.Raw:
    """`stream_options` with usage asked for and the client's other options kept."""
    kept = _TOP.decode(options) if options is not None and bytes(options) != b"null" else {}
    kept["include_usage"] = _TRUE
    return msgspec.Raw(_encode(kept))


def rename_whole(body: bytes, model: str) -> bytes:
    """A whole reply with that model. Raises FaultError(INVALID_REPLY) for what is no JSON object."""
    try:
        top = _TOP.decode(body)
    except UNREADABLE as error:
        raise faulty(Kind.INVALID_REPLY, f"the runtime's answer is no JSON object: {error}") from None
    top["model"] = msgspec.Raw(_encode(model))
    return _encode(top)


class ChunkRelay(EventRelay):
    """A stream of chunks whose top level says the `model`. A format says the rest, as `EventRelay` demands."""

    __slots__ = ("_asked_model", "_beginning", "_model", "_model_json", "_needle", "_renamed", "_shows_usage")

    def __init__(self, asked: Asked) -> None:
        super().__init__()
        self._asked_model = asked.model
        self._shows_usage = asked.stream_usage
        self._model = asked.model
        self._model_json = b'"model":' + _encode(asked.model)
        self._needle = b""
        self._beginning = self._renamed = b""
        """How events begin, up to their model, and what becomes of that: most streams begin each one with the same bytes."""

    def _pass_usage(self, usage: Usage, model: str | None, brings_choices: bool, block: SseEvent) -> bytes:
        """A client that did not ask for usage must not see it: the chunk that brings only usage goes, or the field."""
        self.tap.usage = usage
        renames = model is not None and model != self._asked_model
        if self._shows_usage:
            return self._rename(model or "", block) if renames else block.raw
        self.tap.edits.add("usage_hidden")
        if not brings_choices:
            return b""
        if renames:
            self.tap.edits.add("reply_model")
        return self._rewrite(block, renames, hides_usage=True)

    def _rename(self, model: str, block: SseEvent) -> bytes:
        self.tap.edits.add("reply_model")
        return self._splice(model, block.raw) or self._rewrite(block, renames=True, hides_usage=False)

    def _rewrite(self, block: SseEvent, renames: bool, hides_usage: bool) -> bytes:
        """Take the event apart and write it again, every other value as it came."""
        top = _TOP.decode(block.data)
        if renames:
            top["model"] = msgspec.Raw(_encode(self._asked_model))
        if hides_usage:
            top.pop("usage", None)
        name = b"event: %b\n" % block.name if block.name else b""
        return b"%bdata: %b\n\n" % (name, _encode(top).replace(b"\n", b" "))

    def _splice(self, model: str, raw: bytes) -> bytes | None:
        """The model replaced in place, where it certainly stands at the top level: no brace opens before it but the
        outermost, or none closes behind it but that one. None: take the event apart instead.

        The bytes of a key with its quotes cannot stand inside a JSON string, where quotes are escaped.
        """
        if model != self._model:
            self._model, self._beginning = model, b""
            self._needle = b'"model":' + _encode(model)
        if self._beginning and raw.startswith(self._beginning):
            return self._renamed + raw[len(self._beginning) :]
        if not raw.startswith(b"data: {"):
            return None
        at = raw.find(self._needle)
        if at < 0:
            return None
        if raw.find(b"{", 7, at) < 0:
            if at <= LONGEST_BEGINNING:
                self._beginning, self._renamed = raw[: at + len(self._needle)], raw[:at] + self._model_json
        elif raw.find(b"}", at) != raw.rfind(b"}"):
            return None
        return raw[:at] + self._model_json + raw[at + len(self._needle) :]
