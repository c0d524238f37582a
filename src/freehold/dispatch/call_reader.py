"""Reads a reply whose tool calls may be wrong: printed as text, or with names and arguments that its tools do not know.

Promised: text flows as it comes, but for what may still become a call; a call goes out whole, at the end of its choice where the
runtime sent it as a call; what is right keeps its bytes; what cannot be repaired goes out as it was written, and is counted. The
tap is told what was repaired, and that the runtime is speaking even while its words are held. Text that carries log probabilities
is not searched: they could not be kept together.
"""

import json
from collections.abc import Iterator, Mapping

from freehold.chat import (
    ChatRequest,
    Event,
    Finished,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    Tool,
    ToolCallDelta,
    ToolCallStarted,
)
from freehold.dispatch.flight import ChatFlight
from freehold.routing.calls.finder import Finder, Found
from freehold.routing.calls.mending import Mended, Offer
from freehold.runtime import Egress
from freehold.wire.codec import Codec, Reader, Tap, Writer
from freehold.wire.tool_names import rename
from freehold.wire.translate import TranslatePipe
from freehold.wire.turned_reader import TurnedReader

MOST_LETTERS = 4 * 1024 * 1024
"""Of a choice's calls: those of one that sends more are passed on as they come."""
_DOUBTED_FORMATS = frozenset({"openai_chat", "ollama"})


def reads_calls(flight: ChatFlight, quirks: frozenset[str], egress: Egress, upstream: Codec) -> bool:
    """Whether a deployment's tool calls have to be looked at.

    Where its quirks say so; else where it is local or self-hosted and speaks a format of local engines, which leave it to a
    parser, if any, what of a model's text is a call.
    """
    if not flight.features.tools or flight.envelope.operation == "completion" or "tools_by_schema" in quirks:
        return False
    if "text_tool_calls" in quirks or "calls_behind_words" in quirks:
        return True
    return egress is not Egress.VENDOR and upstream.FORMAT in _DOUBTED_FORMATS and "sound_tool_calls" not in quirks


def read_calls(
    upstream: Reader, request: ChatRequest, request_id: str, quirks: frozenset[str], own_names: Mapping[str, str]
) -> "CallReader | None":
    """A reader of the calls that this request allows; None: it allows none. `own_names`: see `wire.tool_names`."""
    if own_names:
        request = rename(request, {own: sent for sent, own in own_names.items()})
    choice = request.tool_choice
    tools = [tool for tool in request.tools if isinstance(tool, Tool)]
    if choice is not None and choice.mode == "named":
        tools = [tool for tool in tools if tool.name == choice.name]
    if not tools or (choice is not None and choice.mode == "none"):
        return None
    must_call = choice is not None and choice.mode in {"required", "named"}
    return CallReader(
        upstream,
        Offer(tools),
        request_id,
        reads_bare=request.output is None,
        reads_behind_words=must_call or "calls_behind_words" in quirks,
        knows_all=len(tools) == len(request.tools),
        own_names=own_names,
    )


class _Call:
    """A call that the runtime sent as one, while it comes."""

    __slots__ = ("id", "index", "name", "pieces")

    def __init__(self, started: ToolCallStarted) -> None:
        self.index = started.index
        self.id = started.id
        self.name = started.name
        self.pieces: list[str] = []


class _Choice:
    """One choice of the reply."""

    __slots__ = ("calls", "finder", "letters", "made", "next_index", "passes")

    def __init__(self, finder: Finder) -> None:
        self.finder = finder
        self.calls: dict[int, _Call] = {}
        self.made: set[tuple[str, str]] = set()
        """Calls made of text."""
        self.next_index = 0
        self.letters = 0
        self.passes: dict[int, int] | None = None
        """Too much was held: what comes passes, under these numbers."""


