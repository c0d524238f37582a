"""The place of a message as its client counts: of what cannot be said to a runtime, the client is told where it stands.

A writer counts the messages it was given, which begin with a system prompt that many a client sends beside them, or that
a quirk put there. Where turns were joined or taken apart on the way, no number is told rather than a wrong one.
"""

import re

import msgspec

from freehold.chat import ChatRequest, Message
from freehold.fault import FaultError
from freehold.wire.codec import Envelope

_PLACE = re.compile(r"messages\[(\d+)\][^:\s]*")


class _Said(msgspec.Struct):
    role: str


_SAID = msgspec.json.Decoder(list[_Said])


def as_client_counts(error: FaultError, request: ChatRequest, envelope: Envelope) -> FaultError:
    """The fault of writing `request`, with its place as one of the client's own body."""
    place = error.fault.param or ""
    found = _PLACE.fullmatch(place)
    if found is None:
        return error
    own = _own_place(place, int(found[1]), request.messages, envelope)
    message = error.fault.message
    if message.startswith(place):
        message = own + message[len(place) :]
    return FaultError(msgspec.structs.replace(error.fault, message=message, param=own))


def _own_place(place: str, number: int, written: tuple[Message, ...], envelope: Envelope) -> str:
    if "messages" not in envelope.top:
        return "input" if "input" in envelope.top else "prompt"
    said = _SAID.decode(envelope.top["messages"])
    if not said:
        return "messages"
    beside = int(written[0].role == "system" and said[0].role not in {"system", "developer"})
    if len(written) - beside != len(said) or any(message.role == "system" for message in written[1:]) or number < beside:
        return "messages"
    return place.replace(f"[{number}]", f"[{number - beside}]", 1)
