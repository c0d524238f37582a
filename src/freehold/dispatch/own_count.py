"""The tokens of a prompt by the tokenizer and the template of the engine that would serve it.

Promised: only an engine of this machine is asked, and only the one that the plan puts first: nobody sees a prompt who may not
serve it. An engine that does not answer at once is not waited for. Not done: runtimes elsewhere; what they are sent belongs on
the record of an attempt.

Source: llama.cpp's server, `tools/server/README.md`: `POST /apply-template`, `POST /tokenize`.
"""

import msgspec

from freehold.dispatch.flight import ChatFlight
from freehold.dispatch.mend import as_asked_of, quirks_of
from freehold.dispatch.reach import Reach
from freehold.fault import FaultError
from freehold.gateways.http import Call, Upstreams
from freehold.gateways.local_get import read_answer
from freehold.routing.plan import Step
from freehold.runtime import Egress
from freehold.wire import openai_chat
from freehold.wire.codec import Sent

WITHIN_S = 2.0
"""For each of the two questions: an engine answers them beside its work, in milliseconds."""
MOST_BYTES = 64 * 1024 * 1024


class _Templated(msgspec.Struct):
    prompt: str


class _Tokenized(msgspec.Struct):
    tokens: list[msgspec.Raw]


async def count_prompt(upstreams: Upstreams, flight: ChatFlight) -> int | None:
    """Exactly as many as the engine would read; None: it cannot say. Raises FaultError for a prompt that it cannot be sent."""
    plan = flight.plan
    step = plan.steps[0] if plan.steps and plan.refusal is None else None
    if step is None or step.redacted or step.placed.egress is not Egress.LOCAL or flight.features.images:
        return None
    quirks = quirks_of(step.placed, flight.codec.FORMAT, "openai_chat")
    if "own_tokenizer" not in quirks or "openai_chat" not in step.placed.runtime.formats:
        return None
    request, _ = as_asked_of(flight, flight.envelope_at(Egress.LOCAL), "openai_chat", quirks)
    body = openai_chat.write_request(request, Sent(model=step.placed.deployment.served_as, quirks=quirks))
    try:
        reach = flight.reaches.find(step.placed.runtime.name)
        said = await _ask(upstreams, flight, step, reach, "/apply-template", body)
        prompt = msgspec.json.decode(said, type=_Templated).prompt
        asked = msgspec.json.encode({"content": prompt, "add_special": True, "parse_special": True})
        said = await _ask(upstreams, flight, step, reach, "/tokenize", asked)
        return len(msgspec.json.decode(said, type=_Tokenized).tokens)
    except (FaultError, msgspec.DecodeError):
        return None


async def _ask(upstreams: Upstreams, flight: ChatFlight, step: Step, reach: Reach, path: str, body: bytes) -> bytes:
    address = reach.address_of("openai_chat", step.placed.runtime)
    call = Call(
        address=msgspec.structs.replace(address, prefix=address.prefix.removesuffix("/v1")),
        path=path,
        headers=(("content-type", "application/json"), *reach.credentials("openai_chat")),
        body=body,
        egress=step.placed.egress,
        ceiling=flight.plan.ceiling,
        connect_timeout_s=WITHIN_S,
        head_timeout_s=WITHIN_S,
    )
    return await read_answer(upstreams, call, WITHIN_S, MOST_BYTES)
