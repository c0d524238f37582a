"""The fake's Completions: each prompt is answered as a chat's last message would be. Pure.

Token ids stand as words. `echo`, several prompts, `n` and log probabilities are served; `suffix` is taken as it comes.
"""

import json
from collections.abc import Iterator

import msgspec

from freehold.chat import ChatRequest, Event, Finished, Message, Started, TextDelta, TextPart, Usage, UsageReported
from freehold.gateways.fake.answer import act_for, answer
from freehold.gateways.fake.script import Act
from freehold.wire.codec import Envelope

LOGPROB = -0.25
"""Of every token the fake says."""


class _Asked(msgspec.Struct, frozen=True):
    prompt: str | list[str | int | list[int]]
    n: int | None = None
    echo: bool | None = None
    logprobs: int | None = None
    max_tokens: int | None = None
    stop: str | list[str] | None = None


_ASKED = msgspec.json.Decoder(_Asked)


def complete(envelope: Envelope, scripted: Act | None, number: int) -> tuple[Act, list[Event], int]:
    """The act, the events of the whole answer and the tokens of the prompts. Raises ValueError for a directive without sense."""
    asked = _ASKED.decode(envelope.body)
    prompts = _texts(asked.prompt)
    act = scripted
    events: list[Event] = []
    usages: list[Usage] = []
    for at, prompt in enumerate(prompts):
        request = _request(envelope, asked, prompt)
        act = act or act_for(request)
        for event in answer(request, act, number):
            match event:
                case UsageReported(usage):
                    usages.append(usage)
                case Started():
                    events += [] if at else [msgspec.structs.replace(event, usage=None)]
                    events += [TextDelta(prompt, at * request.n + one) for one in range(request.n if asked.echo else 0)]
                case TextDelta() | Finished():
                    moved = msgspec.structs.replace(event, choice=at * request.n + event.choice)
                    events += _with_logprobs(moved, asked.logprobs)
                case _:
                    pass  # thinking and tools have no place here
    assert act is not None
    total = Usage(input_tokens=sum(one.input_tokens for one in usages), output_tokens=sum(one.output_tokens for one in usages))
    return act, [*events, UsageReported(total)] if usages else events, total.input_tokens


def _request(envelope: Envelope, asked: _Asked, prompt: str) -> ChatRequest:
    stop = (asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ())
    return ChatRequest(
        model=envelope.model,
        messages=(Message("user", (TextPart(prompt),)),),
        n=asked.n or 1,
        max_tokens=asked.max_tokens,
        stop=stop,
        stream=envelope.stream,
    )


def _texts(prompt: str | list[str | int | list[int]]) -> list[str]:
    if isinstance(prompt, str):
        return [prompt]
    ids = [str(one) for one in prompt if isinstance(one, int)]
    if ids:
        return [" ".join(ids)]
    return [one if isinstance(one, str) else " ".join(map(str, one)) for one in prompt if not isinstance(one, int)]


def _with_logprobs(event: TextDelta | Finished, count: int | None) -> Iterator[Event]:
    if count is None or not isinstance(event, TextDelta):
        yield event
        return
    likely = [{"token": event.text, "logprob": LOGPROB, "bytes": None}, {"token": "?", "logprob": LOGPROB * 8, "bytes": None}]
    tokens = [{**likely[0], "top_logprobs": likely[:count]}]
    yield msgspec.structs.replace(event, logprobs=msgspec.Raw(json.dumps(tokens).encode()))
