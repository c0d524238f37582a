"""A chat attempt: relay or translate, as the wire formats and the deployment's quirks demand."""

from collections.abc import Callable, Mapping

import msgspec

from freehold.chat import Reply, Usage
from freehold.dispatch.attempt import Attempt, Means
from freehold.dispatch.cache_salt import salt_of
from freehold.dispatch.call_reader import CallReader, reads_calls
from freehold.dispatch.client_place import as_client_counts
from freehold.dispatch.flight import ChatFlight
from freehold.dispatch.heard import Heard
from freehold.dispatch.mend import as_asked_of, must_be_read, needs_mending, quirks_of, without_searches
from freehold.dispatch.paying import must_reserve, reserve_for_chat
from freehold.dispatch.reach import Headers
from freehold.fault import Fault, FaultError
from freehold.fit.context import fits
from freehold.record import Verdict
from freehold.routing.cut import find_cut
from freehold.routing.plan import Hold, Step
from freehold.runtime import Egress, Runtime
from freehold.wire import ndjson
from freehold.wire.codec import Codec, EditName, Envelope, Sent, Tap
from freehold.wire.formats import CODECS

PASSED_ON_HEADERS = ("anthropic-beta", "anthropic-version", "openai-beta")
"""Client headers that change what the upstream does, passed on with its own body only."""
PROGRESS: dict[str, msgspec.Raw] = {"return_progress": msgspec.Raw(b"true")}
"""llama.cpp's server writes while it reads a prompt only when asked to, and notices a client that left only when it writes."""

_TRUE = msgspec.Raw(b"true")
STREAM: dict[str, msgspec.Raw] = {"stream": msgspec.Raw(b"true"), "stream_options": msgspec.Raw(b'{"include_usage":true}')}


