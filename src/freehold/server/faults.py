"""Sends a fault in the caller's own wire format."""

from typing import Protocol

from freehold.fault import Fault
from freehold.server.delivery import Conversation

JSON_HEADER = (b"content-type", b"application/json")
ID_NAMES = (b"x-freehold-request-id", b"x-request-id", b"request-id")
"""Where clients look for a request's id: ours, OpenAI's SDKs, Anthropic's."""


def id_headers(request_id: str) -> list[tuple[bytes, bytes]]:
    """A request's id, under every name that a client looks for it by."""
    own_id = request_id.encode()
    return [(name, own_id) for name in ID_NAMES]


class FaultWriter(Protocol):
    """The part of a codec that spells faults."""

    def write_fault(self, fault: Fault, request_id: str) -> tuple[int, dict[str, str], bytes]:
        """As `wire.codec.Codec.write_fault`."""


async def send_fault(
    conversation: Conversation,
    codec: FaultWriter,
    fault: Fault,
    request_id: str,
    *more_headers: tuple[bytes, bytes],
    status: int | None = None,
) -> None:
    """Status, headers and body of the fault; nothing may have been sent before. `status`: another than its format's."""
    usual, headers, body = codec.write_fault(fault, request_id)
    raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    raw += [(name, value) for name, value in id_headers(request_id) if name.decode() not in headers]
    await conversation.send_whole(usual if status is None else status, [*raw, *more_headers], body)
