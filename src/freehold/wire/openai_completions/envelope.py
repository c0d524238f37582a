"""Splits a Completions request once and lazily, and describes one prompt of it.

Source: OpenAI's `CreateCompletionRequest`. A missing `max_tokens` means `DEFAULT_MAX_TOKENS`, as documented there: servers
that go on without a limit (llama.cpp) are told so. Each prompt of several is a block, and so is the suffix.
"""

import msgspec

from freehold.fault import FaultError, Kind, faulty
from freehold.wire.body import UNREADABLE, refusal, split_top
from freehold.wire.codec import Block, Envelope

DEFAULT_MAX_TOKENS = 16
"""What the format documents for a request that sets no limit."""
MOST_CHOICES = 128
"""The largest `n` OpenAI's schema allows."""
NO_LIMIT = -1
"""What clients of llama.cpp send: "no limit of mine"."""


class StreamOptions(msgspec.Struct, frozen=True):
    """`stream_options`."""

    include_usage: bool | None = None


class _Top(msgspec.Struct, frozen=True):
    """The fields a decision needs."""

    model: str
    prompt: str | list[msgspec.Raw]
    suffix: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    n: int | None = None
    best_of: int | None = None
    echo: bool | None = None
    logprobs: int | None = None
    logit_bias: dict[str, float] | None = None
    user: str | None = None


_TOP = msgspec.json.Decoder(_Top)
_STRING = msgspec.json.Decoder(str)
_IDS = msgspec.json.Decoder(list[int])


def peek(body: bytes) -> Envelope:
    """See `wire.codec.Codec.peek`."""
    top = split_top(body)
    try:
        read = _TOP.decode(body)
    except UNREADABLE as error:
        raise refusal(error) from None
    if not read.model:
        raise faulty(Kind.INVALID_REQUEST, "model: say which model to ask", param="model")
    choices = 1 if read.n is None else read.n
    if not 1 <= choices <= MOST_CHOICES:
        raise faulty(Kind.INVALID_REQUEST, f"n: must be between 1 and {MOST_CHOICES}", param="n")
    prompts, are_texts = _split_prompt(read.prompt, top["prompt"])
    options = read.stream_options
    candidates = choices if read.best_of is None else read.best_of
    has_suffix = bool(read.suffix)
    needs_echo = read.echo is True or candidates > choices
    return Envelope(
        format="openai_completions",
        body=body,
        top=top,
        model=read.model,
        stream=read.stream is True,
        stream_usage=read.stream is True and options is not None and options.include_usage is True,
        max_tokens=read_limit(read.max_tokens),
        choices=choices * len(prompts),
        tools=0,
        schema=False,
        logprobs=read.logprobs is not None,
        blocks=(*prompts, top["suffix"]) if has_suffix else prompts,
        session_hint=read.user or None,
        operation="completion",
        fill_in=has_suffix,
        needs_raw=(len(prompts) > 1 or not are_texts or needs_echo or read.max_tokens == 0 or bool(read.logit_bias)),
        needs_echo=needs_echo,
        blocks_apart=len(prompts) > 1,
    )


def read_limit(max_tokens: int | None) -> int | None:
    """The answer's limit; None: none, as the client says by -1."""
    if max_tokens is None:
        return DEFAULT_MAX_TOKENS
    if max_tokens < NO_LIMIT:
        raise faulty(Kind.INVALID_REQUEST, "max_tokens: must be at least 0, or -1 for no limit", param="max_tokens")
    return None if max_tokens == NO_LIMIT else max_tokens


def _split_prompt(prompt: str | list[msgspec.Raw], whole: msgspec.Raw) -> tuple[tuple[msgspec.Raw, ...], bool]:
    """Each prompt as it came, and whether they are texts: one text, several, one array of token ids, several."""
    if isinstance(prompt, str):
        return (whole,), True
    kinds = {memoryview(one)[:1].tobytes() for one in prompt}
    if not prompt:
        raise _no_prompt()
    if kinds == {b'"'}:
        return tuple(prompt), True
    if kinds == {b"["}:
        for at, one in enumerate(prompt):
            _read_ids(one, f"prompt[{at}]")
        return tuple(prompt), False
    if kinds & {b'"', b"["}:
        raise _no_prompt()
    _read_ids(whole, "prompt")
    return (whole,), False


def _read_ids(raw: msgspec.Raw, param: str) -> int:
    """How many token ids an array has."""
    try:
        count = len(_IDS.decode(raw))
    except UNREADABLE as error:
        raise refusal(error, param) from None
    if not count:
        raise faulty(Kind.INVALID_REQUEST, f"{param}: is empty", param=param)
    return count


def _no_prompt() -> FaultError:
    said = "prompt: must be a text, a list of texts, a list of token ids, or a list of such lists"
    return faulty(Kind.INVALID_REQUEST, said, param="prompt")


def describe(block: msgspec.Raw) -> Block:
    """See `wire.codec.Codec.describe`: a prompt, a suffix, or an array of token ids."""
    if memoryview(block)[:1].tobytes() == b"[":
        return Block(role="user", token_ids=_read_ids(block, "prompt"))
    try:
        return Block(role="user", texts=(_STRING.decode(block),))
    except UNREADABLE as error:
        raise refusal(error, "prompt") from None