class ChatAttempt(Attempt):
    """One try at a chat deployment."""

    def __init__(self, means: Means, flight: ChatFlight, step: Step, hold: Hold, *, by_schema: bool = False) -> None:
        """`by_schema`: the model is held to its tools by constrained decoding, whatever its quirks say."""
        runtime = step.placed.runtime
        speaks_it = flight.codec.FORMAT in runtime.formats
        upstream_codec: Codec = flight.codec if speaks_it else _codec_of(runtime, flight.envelope)
        self.quirks = quirks_of(step.placed, flight.codec.FORMAT, upstream_codec.FORMAT)
        if by_schema:
            self.quirks |= {"tools_by_schema"}
        self.reads_calls = bool(flight.features.tools) and reads_calls(flight, self.quirks, step.placed.egress, upstream_codec)
        sends_as_is = (
            hold == "none"
            and speaks_it
            and not (self.quirks and needs_mending(flight, self.quirks))
            and not must_be_read(flight, step.placed.egress)
        )
        self._sends_as_is = sends_as_is
        is_relay = sends_as_is and not self.reads_calls and flight.placeholders is None
        super().__init__(means, flight, step, is_relay=is_relay, streams=flight.envelope.stream or "always_stream" in self.quirks)
        self.chat = flight
        self.upstream_codec = upstream_codec
        if self.upstream_codec.STREAM_TYPE == ndjson.STREAM_TYPE:
            self.heard = Heard(ndjson.LINE_END)
        self.keeps_body = sends_as_is or (speaks_it and flight.envelope.operation == "completion")
        """The client's own body goes out, also where the reply is read: for its calls, or since a prompt has no other spelling."""
        if flight.placeholders is not None:
            self.tap.edits.add("redacted")
        self.calls: CallReader | None = None
        """Reads the reply's calls, where they have to be looked at."""
        self.own_names: Mapping[str, str] = {}
        """The client's names of tools that went out under other ones."""
        self._goes_on_elsewhere = flight.codec.FORMAT == "openai_responses" and flight.envelope.top.get("background") == _TRUE
        self.is_by_schema = by_schema
        if by_schema:
            self.tap.edits.add("call_by_schema")
        self._cut_of: Usage | None = None
        self._cut = ""
        """What this report says of the prompt: asked for by the record, the headers and the row."""
        self.tell: Callable[[Fault], bytes] | None = None
        """How the stream under way tells a fault, once there is one."""

    def cut(self, usage: Usage | None) -> str:
        """What is known of a prompt that was not read whole; "": nothing."""
        features = self.flight.features
        if usage is None or usage.basis != "reported" or features.images or features.operation != "chat":
            return ""
        if self._cut_of is not usage:
            self._cut_of = usage
            self._cut = find_cut(
                features.prompt_tokens,
                is_exact=features.prompt_tokens_exact,
                sent_bytes=self._body_bytes,
                read_tokens=usage.input_tokens,
            )
        return self._cut

    def _usage(self) -> Usage | None:
        """As `Attempt._usage`. A prompt that was cut is told on the record, whether or not a rule asks for it.

        What goes on in the background has only begun when its answer ends, so nothing is known of what it will use.
        """
        usage = super()._usage()
        if self._goes_on_elsewhere and usage is not None and usage.basis == "estimated":
            return None
        found = self.cut(usage)
        if found and not any(verdict.check == "prompt_cut" for verdict in self.verdicts):
            self.verdicts = (*self.verdicts, Verdict("prompt_cut", True, found))
        return usage

    async def open(self) -> None:
        """Send the request and read the reply's head. Raises FaultError."""
        body, edits = self._body(None)
        if self.flight.budgets and must_reserve(self):
            longest = await reserve_for_chat(self, body, self._answer_ceiling())
            if longest is not None:
                body, edits = self._body(longest)
                self.tap.edits.add("max_tokens_for_budget")
        self.tap.edits.update(edits)
        codec = self.upstream_codec
        await self.send(codec.PATH, self._headers(), body, codec.read_fault, codec.FORMAT)

    def spell(self, fault: Fault) -> bytes:
        """The client's own error event."""
        told = self.tell(fault) if self.tell is not None else b""
        return told or self.chat.codec.writer(self.chat.asked).fault(fault)

    def _body(self, paid_tokens: int | None) -> tuple[bytes, tuple[EditName, ...]]:
        """The body to send; its answer no longer than `paid_tokens`, where a budget says so."""
        sent = Sent(
            model=self.step.placed.deployment.served_as,
            max_tokens_ceiling=self._answer_ceiling() if paid_tokens is None else paid_tokens,
            quirks=self.quirks,
            extra=self._extra(),
            fill_in=self.step.placed.fill_in,
            searches=self.step.placed.egress is Egress.VENDOR or "fetches" in self.quirks,
            window=self._window(),
        )
        envelope = self.chat.envelope_at(self.step.placed.egress)
        if envelope is not self.chat.envelope:
            self.tap.edits.add("steady_prefix")
        if self.keeps_body:
            return self.upstream_codec.relay_request(envelope, sent)
        request, self.own_names = as_asked_of(self.chat, envelope, self.upstream_codec.FORMAT, self.quirks)
        if self.own_names:
            self.tap.edits.add("tool_names")
        left = request if sent.searches else without_searches(request, self.upstream_codec.FORMAT)
        if left is not request:
            request = left
            self.tap.edits.add("search_left_out")
        if self.streams and not request.stream:
            request = msgspec.structs.replace(request, stream=True, stream_usage=True)
        try:
            return self.upstream_codec.write_request(request, sent), ()
        except FaultError as error:
            raise as_client_counts(error, request, envelope) from None

    def _extra(self) -> dict[str, msgspec.Raw]:
        extra: dict[str, msgspec.Raw] = {}
        if "always_stream" in self.quirks:
            extra = STREAM | PROGRESS if self.keeps_body and not self.chat.envelope.stream else PROGRESS
        if "cache_salt" in self.quirks:
            extra = extra | {"cache_salt": salt_of(self.flight.features.caller, self.means.cache_secret())}
        return extra

    def _window(self) -> int | None:
        """Tokens really served, else as configured."""
        placed = self.step.placed
        return self.means.windows.get(placed.id, placed.deployment.abilities.context)

    def _answer_ceiling(self) -> int | None:
        """The longest answer that still fits the window really served; None: nothing to clamp.

        A client that set no limit keeps none, except towards the format that demands one.
        """
        placed, features = self.step.placed, self.flight.features
        if features.max_tokens is None and self.upstream_codec.FORMAT != "anthropic_messages":
            return None
        window = self._window()
        longest = placed.deployment.abilities.max_output
        if window is None:
            return longest
        room = fits(features.prompt_tokens, features.prompt_tokens_exact, features.max_tokens, window).answer_tokens
        if room is None or longest is None:
            return room if longest is None else longest
        return min(room, longest)

    def _headers(self) -> Headers:
        credentials = self.flight.reaches.find(self.step.placed.runtime.name).credentials(self.upstream_codec.FORMAT)
        given = self.flight.headers
        passed = tuple((name, given[name]) for name in PASSED_ON_HEADERS if name in given) if self._sends_as_is else ()
        if passed:
            # The client's own anthropic-version wins over ours; keys are never among what is passed on.
            credentials = tuple(pair for pair in credentials if pair[0] not in dict(passed))
        return (("content-type", "application/json"), *passed, *credentials)


def _codec_of(runtime: Runtime, envelope: Envelope) -> Codec:
    """The best format of a runtime that a conversation can be said in, or the one that a text with a gap can."""
    if envelope.fill_in and "openai_completions" in runtime.formats:
        return CODECS["openai_completions"]
    return CODECS[next((one for one in runtime.formats if one != "openai_completions"), runtime.formats[0])]


def warning_of(attempt: Attempt) -> str:
    """What the client should know of an answer it is given all the same; "": nothing, as far as is known by now."""
    found = attempt.cut(attempt.tap.usage) if isinstance(attempt, ChatAttempt) else ""
    return f"prompt_cut: {found}" if found else ""


def note_reply(tap: Tap, reply: Reply) -> None:
    """Fill the tap from a reply that was read whole."""
    tap.content = True
    tap.usage = reply.usage
    tap.answered_model = reply.model
    tap.fingerprint = reply.fingerprint
    tap.finish = reply.choices[0].finish if reply.choices else None
