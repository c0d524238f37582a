"""Upstreams: HTTP/1.1 calls over kept connections, one pool per process.

Promised: each call is judged by the connector before anything else, also when a connection rests ready. The most
recently used connection is taken first; one that rested for `IDLE_S` is closed. At `max_connections` calls queue in turn
by caller (`fair_queue`), no longer than each says, and no more of them than `QUEUED_PER_PLACE` for each connection; a queue
that is full turns the newest call of whoever waits with most away for one of somebody else.

A reused connection may have been closed by the peer while it rested, with the close still on its way. Such a call is
sent once more, on a new connection, only when the connection was reused, not one byte of an answer came, and the close
arrived within `STALE_S` of the write: then the peer had closed before it could take the request on. Any other loss is
a fault and the caller's decision, because a model call that is sent twice is paid for twice.

Deliberately not done: redirects (a 3xx is a status like any other), cookies, caches, proxies.
"""

import asyncio
from collections import deque
from time import perf_counter

import msgspec

from freehold.fault import Fault, FaultError, Kind, faulty
from freehold.gateways.connection import IDLE_S, Connection
from freehold.gateways.connector import Address, Connector
from freehold.gateways.exchange import Exchange
from freehold.gateways.fair_queue import FairQueue
from freehold.gateways.head import end_head, write_head
from freehold.runtime import Egress

__all__ = ["Call", "Exchange", "Upstreams"]

HEADS_KEPT = 256
QUEUED_PER_PLACE = 16
"""A longer queue would only be told later that there is no room."""
RETRY_FULL_AFTER_S = 2.0
"""Told to clients that found no room: places come free at any moment, and all of them asking at once helps nobody."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request to an upstream."""

    address: Address
    method: str = "POST"
    path: str
    """Below the address's prefix, such as `/chat/completions`."""
    headers: tuple[tuple[str, str], ...]
    """Without those that frame the message: they are ours."""
    body: bytes = b""
    egress: Egress
    ceiling: Egress
    connect_timeout_s: float
    """For the lookup, the connection and the TLS handshake."""
    head_timeout_s: float
    """From the request's last byte to the answer's head; it stands until `Exchange.arm` replaces it."""
    max_connections: int = 256
    """To this address, over all calls of this process."""
    queue_wait_s: float | None = None
    """For one of them to come free; None: as long as for a connection."""
    caller: str = ""
    """Whose turn it is, where calls have to wait."""
    work: float = 1.0
    """How much of the runtime's time it takes, compared with other calls."""
    is_background: bool = False
    """Waits behind all that are not."""


