"""Runs a plan: step after step until one answer may go out, escalating poor answers where the plan says so.

Promised: a caller's fault never falls back; nothing falls back after content; a poor answer is still better than
none, so it is kept and goes out when no escalation succeeds; every attempt ends with exactly one record.
"""

from collections.abc import Sequence

from freehold.chat import Choice, Reply, fold
from freehold.dispatch.admission import admit, exhausted
from freehold.dispatch.answers import Answer, StreamAnswer
from freehold.dispatch.asked_again import may_ask_by_schema
from freehold.dispatch.attempt import MAX_REPLY_BYTES, Attempt, Means
from freehold.dispatch.call_reader import CallPipe, CallReader, read_calls
from freehold.dispatch.chat_attempt import ChatAttempt, note_reply
from freehold.dispatch.flight import ChatFlight
from freehold.dispatch.held import Gathered, HeldPipe
from freehold.dispatch.own_count import count_prompt
from freehold.dispatch.paying import ends_plan
from freehold.dispatch.restoring import RestoringWriter, restore_reply
from freehold.dispatch.schema_tools import SchemaToolReader, offers_by_schema
from freehold.dispatch.verdicts import judge_reply
from freehold.fault import Fault, FaultError, Kind, faulty
from freehold.limits.over_budget import OverBudgetError
from freehold.routing.plan import Escalate, Hold, Step
from freehold.sessions.sticky import Sticky, lane_of
from freehold.wire.call_ids import CallIdReader
from freehold.wire.codec import Pipe, Reader, Writer
from freehold.wire.tool_names import NameReader
from freehold.wire.translate import TranslatePipe, note_events

MAX_PLAIN_BYTES = 8 * 1024 * 1024
"""A whole reply of one choice without log probabilities: ten times the longest text, and room for a picture in it."""
MOST_OBJECTS = 100_000
"""Braces in such a reply. Each empty object costs us thirty times its bytes."""


