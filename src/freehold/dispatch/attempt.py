"""One try at one deployment: build the request, send it, read the head, write down how it ended.

An attempt ends exactly once, with one record, whatever happens to it. Time spent waiting for the upstream is
added to the flight, so that what remains of a request's duration is our own overhead.
"""

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from freehold.chat import Reply, Usage
from freehold.costs.price import price
from freehold.dispatch.flight import Flight
from freehold.dispatch.mend import mend, needs_mending
from freehold.dispatch.reach import Headers, Reach, Reaches
from freehold.fault import Fault, FaultError, Kind, faulty
from freehold.fit.context import fits
from freehold.gateways.http import Call, Exchange, Upstreams
from freehold.ledger import Ledger
from freehold.limits.breaker import Breakers
from freehold.record import AttemptEnd, AttemptRecord, Verdict
from freehold.routing.plan import Hold, Step
from freehold.wire.codec import Codec, Sent, Tap
from freehold.wire.formats import CODECS

MAX_REPLY_BYTES = 64 * 1024 * 1024
MAX_FAULT_BYTES = 256 * 1024
PASSED_ON_HEADERS = ("anthropic-beta", "anthropic-version", "openai-beta", "idempotency-key")
"""Client headers that change what the upstream does, passed on in a relay only."""


class Means(msgspec.Struct, frozen=True):
    """What an attempt works with; one per process, made by the composition root."""

    upstreams: Upstreams
    reaches: Reaches
    breakers: Breakers
    ledger: Ledger
    now: Callable[[], float]
    """Monotonic seconds."""
    wall_ms: Callable[[], int]
    """Unix milliseconds."""
    windows: dict[str, int] = {}
    """Tokens really served, by deployment id, where an engine told."""


