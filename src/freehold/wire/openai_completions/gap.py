"""Writes a request for what lies between two texts, which another format's client sent, as a Completions request.

What the format cannot say of it is refused with UNSUPPORTED, naming the field: a system text, images, an output format. A wish
for thinking is dropped: nothing is thought where a gap is filled. A client that set no limit is given `UNSAID_LIMIT`: the
format's own default is 16 tokens, and some servers have none at all.
"""

from typing import Any

import msgspec

from freehold.chat import ChatRequest, TextPart
from freehold.fault import FaultError, Kind, faulty
from freehold.wire.codec import Sent
from freehold.wire.openai_completions.fim import cannot_fill_in, fill_in

UNSAID_LIMIT = 1024
"""Tokens: more than lies behind a cursor, and an end for a model that finds none."""
_encode = msgspec.json.Encoder().encode


def write_gap(request: ChatRequest, sent: Sent) -> bytes:
    """The body. The suffix as it is where the runtime takes one, else inside the prompt its model was trained on."""
    prompt, behind = _read_prompt(request), request.suffix or ""
    stops = list(request.stop)
    body: dict[str, Any] = {"model": sent.model, "prompt": prompt, "max_tokens": _limit(request.max_tokens, sent)}
    if {"suffix", "mistral_fim"} & sent.quirks:
        body["suffix"] = behind
    elif sent.fill_in is not None:
        body["prompt"] = fill_in(sent.fill_in, prompt, behind)
        stops += [stop for stop in sent.fill_in.stop if stop not in stops]
    else:
        raise cannot_fill_in()
    fields = ["temperature", "top_p", "frequency_penalty", "presence_penalty", "seed", "user"]
    fields += ["top_k"] if "top_k" in sent.quirks else []
    body |= {field: value for field in fields if (value := getattr(request, field)) is not None}
    if stops:
        body["stop"] = stops
    if request.logprobs:
        body["logprobs"] = request.top_logprobs or 0
    if request.stream:
        body["stream"] = True
        if "mistral_fim" not in sent.quirks:
            body["stream_options"] = {"include_usage": True}
    return _encode(body | sent.extra)


def _limit(wanted: int | None, sent: Sent) -> int:
    limit = UNSAID_LIMIT if wanted is None else wanted
    return limit if sent.max_tokens_ceiling is None else min(limit, sent.max_tokens_ceiling)


def _read_prompt(request: ChatRequest) -> str:
    if request.output is not None:
        raise _unsupported("format", "a format for its output")
    if request.n > 1:
        raise _unsupported("n", "`n` over 1")
    if any(message.role == "system" for message in request.messages):
        raise _unsupported("system", "a system text")
    parts = [part for message in request.messages for part in message.parts]
    texts = [part.text for part in parts if isinstance(part, TextPart)]
    if len(texts) < len(parts):
        raise _unsupported("images", "images")
    return "".join(texts)


def _unsupported(param: str, what: str) -> FaultError:
    return faulty(Kind.UNSUPPORTED, f"{param}: where a gap is filled in, the model's runtime cannot be told {what}", param=param)