class Dispatch:
    """Fallback orchestration for chat requests."""

    def __init__(self, means: Means, sticky: Sticky) -> None:
        self._means = means
        self._sticky = sticky

    async def run(self, flight: ChatFlight) -> Answer:
        """The answer of the first step that gives one. Raises FaultError when none does, or the plan refuses."""
        plan = flight.plan
        if plan.refusal is not None:
            raise FaultError(plan.refusal)
        answer = await self._first_served(flight, plan.steps, plan.escalate)
        if answer.is_poor and plan.escalate is not None:
            answer = await self._escalated(flight, answer, plan.escalate)
        answer.take()
        if flight.features.session is not None:
            self._sticky.set(flight.features.caller, flight.features.session, answer.placed.id, lane_of(flight.features))
        return answer

    async def count(self, flight: ChatFlight) -> int | None:
        """The prompt's tokens, as the runtime that would serve it counts them; None: it is no engine that says."""
        return await count_prompt(self._means.upstreams, flight)

    async def _first_served(self, flight: ChatFlight, steps: Sequence[Step], escalate: Escalate | None) -> Answer:
        last: Fault | None = None
        too_small = 0
        for at, step in enumerate(steps):
            window = self._window(step)
            if window is not None and window <= too_small:
                continue
            refused = admit(self._means, flight, step, steps[at + 1 :])
            if refused is not None:
                last = last or refused
                continue
            try:
                return await self._try(flight, step, escalate)
            except FaultError as error:
                if not error.fault.meaning.falls_back or ends_plan(error, flight):
                    raise
                last = last or error.fault if isinstance(error, OverBudgetError) else error.fault
                if last.kind is Kind.CONTEXT_OVERFLOW:
                    too_small = max(too_small, window or 0)
        raise exhausted(last)

    def _window(self, step: Step) -> int | None:
        return self._means.windows.get(step.placed.id, step.placed.deployment.abilities.context)

    async def _escalated(self, flight: ChatFlight, poor: Answer, escalate: Escalate) -> Answer:
        """A better answer from further up, or the poor one where none comes."""
        kept = poor
        tried = {record.deployment for record in flight.attempts} | {poor.placed.id}
        left = escalate.at_most
        for step in escalate.steps:
            if left <= 0:
                break
            if step.placed.id in tried or admit(self._means, flight, step, (), may_spill=True) is not None:
                continue
            left -= 1
            try:
                answer = await self._try(flight, step, escalate)
            except FaultError:
                continue
            except BaseException:
                kept.leave()
                raise
            if not answer.is_poor:
                kept.leave()
                return answer
            answer.leave()
        return kept

    async def _try(self, flight: ChatFlight, step: Step, escalate: Escalate | None) -> Answer:
        if escalate is not None and all(other.placed is step.placed for other in escalate.steps):
            escalate = None  # there is nowhere to go from here: judging would be work for nothing
        hold: Hold = "none" if escalate is None or not flight.envelope.stream else escalate.hold
        if hold == "tools" and not flight.features.tools:
            hold = "none"
        answer = await self._answer(flight, step, hold, escalate)
        if not may_ask_by_schema(answer, escalate) or admit(self._means, flight, step, (), may_spill=True) is not None:
            return answer
        try:
            held = await self._answer(flight, step, hold, escalate, by_schema=True)
        except FaultError:
            return answer
        except BaseException:
            answer.leave()
            raise
        answer.leave()
        return held

    async def _answer(
        self, flight: ChatFlight, step: Step, hold: Hold, escalate: Escalate | None, *, by_schema: bool = False
    ) -> Answer:
        try:
            attempt = ChatAttempt(self._means, flight, step, hold, by_schema=by_schema)
        except BaseException:
            self._means.breakers.end_probe(step.placed.id)
            raise
        try:
            await attempt.open()
            if flight.envelope.stream:
                return await self._stream(attempt, hold, escalate)
            return await self._whole(attempt, escalate)
        except BaseException as error:
            attempt.give_up(error)
            raise

    async def _whole(self, attempt: ChatAttempt, escalate: Escalate | None) -> Answer:
        flight, codec = attempt.chat, attempt.chat.codec
        _refuse_html(attempt)
        if attempt.streams and not _is_json(attempt):
            return await self._folded(attempt, escalate)
        body = await _whole_body(attempt)
        if attempt.is_relay:
            out, tap = codec.relay_whole(body, flight.asked)
            tap.edits |= attempt.tap.edits
            attempt.tap = tap
            attempt.heard.whole(body, tap.usage)
            if escalate is None:
                attempt.content_began()
                return Answer(attempt, out)
            reply = fold(codec.reader().whole(body))
        else:
            reply = fold(self._reader(attempt).whole(body))
            note_reply(attempt.tap, reply)
            attempt.heard.whole(body, attempt.tap.usage)
            out = codec.write_whole(_restored(reply, flight), flight.asked)
        attempt.content_began()
        return Answer(attempt, out, judge_reply(attempt, reply, escalate))

    async def _folded(self, attempt: ChatAttempt, escalate: Escalate | None) -> Answer:
        """The upstream streams although the client wants a whole answer: a runtime that notices leaving only so."""
        reader, gathered = self._reader(attempt), Gathered()
        while data := await attempt.chunk():
            new = reader.feed(data)
            note_events(attempt.tap, new)
            gathered.add(new)
        last = reader.end()
        note_events(attempt.tap, last)
        gathered.add(last)
        reply = fold(gathered.events)
        attempt.content_began()
        out = attempt.chat.codec.write_whole(_restored(reply, attempt.chat), attempt.chat.asked)
        return Answer(attempt, out, judge_reply(attempt, reply, escalate))

    async def _stream(self, attempt: ChatAttempt, hold: Hold, escalate: Escalate | None) -> Answer:
        _refuse_html(attempt)
        if _is_json(attempt):
            return await self._unstreamed(attempt, escalate)
        pipe = self._pipe(attempt, hold)
        ready: list[bytes] = []
        while data := await attempt.chunk():
            out = pipe.feed(data)
            if out:
                ready.append(out)
            if pipe.has_let_out if isinstance(pipe, HeldPipe | CallPipe) else pipe.tap.content:
                attempt.content_began()
                live = JudgedPipe(attempt, pipe, escalate) if isinstance(pipe, HeldPipe) else pipe
                return StreamAnswer(attempt, b"".join(ready), live)
        # The upstream ended before any content was let out: all of it can still be judged.
        ready.append(pipe.end())
        reply = pipe.reply() if isinstance(pipe, HeldPipe) else Reply(choices=(Choice(finish=pipe.tap.finish),))
        verdicts = judge_reply(attempt, reply, escalate)
        if isinstance(pipe, HeldPipe):
            ready.append(pipe.release())
        attempt.content_began()
        return StreamAnswer(attempt, b"".join(ready), None, verdicts)

    async def _unstreamed(self, attempt: ChatAttempt, escalate: Escalate | None) -> Answer:
        """The upstream was asked for a stream and sent a whole reply: it becomes a stream of one piece."""
        events = self._reader(attempt).whole(await _whole_body(attempt))
        reply = fold(events)
        note_reply(attempt.tap, reply)
        writer = _writer(attempt.chat)
        out = b"".join(map(writer.write, events)) + writer.close()
        attempt.content_began()
        return StreamAnswer(attempt, out, None, judge_reply(attempt, reply, escalate))

    def _reader(self, attempt: ChatAttempt) -> Reader:
        reader = attempt.upstream_codec.reader()
        if "tools_by_schema" in attempt.quirks and not attempt.keeps_body:  # then the request was read to be written anyway
            request = attempt.chat.request()
            if offers_by_schema(request):
                return SchemaToolReader(reader, attempt.chat.request_id, reply_is_json=request.output is not None)
        if attempt.chat.features.tools:
            reader = CallIdReader(reader, attempt.chat.envelope.body, attempt.chat.request_id)
        if attempt.reads_calls:
            attempt.calls = read_calls(
                reader, attempt.chat.offering(), attempt.chat.request_id, attempt.quirks, attempt.own_names
            )
            if attempt.calls is not None:
                attempt.calls.tap = attempt.tap
                return attempt.calls
        return NameReader(reader, attempt.own_names) if attempt.own_names else reader

    def _pipe(self, attempt: ChatAttempt, hold: Hold) -> Pipe | HeldPipe:
        flight = attempt.chat
        pipe: Pipe | HeldPipe
        if attempt.is_relay:
            pipe = flight.codec.relay_pipe(flight.asked)
        else:
            reader, writer = self._reader(attempt), _writer(flight)
            if hold != "none":
                pipe = HeldPipe(reader, writer, hold)
            elif isinstance(reader, CallReader):
                pipe = CallPipe(reader, writer)
            else:
                pipe = TranslatePipe(reader, writer)
            if isinstance(reader, CallReader):
                reader.tap = pipe.tap
        pipe.tap.edits |= attempt.tap.edits
        attempt.tap = pipe.tap
        attempt.tell = pipe.fault
        return pipe