class Attempt:
    """One try. `open` sends it; afterwards `exchange` is at the reply's body."""

    def __init__(self, means: Means, flight: Flight, step: Step, hold: Hold) -> None:
        self._means = means
        self.flight = flight
        self.step = step
        flight.tries += 1
        self.number = flight.tries
        self.started_s = means.now()
        self.started_ms = means.wall_ms()
        self.tap = Tap()
        self.first_content_s: float | None = None
        self.verdicts: tuple[Verdict, ...] = ()
        self.status: int | None = None
        self._ended = False
        placed = step.placed
        quirks = placed.deployment.quirks or placed.runtime.quirks
        self.quirks = frozenset((*placed.deployment.quirks, *placed.runtime.quirks)) if quirks else frozenset[str]()
        self.is_relay = (
            hold == "none" and flight.codec.FORMAT in placed.runtime.formats and not needs_mending(flight, self.quirks)
        )
        self.upstream_codec: Codec = flight.codec if self.is_relay else CODECS[self._translated_format()]
        self._exchange: Exchange | None = None

    def _translated_format(self) -> Any:
        formats = self.step.placed.runtime.formats
        return self.flight.codec.FORMAT if self.flight.codec.FORMAT in formats else formats[0]

    @property
    def exchange(self) -> Exchange:
        """The open exchange."""
        assert self._exchange is not None
        return self._exchange

    async def open(self) -> None:
        """Send the request and read the reply's head. Raises FaultError; a status >= 300 is one."""
        placed, runtime = self.step.placed, self.step.placed.runtime
        reach = self._means.reaches.find(runtime.name)
        body, edits = self._body()
        self.tap.edits.update(edits)
        streams = self.flight.envelope.stream
        call = Call(
            address=reach.address,
            path=self.upstream_codec.PATH,
            headers=self._headers(reach),
            body=body,
            egress=placed.egress,
            ceiling=self.flight.plan.ceiling,
            connect_timeout_s=runtime.connect_timeout_s,
            head_timeout_s=runtime.first_content_timeout_s if streams else runtime.total_timeout_s,
            max_connections=runtime.max_connections,
        )
        before_s = self._means.now()
        try:
            self._exchange = exchange = await self._means.upstreams.open(call)
        finally:
            self.flight.waited_s += self._means.now() - before_s
        self.status = exchange.status
        if exchange.status >= 300:
            raise FaultError(await self._read_fault(exchange))

    def _body(self) -> tuple[bytes, tuple[Any, ...]]:
        sent = Sent(
            model=self.step.placed.deployment.served_as,
            max_tokens_ceiling=self._answer_ceiling(),
            quirks=self.quirks,
        )
        if self.is_relay:
            return self.upstream_codec.relay_request(self.flight.envelope, sent)
        return self.upstream_codec.write_request(mend(self.flight.request(), self.quirks), sent), ()

    def _answer_ceiling(self) -> int | None:
        """The longest answer that still fits the window really served; None: nothing to clamp."""
        placed, features = self.step.placed, self.flight.features
        window = self._means.windows.get(placed.id, placed.deployment.abilities.context)
        longest = placed.deployment.abilities.max_output
        if window is None:
            return longest
        room = fits(features.prompt_tokens, features.prompt_tokens_exact, features.max_tokens, window).answer_tokens
        if room is None or longest is None:
            return room if longest is None else longest
        return min(room, longest)

    def _headers(self, reach: Reach) -> Headers:
        headers: list[tuple[str, str]] = [("content-type", "application/json")]
        given = self.flight.headers
        passed = [name for name in PASSED_ON_HEADERS if name in given] if self.is_relay else []
        headers += [(name, given[name]) for name in passed]
        headers += [pair for pair in reach.credentials(self.upstream_codec.FORMAT) if pair[0] not in passed]
        return tuple(headers)

    async def _read_fault(self, exchange: Exchange) -> Fault:
        exchange.arm(10.0, Kind.FIRST_CONTENT_TIMEOUT)
        if exchange.status < 400:
            exchange.abort()
            return Fault(
                kind=Kind.UPSTREAM_ERROR,
                message=f"the runtime answered with a redirect ({exchange.status}); redirects are not followed, set its real base_url",
                status=exchange.status,
            )
        body = await exchange.read(MAX_FAULT_BYTES)
        return self.upstream_codec.read_fault(exchange.status, exchange.headers, body)

    async def chunk(self) -> bytes:
        """The upstream's next bytes, b"" at its end, under the deadline that holds at this point."""
        self._arm()
        before_s = self._means.now()
        try:
            return await self.exchange.chunk()
        finally:
            self.flight.waited_s += self._means.now() - before_s

    async def whole(self) -> bytes:
        """The upstream's whole body."""
        self._arm()
        before_s = self._means.now()
        try:
            return await self.exchange.read(MAX_REPLY_BYTES)
        finally:
            self.flight.waited_s += self._means.now() - before_s

    def _arm(self) -> None:
        runtime = self.step.placed.runtime
        spent_s = self._means.now() - self.started_s
        total_left_s = runtime.total_timeout_s - spent_s
        if not self.flight.envelope.stream:
            left_s, kind = total_left_s, Kind.TOTAL_TIMEOUT
        elif self.tap.content:
            left_s, kind = runtime.chunk_timeout_s, Kind.CHUNK_TIMEOUT
        else:
            # Measured from the start: pings and keep-alives do not push it on.
            left_s, kind = runtime.first_content_timeout_s - spent_s, Kind.FIRST_CONTENT_TIMEOUT
        if total_left_s < left_s:
            left_s, kind = total_left_s, Kind.TOTAL_TIMEOUT
        if left_s <= 0:
            self.exchange.abort()
            raise faulty(kind, f"runtime '{runtime.name}' gave no answer within its deadline")
        self.exchange.arm(left_s, kind)

    def content_began(self) -> None:
        """The first content is ready to go out."""
        self.first_content_s = self._means.now()
        if self.flight.first_content_s is None:
            self.flight.first_content_s = self.first_content_s

    def abort(self) -> None:
        """Close the upstream at once."""
        if self._exchange is not None:
            self._exchange.abort()

    def end(self, how: AttemptEnd, fault: Fault | None = None) -> None:
        """Write the one record of this attempt and tell the breaker. Later calls do nothing."""
        if self._ended:
            return
        self._ended = True
        if how not in {"served", "escalated"}:
            self.abort()
        seconds = self._means.now() - self.started_s
        usage = self._usage()
        cost_nano_usd, basis = price(usage, self.step.placed, seconds)
        record = AttemptRecord(
            attempt_id=f"{self.flight.request_id}.{self.number}",
            request_id=self.flight.request_id,
            number=self.number,
            deployment=self.step.placed.id,
            runtime=self.step.placed.runtime.name,
            egress=self.step.placed.egress.value,
            sent_model=self.step.placed.deployment.served_as,
            answered_model=self.tap.answered_model,
            fingerprint=self.tap.fingerprint,
            mode=self._mode(),
            edits=tuple(sorted(self.tap.edits)),
            started_ms=self.started_ms,
            first_content_ms=None if self.first_content_s is None else (self.first_content_s - self.started_s) * 1000,
            duration_ms=seconds * 1000,
            end=how,
            status=self.status,
            fault=None if fault is None else fault.kind.value,
            fault_message=None if fault is None else fault.message,
            verdicts=self.verdicts,
            usage=usage,
            cost_nano_usd=cost_nano_usd,
            cost_basis=basis,
        )
        self.flight.attempts.append(record)
        self._means.ledger.attempted(record)
        self._tell_breaker(how, fault)

    def _tell_breaker(self, how: AttemptEnd, fault: Fault | None) -> None:
        breakers, deployment = self._means.breakers, self.step.placed.id
        if fault is not None:
            breakers.failed(deployment, fault)
        elif how == "cancelled":
            breakers.end_probe(deployment)
        else:
            breakers.succeeded(deployment)

    def _mode(self) -> Literal["relay", "translate"]:
        return "relay" if self.is_relay else "translate"

    def _usage(self) -> Usage | None:
        """As the upstream reported it; an estimate where an answer came without a report."""
        if self.tap.usage is not None or self.first_content_s is None:
            return self.tap.usage
        return Usage(input_tokens=self.flight.features.prompt_tokens, output_tokens=0, basis="estimated")


def note_reply(tap: Tap, reply: Reply) -> None:
    """Fill the tap from a reply that was read whole."""
    tap.content = True
    tap.usage = reply.usage
    tap.answered_model = reply.model
    tap.fingerprint = reply.fingerprint
    tap.finish = reply.choices[0].finish if reply.choices else None
