"""One try at one deployment: send a call, read its answer under the deadlines that hold, write down how it ended.

An attempt ends exactly once, with one record, whatever happens to it. Time spent waiting for the upstream is
added to the flight, so that what remains of a request's duration is our own overhead.
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import msgspec

from freehold.chat import Usage, WireFormat
from freehold.costs.price import price
from freehold.dispatch.deadlines import head_timeout_s, left_for_content
from freehold.dispatch.flight import Flight
from freehold.dispatch.heard import Heard
from freehold.dispatch.in_flight import InFlight
from freehold.dispatch.reach import Headers
from freehold.dispatch.reported import believed, shown
from freehold.dispatch.shares import MachineShares
from freehold.fault import Fault, FaultError, Kind, faulty
from freehold.gateways.http import Call, Exchange, Upstreams
from freehold.ledger import Ledger
from freehold.limits.breaker import Breakers
from freehold.limits.budgets import Budgets, Held
from freehold.limits.rates import Admission, Rates
from freehold.limits.retry_budget import RetryBudgets
from freehold.policy.rates import RateTable
from freehold.record import AttemptEnd, AttemptRecord, Verdict
from freehold.routing.plan import Step
from freehold.runtime import Egress, places_of
from freehold.wire.codec import Tap

MAX_REPLY_BYTES = 64 * 1024 * 1024
MAX_SILENT_BYTES = 12 * 1024 * 1024
"""What a stream may send before its first content: room for one event of the longest kind, and for pings by the thousand."""
MAX_FAULT_BYTES = 256 * 1024
FAULT_TIMEOUT_S = 3.0
AFTER_FINISH_S = 5.0
"""For what follows the finish: usage, the end of the stream. A runtime that keeps the connection open is not waited for."""
ANSWER_WORK = 200.0
"""What an answer counts for when callers wait in turn, in tokens written: how long it becomes nobody knows."""
PROMPT_TOKEN_WORK = 0.1
"""A prompt token beside it: engines read some ten times as fast as they write."""
NEVER_ARRIVED = frozenset({Kind.CONNECT_FAILED, Kind.CONNECT_TIMEOUT, Kind.EGRESS_REFUSED})
"""Sent, and yet nobody got it."""


class Means(msgspec.Struct, frozen=True):
    """What an attempt works with; one per process, made by the composition root."""

    upstreams: Upstreams
    breakers: Breakers
    ledger: Ledger
    now: Callable[[], float]
    """Monotonic seconds."""
    wall_ms: Callable[[], int]
    """Unix milliseconds."""
    retries: RetryBudgets
    budgets: Budgets
    rates: Rates | None = None
    """Needed where a flight has rates."""
    windows: dict[str, int] = {}
    """Tokens really served, by deployment id, where an engine told."""
    in_flight: InFlight = msgspec.field(default_factory=InFlight)
    shares: MachineShares = msgspec.field(default_factory=MachineShares)
    cache_secret: Callable[[], bytes] = bytes  # what `cache_salt` makes callers' salts of


class FaultReader(Protocol):
    """The part of a codec that reads an upstream's error answer."""

    def __call__(self, status: int, headers: Mapping[str, str], body: bytes) -> Fault:
        """As `wire.codec.Codec.read_fault`."""