class CallReader(TurnedReader):
    """Finds calls in what the model writes, and fits them to their tools."""

    def __init__(
        self,
        upstream: Reader,
        offer: Offer,
        request_id: str,
        *,
        reads_bare: bool = True,
        reads_behind_words: bool = False,
        knows_all: bool = True,
        own_names: Mapping[str, str] | None = None,
    ) -> None:
        """`reads_bare`, `reads_behind_words`: as `Finder`'s. `knows_all`: a call of no tool in `offer` is a wrong one.

        `own_names`: what the client calls the tools that are offered under other names.
        """
        super().__init__(upstream)
        self.tap = Tap()
        self.left = 0
        """Calls that went out as they were, though they are none that may be made."""
        self.made = 0
        """Calls that may be made."""
        self._offer = offer
        self._call_prefix = f"call_{request_id.rpartition('_')[2]}"
        self._reads_bare = reads_bare
        self._reads_behind_words = reads_behind_words
        self._knows_all = knows_all
        self._own_names = own_names or {}
        self._choices: dict[int, _Choice] = {}

    def turn(self, events: list[Event]) -> list[Event]:
        """As `TurnedReader.turn`."""
        turned: list[Event] = []
        for event in events:
            if type(event) is TextDelta:
                if event.text:
                    self.tap.content = True
                if event.refusal or event.logprobs is not None or not event.text:
                    turned.append(event)
                else:
                    self._take_text(event, turned)
            elif isinstance(event, ToolCallStarted):
                self.tap.content = True
                self._begin_call(event, turned)
            elif isinstance(event, ToolCallDelta):
                self._take_arguments(event, turned)
            elif isinstance(event, Finished):
                turned.extend(self._finish(event))
            else:
                if isinstance(event, ReasoningDelta):
                    self.tap.content = True
                turned.append(event)
        return turned

    def _choice(self, number: int) -> _Choice:
        choice = self._choices.get(number)
        if choice is None:
            finder = Finder(self._offer, reads_bare=self._reads_bare, reads_behind_words=self._reads_behind_words)
            choice = self._choices[number] = _Choice(finder)
        return choice

    def _take_text(self, event: TextDelta, turned: list[Event]) -> None:
        choice = self._choice(event.choice)
        found = choice.finder.feed(event.text)
        if len(found) == 1 and found[0] is event.text:
            turned.append(event)
        elif found:
            turned.extend(self._said(found, event.choice, choice))

    def _said(self, found: list[Found], number: int, choice: _Choice) -> Iterator[Event]:
        for one in found:
            if isinstance(one, str):
                yield TextDelta(one, number)
            else:
                choice.made.add((one.name, _plain(one.arguments)))
                prefix = f"{self._call_prefix}_{number}" if number else self._call_prefix
                yield from self._call(f"{prefix}_{choice.next_index}", one, number, choice)

    def _call(self, call_id: str, call: Mended, number: int, choice: _Choice) -> Iterator[Event]:
        self.tap.edits |= call.repairs
        self.made += 1
        index = choice.next_index
        choice.next_index += 1
        yield ToolCallStarted(index, call_id, self._own_names.get(call.name, call.name), number)
        if call.arguments:
            yield ToolCallDelta(index, call.arguments, number)

    def _begin_call(self, event: ToolCallStarted, turned: list[Event]) -> None:
        choice = self._choice(event.choice)
        if choice.passes is None:
            choice.calls[event.index] = _Call(event)
            return
        choice.passes[event.index] = choice.next_index
        name = self._own_names.get(event.name, event.name)
        turned.append(ToolCallStarted(choice.next_index, event.id, name, event.choice))
        choice.next_index += 1

    def _take_arguments(self, event: ToolCallDelta, turned: list[Event]) -> None:
        choice = self._choice(event.choice)
        if choice.passes is not None:
            turned.append(ToolCallDelta(choice.passes[event.index], event.arguments, event.choice))
            return
        choice.calls[event.index].pieces.append(event.arguments)
        choice.letters += len(event.arguments)
        if choice.letters > MOST_LETTERS:
            choice.passes = {}
            for call in choice.calls.values():
                choice.passes[call.index] = choice.next_index
                turned += self._call(call.id, Mended(call.name, "".join(call.pieces)), event.choice, choice)

    def _finish(self, event: Finished) -> Iterator[Event]:
        number = event.choice
        choice = self._choice(number)
        was_limited = event.reason == "length"
        yield from self._said(choice.finder.end(was_limited=was_limited), number, choice)
        self.tap.edits |= choice.finder.repairs
        self.left += choice.finder.left
        if choice.passes is None:
            for call in choice.calls.values():
                mended = self._mended(call, was_limited)
                if (mended.name, _plain(mended.arguments)) not in choice.made:  # some engines send it both ways
                    yield from self._call(call.id, mended, number, choice)
        reason: FinishReason = "tool_calls" if choice.made and event.reason in {"stop", "stop_sequence"} else event.reason
        yield event if reason == event.reason else Finished(reason, None, number)

    def _mended(self, call: _Call, was_limited: bool) -> Mended:
        arguments = "".join(call.pieces)
        mended = self._offer.mend_structured(call.name, arguments, was_limited=was_limited)
        if mended is not None:
            return mended
        if self._knows_all or call.name in self._offer.names:
            self.left += 1
            self.made -= 1
            self.tap.edits.add("call_left")
        return Mended(call.name, arguments)


def _plain(arguments: str) -> str:
    """Arguments in one spelling, to tell whether two are the same."""
    try:
        return json.dumps(json.loads(arguments or "{}"), sort_keys=True)
    except ValueError:
        return arguments


class CallPipe(TranslatePipe):
    """A `TranslatePipe` whose reader may hold words that were seen already."""

    __slots__ = ("has_let_out",)

    def __init__(self, reader: CallReader, writer: Writer) -> None:
        super().__init__(reader, writer)
        reader.tap = self.tap
        self.has_let_out = False
        """Content went to the client: no fallback any more. (`tap.content` says that some was seen.)"""

    def _write(self, events: list[Event]) -> bytes:
        if not self.has_let_out:
            self.has_let_out = any(map(_is_content, events))
        return super()._write(events)


def _is_content(event: Event) -> bool:
    match event:
        case TextDelta(text) | ReasoningDelta(text):
            return bool(text) or (isinstance(event, ReasoningDelta) and event.redacted is not None)
        case ToolCallStarted() | ToolCallDelta():
            return True
        case _:
            return False
