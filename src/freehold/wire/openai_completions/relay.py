"""Passes Completions through to a client of the same format: the bytes are kept but for the named edits.

Request: `model`, `usage_asked`, `max_tokens_clamped`, `fim_prompt`, `engine_options`. Reply: `reply_model`, `usage_hidden`.
An event that needs no edit leaves as the very bytes that came, comments included, but for a `null`. A missing `[DONE]` is
added, and what comes behind one is left out (`end_mark`).

Quirks read here: `suffix` (takes one itself), `mistral_fim` (so does it, and it refuses `stream_options`).
"""

import msgspec

from freehold.fault import Kind, faulty
from freehold.wire.codec import Asked, EditName, Envelope, Sent, Tap
from freehold.wire.openai_completions.chunks import (
    Tally,
    TextChoice,
    read_chunk,
    read_whole_usage,
    refuse_error,
    says_nothing,
)
from freehold.wire.openai_completions.fim import cannot_fill_in, fill_in_fields
from freehold.wire.openai_relay import ChunkRelay, ask_usage, held_to, rename_whole
from freehold.wire.openai_replies import DONE_EVENT, Progress, read_finish
from freehold.wire.sse import SseEvent

_encode = msgspec.json.Encoder().encode


def relay_request(envelope: Envelope, sent: Sent) -> tuple[bytes, tuple[EditName, ...]]:
    """See `wire.codec.Codec.relay_request`. Engine options win over the client's own: the operator pins them.

    Raises FaultError(UNSUPPORTED) for a suffix that the model is not known to take.
    """
    top = dict(envelope.top)
    edits: list[EditName] = []
    if envelope.model != sent.model:
        top["model"] = msgspec.Raw(_encode(sent.model))
        edits.append("model")
    if "mistral_fim" in sent.quirks:
        if top.pop("stream_options", None) is not None:
            edits.append("usage_asked")
    elif envelope.stream and not envelope.stream_usage:
        top["stream_options"] = ask_usage(top.get("stream_options"))
        edits.append("usage_asked")
    limits = _limits(envelope, sent)
    if limits:
        top.update(limits)
        edits.append("max_tokens_clamped")
    if _rewrites_suffix(envelope, sent):
        if sent.fill_in is not None:
            top.update(fill_in_fields(envelope, sent.fill_in))
        elif envelope.fill_in:
            raise cannot_fill_in()
        del top["suffix"]
        edits.append("fim_prompt")
    if any(envelope.top.get(key) != value for key, value in sent.extra.items()):
        top.update(sent.extra)
        edits.append("engine_options")
    return (_encode(top), tuple(edits)) if edits else (envelope.body, ())


def _limits(envelope: Envelope, sent: Sent) -> dict[str, msgspec.Raw]:
    """What limits must become: `max_tokens` the format's default where the client said none, and none more than the ceiling."""
    ceiling, wanted = sent.max_tokens_ceiling, envelope.max_tokens
    said = bytes(envelope.top.get("max_tokens", b"null"))
    if ceiling is not None and (wanted is None or wanted > ceiling):
        limit, must_be_said = ceiling, True
    elif wanted is not None:
        limit, must_be_said = wanted, said == b"null"
    else:
        return {}
    changed = held_to(limit, envelope.top)
    if said == b"0":
        changed.pop("max_tokens", None)
    return changed | ({"max_tokens": msgspec.Raw(b"%d" % limit)} if must_be_said else {})


def _rewrites_suffix(envelope: Envelope, sent: Sent) -> bool:
    """Whether a suffix was sent, an empty one too, to a runtime that takes none: vLLM refuses even that."""
    if "suffix" in sent.quirks or "mistral_fim" in sent.quirks:
        return False
    said = envelope.top.get("suffix")
    return said is not None and bytes(said) != b"null"


class RelayPipe(ChunkRelay):
    """One stream on its way through. See `wire.codec.Pipe`."""

    __slots__ = ("_done", "_opened", "_progress", "_tally")

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self._progress = Progress()
        self._tally = Tally()
        self._opened = self._progress.open
        self._done = False

    def _require_whole(self) -> None:
        self._progress.require_whole()

    def _end_mark(self) -> bytes:
        return b"" if self._done else DONE_EVENT

    def _pass(self, block: SseEvent) -> bytes:
        data = block.data
        if self._done or says_nothing(data):
            return b"" if data == b"null" else self._pass_silent(block)
        if data == b"[DONE]":
            self._done = True
            return block.raw
        chunk = read_chunk(data)
        choices = chunk.choices
        if chunk.error or not choices or block.name:
            refuse_error(chunk, block.name, data)
        tap, model = self.tap, chunk.model
        for choice in choices or ():
            if not tap.content or choice.finish_reason or choice.index not in self._opened:
                self._note(choice)
        if model:
            tap.answered_model = model
        if chunk.system_fingerprint:
            tap.fingerprint = chunk.system_fingerprint
        if chunk.usage is not None:
            return self._pass_usage(self._tally.take(chunk), model, bool(choices), block)
        if model is None or model == self._asked_model:
            return block.raw
        return self._rename(model, block)

    def _note(self, choice: TextChoice) -> None:
        self._progress.begin(choice.index)
        if choice.said():
            self.tap.content = True
        if choice.finish_reason:
            self._progress.finish(choice.index)
            self.tap.finish, _ = read_finish(choice.finish_reason, False, choice.stop_reason)


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
        if choice.text is None:
            raise faulty(Kind.INVALID_REPLY, "the runtime's answer has a choice without a text")
        tap.content = tap.content or bool(choice.text)
        tap.finish, _ = read_finish(choice.finish_reason or "stop", False, choice.stop_reason)
    if chunk.model is None or chunk.model == asked.model:
        return body, tap
    tap.edits.add("reply_model")
    return rename_whole(body, asked.model), tap
