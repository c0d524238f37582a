"""Reads the parts of a prompt strictly, and says where a part at fault stands.

A part is checked when it is described, which happens once for each: what was seen before is known by its bytes, so a
long history costs only what is new. docs/api.md says how much that is.
"""

from collections.abc import Callable

import msgspec

from freehold.fault import FaultError
from freehold.wire.body import UNREADABLE, refuse_repeats
from freehold.wire.codec import Block, Envelope

Describe = Callable[[msgspec.Raw], Block]
_LIST = msgspec.json.Decoder(list[msgspec.Raw])


def strictly(describe: Describe) -> Describe:
    """The same description, for parts that say every key once; others raise FaultError(INVALID_REQUEST)."""

    def describe_strictly(block: msgspec.Raw) -> Block:
        refuse_repeats(bytes(block))
        return describe(block)

    return describe_strictly


def with_place(error: FaultError, envelope: Envelope, describe: Describe) -> FaultError:
    """A fault of `describe`, which sees one part alone, with the place of that part in the body."""
    for block in envelope.blocks:
        try:
            describe(block)
        except FaultError as found:
            if found.fault == error.fault:
                return _placed(error, _place_of(block, envelope))
    return error


def _placed(error: FaultError, place: str) -> FaultError:
    fault = error.fault
    param, message = fault.param or "", fault.message
    separator = "." if param and param[0] != "[" else ""
    said = f"{place}{separator}{message}" if param and message.startswith(param) else f"{place}: {message}"
    return FaultError(msgspec.structs.replace(fault, param=f"{place}{separator}{param}", message=said))


def _place_of(block: msgspec.Raw, envelope: Envelope) -> str:
    wanted = bytes(block)
    for key, value in envelope.top.items():
        data = bytes(value)
        if data == wanted:
            return key
        if data[:1] != b"[" or len(data) < len(wanted):
            continue
        try:
            for index, one in enumerate(_LIST.decode(data)):
                if bytes(one) == wanted:
                    return f"{key}[{index}]"
        except UNREADABLE:
            continue
    return "the prompt"