class Attempt:
    """One try. After `send` the exchange is at the reply's body."""

    def __init__(self, means: Means, flight: Flight, step: Step, *, is_relay: bool, streams: bool) -> None:
        self.means = means
        self.flight = flight
        self.step = step
        self.is_relay = is_relay
        self.streams = streams
        """The upstream was asked for a stream."""
        flight.tries += 1
        self.number = flight.tries
        self.started_s = means.now()
        self.started_ms = means.wall_ms()
        self.tap = Tap()
        self.first_content_s: float | None = None
        self.heard = Heard(b"data: ")
        """What an answer is charged by whose tokens nobody reports."""
        self.usage: Usage | None = None
        """Set when the attempt ends: as reported, or estimated."""
        self.verdicts: tuple[Verdict, ...] = ()
        self.images: int | None = None
        """Images in the answer, where it is one of images."""
        self.audio_s: float | None = None
        """Seconds of audio, where the runtime reported them."""
        self.status: int | None = None
        self.is_judged = False
        """Whether it is known if its budgets have to pay for it."""
        self.held: Held | None = None
        """What was reserved for it. None: nothing had to be."""
        self._is_sent = False
        self._body_bytes = 0
        self._admission: Admission | None = None
        """What it took of rates. None: no rate holds for it."""
        self._exchange: Exchange | None = None
        self._runs_from_s = self.started_s
        """What the runtime's deadlines count from: the start, put off by waits for a place or for money."""
        self._ends_s = math.inf
        """When a stream must be over that has begun; known when it was sent."""
        self._silent_bytes = 0
        self._last_words_s: float | None = None
        self._ended = False
        self._share_mark = means.shares.begin(step.placed.runtime, self.started_s)
        if not flight.yields:
            means.in_flight.begin(step.placed.runtime.name)

    def pay(self, held: Held) -> None:
        """It is paid for: `held` is settled with its end. The time it took does not count against the runtime."""
        self.held, self.heard.most_tokens = held, held.output_tokens * held.asking.choices
        self._runs_from_s += held.waited_s
        self.flight.waited_s += held.waited_s

    @property
    def exchange(self) -> Exchange:
        """The open exchange."""
        assert self._exchange is not None
        return self._exchange

    async def send(
        self, path: str, headers: Headers, body: bytes, read_fault: FaultReader, wire_format: WireFormat = "openai_chat"
    ) -> None:
        """Send the request and read the reply's head. Raises FaultError; a status >= 300 is one."""
        placed, runtime = self.step.placed, self.step.placed.runtime
        if self.flight.rates is not None:
            await self._hold_to_rates(self.flight.rates)
        call = Call(
            address=self.flight.reaches.find(runtime.name).address_of(wire_format, runtime),
            path=path,
            headers=headers,
            body=body,
            egress=placed.egress,
            ceiling=self.flight.plan.ceiling,
            connect_timeout_s=runtime.connect_timeout_s,
            head_timeout_s=min(
                head_timeout_s(runtime, self.flight.features.max_tokens, streams=self.streams),
                self.flight.step_ends_s - self.started_s,
            ),
            max_connections=places_of(runtime),
            queue_wait_s=self.flight.queue_wait_s,
            caller=self.flight.features.caller.user,
            work=ANSWER_WORK + self.flight.features.prompt_tokens * PROMPT_TOKEN_WORK,
            is_background=self.flight.yields,
        )
        if self.flight.budgets and not self.is_judged:
            raise AssertionError("an attempt must be held to its budgets before it is sent")
        before_s = self.means.now()
        self._is_sent, self._body_bytes = True, len(body)
        try:
            self._exchange = exchange = await self.means.upstreams.open(call)
            self.status = exchange.status
            self._runs_from_s += exchange.queued_s
            self._ends_s = self._runs_from_s + runtime.total_timeout_s
            if self.flight.ends_s is not None:
                self._ends_s = min(self._ends_s, self.flight.ends_s)
            if exchange.status >= 300:
                raise FaultError(await self._read_fault(exchange, read_fault))
        finally:
            self.flight.waited_s += self.means.now() - before_s

    async def _hold_to_rates(self, table: RateTable) -> None:
        """Take what the rates of this runtime and deployment ask for. Raises FaultError(RATE_EXCEEDED)."""
        lines = table.of_attempts(self.step.placed.id)
        if lines and self.means.rates is not None:
            self._admission = await self.means.rates.admit(
                lines,
                self.flight.features,
                f"{self.flight.request_id}.{self.number}",
                is_background=self.flight.is_background,
                placed=self.step.placed,
            )

    async def _read_fault(self, exchange: Exchange, read_fault: FaultReader) -> Fault:
        exchange.arm(FAULT_TIMEOUT_S, Kind.FIRST_CONTENT_TIMEOUT)
        if exchange.status < 400:
            exchange.abort()
            return Fault(
                kind=Kind.UPSTREAM_ERROR,
                message=f"the runtime answered with a redirect ({exchange.status}); redirects are not followed, set its real base_url",
                status=exchange.status,
            )
        try:
            body = await exchange.read(MAX_FAULT_BYTES)
        except FaultError:
            body = b""  # the status says enough
        fault = read_fault(exchange.status, exchange.headers, body)
        reach = self.flight.reaches.find(self.step.placed.runtime.name)
        said = reach.without_key(fault.message)
        return fault if said is fault.message else msgspec.structs.replace(fault, message=said)

    async def chunk(self) -> bytes:
        """The upstream's next bytes, b"" at its end, under the deadline that holds at this point.

        Behind the finish it does not matter how the connection ends: whoever reads the stream knows whether it was whole.
        """
        exchange, now = self.exchange, self.means.now
        before_s = now()
        try:
            self._arm(exchange, before_s)
            data = await exchange.chunk()
        except FaultError:
            if not self._has_finished():
                raise
            self.abort()
            return b""
        finally:
            self.flight.waited_s += now() - before_s
        if self.tap.content:
            self.heard.more(data)
        else:
            self._count_silence(len(data))
            self.heard.first(data)
        return data

    async def whole(self, limit_bytes: int = MAX_REPLY_BYTES) -> bytes:
        """The upstream's whole body."""
        exchange, now = self.exchange, self.means.now
        before_s = now()
        self._arm(exchange, before_s)
        try:
            return await exchange.read(limit_bytes)
        finally:
            self.flight.waited_s += now() - before_s

    def _count_silence(self, size: int) -> None:
        self._silent_bytes += size
        if self._silent_bytes > MAX_SILENT_BYTES:
            self.abort()
            raise faulty(Kind.INVALID_REPLY, f"the runtime sent over {MAX_SILENT_BYTES} bytes without any content")

    def _arm(self, exchange: Exchange, now_s: float) -> None:
        """Set the deadline that holds for what is awaited from now on."""
        tap = self.tap
        if not (tap.content and self.streams):
            left_s, kind, ends_s = left_for_content(self.step.placed.runtime, self._runs_from_s, now_s, streams=self.streams)
            if not tap.content:
                left_s = min(left_s, self.flight.step_ends_s - now_s)
        else:
            left_s, kind, ends_s = self.step.placed.runtime.chunk_timeout_s, Kind.CHUNK_TIMEOUT, self._ends_s
            if tap.finish is not None and self._has_finished():
                if self._last_words_s is None:
                    self._last_words_s = now_s + AFTER_FINISH_S
                left_s = min(left_s, self._last_words_s - now_s)
        if ends_s - now_s < left_s:
            left_s, kind = ends_s - now_s, Kind.TOTAL_TIMEOUT
        if left_s <= 0:
            exchange.abort()
            raise faulty(kind, f"runtime '{self.step.placed.runtime.name}' gave no answer within its deadline")
        exchange.arm(left_s, kind)

    def _has_finished(self) -> bool:
        return self.tap.finish is not None and self.flight.features.choices == 1

    def content_began(self) -> None:
        """The first content is ready to go out."""
        self.first_content_s = self.means.now()

    def spell(self, fault: Fault) -> bytes:  # noqa: ARG002 - a whole answer has no place for a fault
        """The event that ends this attempt's stream where it breaks after its first content; b"" where there is none."""
        return b""

    def abort(self) -> None:
        """Close the upstream at once."""
        if self._exchange is not None:
            self._exchange.abort()

    def give_up(self, error: BaseException) -> None:
        """End by what was raised: a fault, a cancellation, or a defect of ours."""
        if isinstance(error, FaultError):
            self.end("fault", error.fault)
        elif isinstance(error, asyncio.CancelledError):
            self.end("cancelled")
        else:
            self.end("fault", Fault(kind=Kind.INTERNAL, message=f"a defect of Freehold ({type(error).__name__})"))

    def end(self, how: AttemptEnd, fault: Fault | None = None) -> None:
        """Write the one record of this attempt and tell the breaker. Later calls do nothing."""
        if self._ended:
            return
        self._ended = True
        means, flight, placed, tap = self.means, self.flight, self.step.placed, self.tap
        if not flight.yields:
            means.in_flight.end(placed.runtime.name)
        self.abort()  # does nothing where the answer was read to its end
        now_s = means.now()
        seconds, share_s = now_s - self.started_s, means.shares.end(placed.runtime, self._share_mark, now_s)
        self.usage = usage = believed(self._usage())
        units = self.images, self.audio_s
        cost_nano_usd, basis = price(usage, placed, share_s, self.started_ms, *units, dearer=bool(flight.features.dearer))
        was_turned_down = self._was_turned_down(fault)
        if cost_nano_usd is None and was_turned_down and (placed.egress is Egress.VENDOR or self.held is not None):
            cost_nano_usd, basis = 0, "metered"
        redacted = [f"redacted {one.count} {one.kind}" for one in flight.features.redacted] if flight.features.redacted else ()
        record = AttemptRecord(
            attempt_id=f"{flight.request_id}.{self.number}",
            request_id=flight.request_id,
            number=self.number,
            deployment=placed.deployment.id,
            runtime=placed.runtime.name,
            egress=placed.egress.value,
            sent_model=placed.deployment.served_as,
            answered_model=shown(tap.answered_model),
            fingerprint=shown(tap.fingerprint),
            mode=self.mode(),
            edits=(*sorted(tap.edits), *redacted),
            started_ms=self.started_ms,
            first_content_ms=None if self.first_content_s is None else (self.first_content_s - self.started_s) * 1000,
            duration_ms=seconds * 1000,
            end=how,
            status=self.status,
            fault=None if fault is None else fault.kind.value,
            fault_message=None if fault is None else fault.recorded,
            verdicts=self.verdicts,
            usage=usage,
            cost_nano_usd=cost_nano_usd,
            cost_basis=basis,
            images=self.images,
            audio_s=self.audio_s,
            price_version=placed.price_version,
            sent_bytes=None if placed.egress is Egress.LOCAL or self._never_left(fault) else self._body_bytes,
        )
        self._write(record, was_turned_down=was_turned_down)
        self._tell_breaker(how, fault)

    def _write(self, record: AttemptRecord, *, was_turned_down: bool) -> None:
        """Give back what was taken for it beyond what it cost, and have its record kept."""
        usage = record.usage
        if self._admission is not None:
            self._admission.end(0 if was_turned_down else None if usage is None else usage.input_tokens + usage.output_tokens)
        if self.held is None:
            self.means.ledger.attempted(record)
        elif was_turned_down:
            self.means.budgets.void(self.held, record)
        else:
            # Its request costs what its row says; but what was reserved is no usage, and rates go by what was used.
            record = msgspec.structs.replace(self.means.budgets.settle(self.held, record), usage=usage)
        self.flight.attempts.append(record)

    def _tell_breaker(self, how: AttemptEnd, fault: Fault | None) -> None:
        breakers, deployment = self.means.breakers, self.step.placed.id
        if fault is not None and not (fault.kind is Kind.OVERLOADED and self.status is None):
            breakers.failed(deployment, fault)
        elif fault is not None or how == "cancelled":  # a full runtime that was never reached is not ill
            breakers.end_probe(deployment)
        else:
            breakers.succeeded(deployment)

    def _was_turned_down(self, fault: Fault | None) -> bool:
        """The request never arrived, or was answered by an error status: vendors charge for neither."""
        return (self.status is not None and self.status >= 400) or self._never_left(fault)

    def _never_left(self, fault: Fault | None) -> bool:
        """No byte of the request can have reached anybody. A runtime whose places are all taken was never asked."""
        if not self._is_sent:
            return True
        return fault is not None and (fault.kind in NEVER_ARRIVED or (fault.kind is Kind.OVERLOADED and self.status is None))

    def mode(self) -> Literal["relay", "translate"]:
        """Whether bytes are kept, or all goes through the neutral middle."""
        return "relay" if self.is_relay else "translate"

    def _usage(self) -> Usage | None:
        """As the upstream reported it; an estimate where content came without a report, or more of it than reported."""
        reported = self.tap.usage
        if self.first_content_s is None and not self.tap.content:
            return reported
        if reported is None:
            return Usage(input_tokens=self.flight.features.prompt_tokens, output_tokens=self.heard.tokens(), basis="estimated")
        if reported.basis == "estimated":  # of the prompt alone
            return msgspec.structs.replace(reported, output_tokens=self.heard.tokens())
        if self.tap.finish is None and self.heard.is_more_than(reported.output_tokens):
            return msgspec.structs.replace(reported, output_tokens=self.heard.tokens(), basis="estimated")
        return reported