class _Berths:
    """The connections to one address in one egress class, and who waits for one."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.open: set[Connection] = set()
        self.opening = 0
        """Permits given out to calls that are connecting."""
        self.resting: deque[Connection] = deque()
        self.turns: FairQueue[asyncio.Future[Connection | Fault | None]] = FairQueue()

    def rest(self, connection: Connection) -> None:
        """Take back a connection: the call whose turn it is gets it."""
        turn = self._next_turn()
        if turn is not None:
            turn.set_result(connection)
            return
        self.resting.append(connection)
        oldest = self.resting[0]
        if connection.rested_at - oldest.rested_at > IDLE_S:
            oldest.drop()

    def forget(self, connection: Connection) -> None:
        """A connection is gone: the call whose turn it is may open another."""
        if connection in self.open:
            self.open.discard(connection)
            if connection in self.resting:
                self.resting.remove(connection)
            self.pass_permit()

    def pass_permit(self) -> None:
        """There is room for one more connection."""
        turn = self._next_turn()
        if turn is not None:
            self.opening += 1
            turn.set_result(None)

    def give_up(self) -> None:
        """A permit was not used."""
        self.opening -= 1
        self.pass_permit()

    def take_now(self, call: Call) -> Connection | bool:
        """A connection to reuse; True: a permit to open one; False: all are in use."""
        resting = self.resting
        while resting:
            connection = resting.pop()
            if connection.usable():
                return connection
        if len(self.open) + self.opening < call.max_connections and not self.turns:
            self.opening += 1
            return True
        return False

    async def take(self, call: Call, wait_s: float) -> Connection | None:
        """As `take_now`, None for a permit, after a wait where it must be. Raises FaultError(OVERLOADED)."""
        taken = self.take_now(call)
        if not isinstance(taken, bool):
            return taken
        return None if taken else await self.queue(call, wait_s)

    def drop_resting(self) -> None:
        """Close what rests: when the one used last was closed by the peer, so were those that rested longer."""
        for connection in list(self.resting):
            connection.drop()

    async def queue(self, call: Call, wait_s: float) -> Connection | None:
        """Wait for a place. Raises FaultError(OVERLOADED)."""
        if wait_s <= 0 or (len(self.turns) >= QUEUED_PER_PLACE * call.max_connections and not self._make_room(call)):
            raise FaultError(_full(call, "and no call may wait" if wait_s <= 0 else f"and {len(self.turns)} calls wait"))
        turn: asyncio.Future[Connection | Fault | None] = self.loop.create_future()
        self.turns.join(turn, call.caller, work=call.work, is_background=call.is_background)
        ends_s = self.loop.time() + wait_s
        timer = self.loop.call_later(wait_s, self._expire, turn, call, wait_s)
        try:
            given = await turn
        except asyncio.CancelledError:
            self._hand_back(turn, call)
            raise
        finally:
            timer.cancel()
        if isinstance(given, Fault):
            raise FaultError(given)
        if given is None or given.usable():
            return given
        return await self.take(call, ends_s - self.loop.time())

    def _make_room(self, call: Call) -> bool:
        """In a full queue: turn somebody away who waits with more calls than this one's caller."""
        turn = self.turns.make_room(call.caller, is_background=call.is_background)
        if turn is not None and not turn.done():
            turn.set_result(_full(call, "and others wait, each in turn"))
        return turn is not None

    def _hand_back(self, turn: asyncio.Future[Connection | Fault | None], call: Call) -> None:
        """The call was cancelled while it waited, or in the moment after its turn came."""
        if turn.cancelled() or not turn.done():
            self.turns.leave(turn, call.caller)
            return
        given = turn.result()
        if isinstance(given, Connection):
            self.rest(given)
        elif given is None:
            self.give_up()

    def _expire(self, turn: asyncio.Future[Connection | Fault | None], call: Call, wait_s: float) -> None:
        if not turn.done():
            self.turns.leave(turn, call.caller)
            turn.set_result(_full(call, f"for {wait_s:g} s"))

    def _next_turn(self) -> "asyncio.Future[Connection | Fault | None] | None":
        while (turn := self.turns.take()) is not None and turn.done():
            pass
        return turn

    def close(self) -> None:
        """Close all, resting and in use, and turn away who waits."""
        while (turn := self._next_turn()) is not None:
            turn.set_result(Fault(kind=Kind.SHUTTING_DOWN, message="this server is stopping"))
        for connection in list(self.open):
            connection.fail(Kind.SHUTTING_DOWN, "this server is stopping")