class JudgedPipe:
    """A held stream after its text began to flow: the rest is judged at the end, for the record."""

    def __init__(self, attempt: ChatAttempt, pipe: HeldPipe, escalate: Escalate | None) -> None:
        self._attempt = attempt
        self._pipe = pipe
        self._escalate = escalate

    def feed(self, data: bytes) -> bytes:
        """As `Pipe.feed`."""
        return self._pipe.feed(data)

    def end(self) -> bytes:
        """As `Pipe.end`, with what was held."""
        out = self._pipe.end()
        judge_reply(self._attempt, self._pipe.reply(), self._escalate)
        return out + self._pipe.release()


def _writer(flight: ChatFlight) -> Writer:
    """The client's writer, which puts back what was redacted."""
    writer = flight.codec.writer(flight.asked)
    if flight.placeholders is None:
        return writer
    return RestoringWriter(writer, flight.placeholders, is_json=flight.features.schema)


def _restored(reply: Reply, flight: ChatFlight) -> Reply:
    if flight.placeholders is None:
        return reply
    return restore_reply(reply, flight.placeholders, is_json=flight.features.schema)


async def _whole_body(attempt: ChatAttempt) -> bytes:
    """The whole reply, no larger than one of its kind can be, nor made of more pieces than one ever is."""
    features = attempt.flight.features
    is_plain = features.choices == 1 and not features.logprobs
    body = await attempt.whole(MAX_PLAIN_BYTES if is_plain else MAX_REPLY_BYTES)
    if is_plain and len(body) > MOST_OBJECTS and body.count(b"{") > MOST_OBJECTS:
        raise faulty(Kind.INVALID_REPLY, f"the runtime's answer holds more than {MOST_OBJECTS} JSON objects")
    return body


def _is_json(attempt: Attempt) -> bool:
    return attempt.exchange.headers.get("content-type", "").lower().startswith("application/json")


def _refuse_html(attempt: Attempt) -> None:
    """A portal or proxy page under status 200 is no answer."""
    if attempt.exchange.headers.get("content-type", "").lower().startswith("text/html"):
        attempt.exchange.abort()
        raise faulty(Kind.INVALID_REPLY, "the runtime answered with an HTML page; is its base_url right, is a proxy in between?")
