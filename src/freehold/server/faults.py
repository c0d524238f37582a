"""Sends a fault in the caller's own wire format."""

from typing import Protocol

from freehold.fault import Fault
from freehold.server.delivery import Conversation

JSON_HEADER = (b"content-type", b"application/json")


class FaultWriter(Protocol):
    """The part of a codec that spells faults."""

    def write_fault(self, fault: Fault, request_id: str) -> tuple[int, dict[str, str], bytes]:
        """As `wire.codec.Codec.write_fault`."""


async def send_fault(
    conversation: Conversation, codec: FaultWriter, fault: Fault, request_id: str, *more_headers: tuple[bytes, bytes]
) -> None:
    """Status, headers and body of the fault; nothing may have been sent before."""
    status, headers, body = codec.write_fault(fault, request_id)
    raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    if "x-freehold-request-id" not in headers:
        raw.append((b"x-freehold-request-id", request_id.encode()))
    await conversation.send_whole(status, [*raw, *more_headers], body)
