"""A Completions request for a runtime that speaks another format, and what can be said in this one: a text with a gap, never a chat.

The prompt becomes one user message, with no words of ours around it. What a chat cannot say is refused with UNSUPPORTED,
naming the field: token ids, several prompts, `suffix`, `echo`, `best_of`, `logit_bias`, `max_tokens` 0. Unknown fields
become `Opaque` and are dropped by other formats.
"""

from typing import Final

import msgspec

from freehold.chat import ChatRequest, Message, Opaque, TextPart
from freehold.fault import FaultError, Kind, faulty
from freehold.wire.body import UNREADABLE, refusal
from freehold.wire.codec import Envelope, Sent
from freehold.wire.openai_completions.gap import write_gap

FORMAT: Final = "openai_completions"


class _Request(msgspec.Struct, frozen=True):
    """The top-level fields that have a word in the middle, and those that are refused there."""

    model: str
    prompt: str | list[msgspec.Raw]
    suffix: str | None = None
    best_of: int | None = None
    echo: bool | None = None
    logit_bias: dict[str, float] | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    logprobs: int | None = None
    stream: bool | None = None
    stream_options: msgspec.Raw = msgspec.Raw(b"")
    user: str | None = None


_REQUEST = msgspec.json.Decoder(_Request)
_TEXT = msgspec.json.Decoder(str)
_KNOWN = frozenset(_Request.__struct_fields__)


def read_request(envelope: Envelope) -> ChatRequest:
    """See `wire.codec.Codec.read_request`."""
    try:
        read = _REQUEST.decode(envelope.body)
    except UNREADABLE as error:
        raise refusal(error) from None
    prompt = _only_text(read.prompt)
    _refuse_raw(read)
    return ChatRequest(
        model=read.model,
        messages=(Message("user", (TextPart(prompt),)),),
        max_tokens=envelope.max_tokens,
        temperature=read.temperature,
        top_p=read.top_p,
        top_k=read.top_k,
        frequency_penalty=read.frequency_penalty,
        presence_penalty=read.presence_penalty,
        seed=read.seed,
        stop=(read.stop,) if isinstance(read.stop, str) else tuple(read.stop or ()),
        n=envelope.choices,
        logprobs=read.logprobs is not None,
        top_logprobs=read.logprobs,
        stream=envelope.stream,
        stream_usage=envelope.stream_usage,
        user=read.user,
        opaque=tuple(
            Opaque(FORMAT, key, value)
            for key, value in envelope.top.items()
            if key not in _KNOWN and memoryview(value)[:4].tobytes() != b"null"
        ),
    )


def write_request(request: ChatRequest, sent: Sent) -> bytes:
    """A chat cannot be said here: only the model's chat template makes a prompt of it. What can is a text with a gap.

    Raises FaultError(UNSUPPORTED).
    """
    if request.suffix is not None:
        return write_gap(request, sent)
    said = (
        f"`{sent.model}` is served where only Completions is spoken, which has no place for a conversation; "
        "ask /v1/completions, or pick a model whose runtime speaks a chat format"
    )
    raise faulty(Kind.UNSUPPORTED, said, param="model")


def _only_text(prompt: str | list[msgspec.Raw]) -> str:
    if isinstance(prompt, str):
        return prompt
    if len(prompt) == 1 and memoryview(prompt[0])[:1].tobytes() == b'"':
        return _TEXT.decode(prompt[0])
    if prompt and memoryview(prompt[0])[:1].tobytes() == b'"':
        raise _unsupported("prompt", "several prompts; send them one by one")
    raise _unsupported("prompt", "a prompt of token ids; send the text")


def _refuse_raw(read: _Request) -> None:
    if read.suffix:
        raise _unsupported("suffix", "a suffix")
    if read.echo:
        raise _unsupported("echo", "`echo`; put the prompt before the answer yourself")
    if read.best_of is not None and read.best_of > (read.n or 1):
        raise _unsupported("best_of", "`best_of`; ask for `n` answers and choose")
    if read.logit_bias:
        raise _unsupported("logit_bias", "`logit_bias`")
    if read.max_tokens == 0:
        raise _unsupported("max_tokens", "an answer of 0 tokens")


def _unsupported(param: str, what: str) -> FaultError:
    said = (
        f"{param}: this model is served in a chat format, which cannot say {what} (a runtime that speaks openai_completions can)"
    )
    return faulty(Kind.UNSUPPORTED, said, param=param)