class Upstreams:
    """Every call to a runtime goes through here. One per process, used on one event loop."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._berths: dict[tuple[Address, Egress], _Berths] = {}
        self._heads: dict[tuple[Address, str, str, tuple[tuple[str, str], ...]], bytes] = {}
        self._closed = False

    async def open(self, call: Call) -> Exchange:
        """Send a request; return when the head of its answer is there.

        Raises FaultError: EGRESS_REFUSED, CONNECT_FAILED, CONNECT_TIMEOUT, OVERLOADED, FIRST_CONTENT_TIMEOUT,
        INVALID_REPLY, BROKEN_STREAM, SHUTTING_DOWN. Cancelling closes the connection.
        """
        self._connector.admit(call.address, call.egress, call.ceiling)
        head = end_head(self._head(call), call.method, call.body)
        berths = self._berths_for(call)
        queued_s, wait_s = 0.0, call.connect_timeout_s if call.queue_wait_s is None else call.queue_wait_s
        connection: Connection | None = None
        if not self._closed:
            taken = berths.take_now(call)
            if taken is False:
                began = perf_counter()
                connection = await berths.queue(call, wait_s)
                queued_s = perf_counter() - began
            elif taken is not True:
                connection = taken
        exchange = await self._send(berths, call, head, connection)
        if exchange.stale:
            berths.drop_resting()
            exchange = await self._send(berths, call, head, await berths.take(call, wait_s))
            exchange.check()
        exchange.queued_s = queued_s
        return exchange

    def is_in_use(self, address: Address) -> bool:
        """Whether any call to this address is under way."""
        return any(
            berths.opening or berths.turns or len(berths.open) > len(berths.resting)
            for (at, _), berths in self._berths.items()
            if _is_same_server(at, address)
        )

    def let_go(self, address: Address) -> None:
        """Close what rests at an address that is called no more; calls under way go on."""
        for key in [key for key in self._berths if _is_same_server(key[0], address)]:
            self._berths[key].drop_resting()
            if not self.is_in_use(address):
                del self._berths[key]

    async def close(self) -> None:
        """Close every connection, resting and in use. Calls under way fail with SHUTTING_DOWN, and so do later ones."""
        self._closed = True
        for berths in self._berths.values():
            berths.close()
        await asyncio.sleep(0)

    async def _send(self, berths: _Berths, call: Call, head: bytes, connection: Connection | None) -> Exchange:
        connected_ms = 0.0
        if connection is None:
            if self._closed:
                raise faulty(Kind.SHUTTING_DOWN, "this server is stopping")
            began = perf_counter()
            connection = await self._connect(berths, call)
            connected_ms = (perf_counter() - began) * 1000
        exchange = connection.send(head, call.body, call.head_timeout_s)
        exchange.connected_ms = connected_ms
        await exchange.head()
        return exchange

    async def _connect(self, berths: _Berths, call: Call) -> Connection:
        """Use a permit. It is given up, or becomes an open connection."""
        connection = Connection(berths.loop, call.address.authority, berths)
        try:
            await self._connector.connect(
                lambda: connection,
                call.address,
                egress=call.egress,
                ceiling=call.ceiling,
                timeout_s=call.connect_timeout_s,
            )
        except BaseException:
            berths.give_up()
            raise
        berths.opening -= 1
        berths.open.add(connection)
        if self._closed or not connection.usable():
            connection.drop()
            kind = Kind.SHUTTING_DOWN if self._closed else Kind.CONNECT_FAILED
            raise faulty(kind, f"the connection to {call.address.authority} was closed as soon as it was open")
        return connection

    def _head(self, call: Call) -> bytes:
        """The constant part of a head: the same for most calls to an address."""
        key = (call.address, call.method, call.path, call.headers)
        head = self._heads.get(key)
        if head is None:
            head = write_head(call.address, call.method, call.path, call.headers)
            if len(self._heads) >= HEADS_KEPT:
                self._heads.clear()
            self._heads[key] = head
        return head

    def _berths_for(self, call: Call) -> _Berths:
        key = (call.address, call.egress)
        berths = self._berths.get(key)
        if berths is None:
            berths = self._berths[key] = _Berths(asyncio.get_running_loop())
        return berths


def _full(call: Call, since: str) -> Fault:
    message = f"all {call.max_connections} connections to {call.address.authority} were in use {since}"
    return Fault(kind=Kind.OVERLOADED, message=message, retry_after_s=RETRY_FULL_AFTER_S)


def _is_same_server(one: Address, other: Address) -> bool:
    """The path does not matter: formats of one runtime may lie below different ones."""
    return (one.host, one.port, one.tls) == (other.host, other.port, other.tls)
