"""Small bounded questions to one port of this machine.

Promised: a question ends within its deadline with at most `ANSWER_BYTES` read, whatever the other side does; no redirect
is followed; a question asked twice in one look is sent once. What cannot be read is no answer, never an error.
"""

from typing import TypeVar

import msgspec

from freehold.fault import Fault, FaultError, Kind
from freehold.gateways.connector import Address
from freehold.gateways.http import Call, Upstreams
from freehold.runtime import Egress

ANSWER_BYTES = 1 << 20
CONNECT_TIMEOUT_S = 1.0
ANSWER_TIMEOUT_S = 2.0

_T = TypeVar("_T")


class Reply(msgspec.Struct, frozen=True):
    """An answer, or why there is none."""

    status: int
    """0: nothing that could be read."""
    body: bytes
    headers: dict[str, str]
    fault: Fault | None = None

    @property
    def nobody_listens(self) -> bool:
        """The port is closed: whatever was there has gone."""
        return self.fault is not None and self.fault.kind is Kind.CONNECT_FAILED

    def read(self, wanted: type[_T]) -> _T | None:
        """The JSON body as this type; None for another status than 200 and for anything that does not fit."""
        if self.status != 200:
            return None
        try:
            return msgspec.json.decode(self.body, type=wanted)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None


class Asker:
    """Asks one port. Keeps the answers of one look."""

    def __init__(self, upstreams: Upstreams, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._upstreams = upstreams
        self._address = Address(host, port, tls=False, prefix="")
        self._replies: dict[tuple[str, bytes], Reply] = {}

    async def get(self, path: str) -> Reply:
        """Ask for a path."""
        return await self._ask("GET", path, b"")

    async def post(self, path: str, body: object) -> Reply:
        """Ask with a JSON body."""
        return await self._ask("POST", path, msgspec.json.encode(body))

    def headers_seen(self) -> set[str]:
        """Names of all headers that came with answers."""
        return {name for reply in self._replies.values() for name in reply.headers}

    def statuses(self) -> set[int]:
        """Statuses of all answers."""
        return {reply.status for reply in self._replies.values()}

    async def _ask(self, method: str, path: str, body: bytes) -> Reply:
        key = (path, body)
        if key not in self._replies:
            self._replies[key] = await self._send(method, path, body)
        return self._replies[key]

    async def _send(self, method: str, path: str, body: bytes) -> Reply:
        call = Call(
            address=self._address,
            method=method,
            path=path,
            headers=(("accept", "application/json"), *((("content-type", "application/json"),) if body else ())),
            body=body,
            egress=Egress.LOCAL,
            ceiling=Egress.LOCAL,
            connect_timeout_s=CONNECT_TIMEOUT_S,
            head_timeout_s=ANSWER_TIMEOUT_S,
        )
        try:
            exchange = await self._upstreams.open(call)
            exchange.arm(ANSWER_TIMEOUT_S, Kind.TOTAL_TIMEOUT)
            read = await exchange.read(ANSWER_BYTES)
        except FaultError as error:
            return Reply(0, b"", {}, error.fault)
        return Reply(exchange.status, read, exchange.headers)
