"""The shapes of Completions replies, as upstreams really send them, and their log probabilities in the middle's words.

Sources: OpenAI's `CreateCompletionResponse`, whose streamed and whole objects look alike; llama.cpp, which spells log
probabilities as Chat Completions does; Mistral's fill-in endpoint, which answers with a `message` or `delta`.
"""

import msgspec

from freehold.chat import Usage
from freehold.fault import FaultError, Kind, faulty
from freehold.wire.body import UNREADABLE
from freehold.wire.openai_faults import read_fault
from freehold.wire.openai_replies import Timings, WireUsage, read_usage

_NOTHING = msgspec.Raw(b"")
_encode = msgspec.json.Encoder().encode


class LogProbs(msgspec.Struct, frozen=True):
    """Four lists, one entry for each token; or llama.cpp's `content`, a list of token objects."""

    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None
    content: msgspec.Raw = _NOTHING


class Said(msgspec.Struct, frozen=True):
    """A `message` or `delta` where a `text` should be."""

    content: str | None = None


class TextChoice(msgspec.Struct, frozen=True):
    """One alternative, in a chunk or in a whole reply."""

    index: int = 0
    text: str | None = None
    finish_reason: str | None = None
    logprobs: LogProbs | None = None
    stop_reason: str | int | None = None
    """vLLM: the stop string that ended the text."""
    message: Said | None = None
    delta: Said | None = None

    def said(self) -> str | None:
        """The text, wherever it stands; None: there is none."""
        if self.text is not None:
            return self.text
        other = self.message or self.delta
        return None if other is None else other.content or ""


class Chunk(msgspec.Struct, frozen=True):
    """A `text_completion`, or an error object."""

    id: str | None = None
    object: str | None = None
    created: int | float | None = None
    model: str | None = None
    system_fingerprint: str | None = None
    choices: list[TextChoice] | None = None
    usage: WireUsage | None = None
    timings: Timings | None = None
    error: msgspec.Raw = _NOTHING


class Tally:
    """Usage as it comes in: once for all, or beside each choice's finish for that choice alone (llama.cpp)."""

    __slots__ = ("_of_choices",)

    def __init__(self) -> None:
        self._of_choices: dict[int, Usage] = {}

    def take(self, chunk: Chunk) -> Usage:
        """What is known after this chunk, which has a usage."""
        assert chunk.usage is not None
        usage = read_usage(chunk.usage, chunk.timings)
        finished = [choice.index for choice in chunk.choices or () if choice.finish_reason]
        if len(finished) != 1:
            return usage
        self._of_choices[finished[0]] = usage
        one, *others = self._of_choices.values()
        for other in others:
            one = Usage(
                input_tokens=one.input_tokens + other.input_tokens,
                output_tokens=one.output_tokens + other.output_tokens,
                cached_tokens=one.cached_tokens + other.cached_tokens,
                cache_write_tokens=one.cache_write_tokens + other.cache_write_tokens,
                reasoning_tokens=one.reasoning_tokens + other.reasoning_tokens,
            )
        return one


def read_whole_usage(chunk: Chunk) -> Usage | None:
    """The usage of a whole reply.

    llama.cpp puts the answers to several prompts into the object of the first, whose usage and timings then stand for it
    alone: the others are taken to have cost as much, by the length of their texts.
    """
    if chunk.usage is None:
        return None
    usage, choices = read_usage(chunk.usage, chunk.timings), chunk.choices or ()
    if chunk.timings is None or len(choices) < 2:
        return usage
    lengths = [len(choice.said() or "") for choice in choices]
    output = usage.output_tokens * sum(lengths) // lengths[0] if lengths[0] else usage.output_tokens * len(choices)
    return Usage(input_tokens=usage.input_tokens * len(choices), output_tokens=output, basis="estimated")


class TopToken(msgspec.Struct):
    """A likely token."""

    token: str
    logprob: float


class Token(msgspec.Struct):
    """A token object of Chat Completions, with what this format keeps of it. `logprob` is None for a prompt's first token."""

    token: str
    logprob: float | None = None
    top_logprobs: list[TopToken] = []


_decode = msgspec.json.Decoder(Chunk).decode
_TOKENS = msgspec.json.Decoder(list[Token])


def says_nothing(data: bytes) -> bool:
    """No data, or the `null` that llama.cpp sends first for several prompts, which clients stumble over."""
    return not data or data == b"null"


def read_chunk(data: bytes) -> Chunk:
    """Decode one. Raises FaultError(INVALID_REPLY) for what is not this format."""
    try:
        if not data.isascii():
            data.decode()  # what stays raw JSON is not looked at otherwise
        return _decode(data)
    except UNREADABLE as error:
        raise faulty(Kind.INVALID_REPLY, f"the runtime's answer is no text completion: {error}") from None


def refuse_error(chunk: Chunk, event_name: bytes, data: bytes) -> None:
    """Raise the fault that an error object stands for."""
    if (chunk.error and bytes(chunk.error) != b"null") or chunk.object == "error" or event_name == b"error":
        raise FaultError(read_fault(200, {}, data))


def read_logprobs(logprobs: LogProbs | None) -> msgspec.Raw | None:
    """The middle's list of token objects, on one line; None where nothing is said."""
    if logprobs is None:
        return None
    if len(logprobs.content):
        text = bytes(logprobs.content).replace(b"\n", b" ").replace(b"\r", b" ")
        return msgspec.Raw(text) if text[:1] == b"[" and text != b"[]" else None
    if not logprobs.tokens:
        return None
    own, top = logprobs.token_logprobs or [], logprobs.top_logprobs or []
    tokens: list[dict[str, object]] = []
    for at, token in enumerate(logprobs.tokens):
        likely = (top[at] if at < len(top) else None) or {}
        tokens.append(
            {
                **_token(token, own[at] if at < len(own) else None),
                "top_logprobs": [_token(one, logprob) for one, logprob in likely.items()],
            }
        )
    return msgspec.Raw(_encode(tokens))


def _token(token: str, logprob: float | None) -> dict[str, object]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode(errors="replace"))}


def write_logprobs(tokens: msgspec.Raw, offset: int) -> tuple[msgspec.Raw, int]:
    """The four lists, and the offset behind them. `text_offset` counts the characters of the answer from 0."""
    try:
        read = _TOKENS.decode(tokens)
    except UNREADABLE:  # another format's upstream wrote them
        return msgspec.Raw(b"null"), offset
    offsets: list[int] = []
    for one in read:
        offsets.append(offset)
        offset += len(one.token)
    lists = {
        "text_offset": offsets,
        "token_logprobs": [one.logprob for one in read],
        "tokens": [one.token for one in read],
        "top_logprobs": [{top.token: top.logprob for top in one.top_logprobs} for one in read],
    }
    return msgspec.Raw(_encode(lists)), offset
