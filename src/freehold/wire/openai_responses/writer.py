"""Writes the seven events as a Responses stream, and a folded reply as a whole response.

Promised: every event the format documents, in its order, numbered from 0; ids that stay the same from the first event to
the last; an item ends before the next one begins, but for a call whose arguments are not whole yet, which ends when they
are. The last event waits for `close`, when the last usage is known. A whole response is the last event of its stream.
After a fault nothing follows. Dropped, because the format has no place: all choices but the first, the stop sequence that
matched, the fingerprint. `stop_sequence` and `pause` become an ordinary end.
"""

from typing import Any

import msgspec

from freehold.chat import (
    Event,
    Finished,
    FinishReason,
    ReasoningDelta,
    Reply,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
    UsageReported,
    unfold,
)
from freehold.fault import Fault, Kind, faulty
from freehold.wire.body import UNREADABLE
from freehold.wire.codec import Asked
from freehold.wire.openai_responses.echo import begun, ended, failed, make_frame, reply_id_of
from freehold.wire.openai_responses.items import Called, Freeform, Item, Said, Spoken, Thought
from freehold.wire.openai_responses.tools import ToolName, names_of

_encode = msgspec.json.Encoder().encode
MOST_LETTERS = 8 * 1024 * 1024


class _Reasoning(msgspec.Struct, frozen=True):
    summary: str | None = None
    generate_summary: str | None = None


_REASONING = msgspec.json.Decoder(_Reasoning | None)


class ResponsesWriter:
    """One stream being written. See `wire.codec.Writer`."""

    __slots__ = (
        "_asked", "_calls", "_closed", "_delta_head", "_finish", "_frame", "_ids", "_items", "_letters", "_names", "_number", "_open", "_refused",
        "_seed", "_started", "_summarises", "_usage", "response",
    )  # fmt: skip

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._seed = reply_id_of(asked).removeprefix("resp_")
        self._frame: dict[str, Any] = {}
        self._number = 0
        self._letters = 0
        self._items: list[Item] = []
        self._open: tuple[int, Item] | None = None
        """The newest item, while it may go on."""
        self._delta_head = b""
        """Of a text delta of the open message."""
        self._calls: dict[int, int] = {}
        """Items of calls, by the number of the call."""
        self._ids: set[str] = set()
        self._names: dict[str, ToolName] | None = None
        self._summarises = _wants_summary(asked)
        self._started = self._closed = self._refused = False
        self._finish: FinishReason | None = None
        self._usage: Usage | None = None
        self.response: dict[str, Any] = {}
        """The finished response, once there is one."""

    def write(self, event: Event) -> bytes:
        """See `wire.codec.Writer.write`. Raises FaultError(INVALID_REPLY) for a call that goes on behind its end."""
        if type(event) is TextDelta and self._delta_head and event.logprobs is None and not event.refusal and event.choice == 0:
            return self._go_on(event.text) if event.text else b""
        if self._closed:
            return b""
        match event:
            case Started():
                return self._start(event)
            case UsageReported(usage):
                self._usage = usage
                return b""
            case _ if event.choice != 0:
                return b""
            case Finished(reason):
                self._finish = reason
                return b""
            case _:
                start = b"" if self._started else self._start(Started())
                return start + self._say_more(event)

    def _say_more(self, event: TextDelta | ReasoningDelta | ToolCallStarted | ToolCallDelta) -> bytes:
        match event:
            case TextDelta():
                return self._speak(event)
            case ReasoningDelta():
                return self._think(event)
            case ToolCallStarted():
                return self._call(event)
            case ToolCallDelta(index, arguments):
                return self._continue_call(index, arguments)

    def close(self) -> bytes:
        """See `wire.codec.Writer.close`."""
        if self._closed:
            return b""
        start = b"" if self._started else self._start(Started())
        is_cut = self._finish in {"length", "content_filter"}
        last = b"".join([self._end_last(at, item, is_cut=is_cut) for at, item in self._unended()])
        self._closed, self._open = True, None
        output = [item.shown() for item in self._items]
        finish = self._finish or "stop"
        kind, self.response = ended(self._frame, output, finish, self._usage, self._asked.now_s, refused=self._refused)
        return start + last + self._say(f"response.{kind}", {"response": self.response})

    def fault(self, fault: Fault) -> bytes:
        """See `wire.codec.Writer.fault`. Items that are not done are left out of the failed response."""
        start = b"" if self._started else self._start(Started())
        self._closed, self._delta_head = True, b""
        self.response, error = failed(self._frame, [item.shown() for item in self._items if not item.is_open], fault)
        return start + self._say("response.failed", {"response": self.response}) + self._say("error", error)

    def resume(self, reply_id: str, created_s: int | None, number: int) -> None:
        """Go on where a relayed stream stands, which has this id and whose next event has this number."""
        self._asked = msgspec.structs.replace(self._asked, reply_id=reply_id)
        self._frame = {**make_frame(self._asked, self._asked.now_s if created_s is None else created_s), "id": reply_id}
        self._started, self._number = True, number

    def _start(self, started: Started) -> bytes:
        if self._started:
            return b""
        self._started = True
        self._usage = started.usage
        asked = self._asked
        if started.id and started.id.startswith("resp_"):
            asked = msgspec.structs.replace(asked, reply_id=started.id)
        self._frame = make_frame(asked, asked.now_s if started.created_s is None else started.created_s)
        response = begun(self._frame)
        return self._say("response.created", {"response": response}) + self._say("response.in_progress", {"response": response})

    def _say(self, kind: str, fields: dict[str, Any]) -> bytes:
        number, self._number = self._number, self._number + 1
        data = _encode({"type": kind, **fields, "sequence_number": number})
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)

    def _say_all(self, at: int, said: list[Said]) -> bytes:
        place = {"item_id": self._items[at].item_id, "output_index": at}
        return b"".join([self._say(kind, {**place, **fields}) for kind, fields in said])

    def _go_on(self, text: str) -> bytes:
        """More text of the open message: most of what is ever written."""
        assert self._open is not None
        self._keep(text)
        self._open[1].texts.append(text)
        number, self._number = self._number, self._number + 1
        return b'%b%b,"logprobs":[],"sequence_number":%d}\n\n' % (self._delta_head, _encode(text), number)

    def _keep(self, text: str) -> None:
        """The last event says everything again, so there is a bound to it."""
        self._letters += len(text)
        if self._letters > MOST_LETTERS:
            raise faulty(Kind.INVALID_REPLY, f"the runtime's answer is longer than {MOST_LETTERS} letters")

    def _begin(self, item: Item) -> bytes:
        """End what may be ended, and begin this one."""
        out = [self._end_item(at, "completed") for at, other in self._unended() if not _may_go_on(other)]
        at = len(self._items)
        self._items.append(item)
        self._open = at, item
        self._delta_head = b""
        out.append(self._say("response.output_item.added", {"output_index": at, "item": item.shown()}))
        out.append(self._say_all(at, item.begin()))
        return b"".join(out)

    def _end_item(self, at: int, status: str) -> bytes:
        item = self._items[at]
        item.status = status
        self._delta_head = b""
        said = self._say_all(at, item.end())
        return said + self._say("response.output_item.done", {"output_index": at, "item": item.shown()})

    def _end_last(self, at: int, item: Item, *, is_cut: bool) -> bytes:
        """End an item with the response. A call that was cut short is not told as done: clients run it on that word."""
        if is_cut and isinstance(item, Called) and not item.is_whole():
            item.status = "incomplete"
            return b""
        return self._end_item(at, "incomplete" if is_cut else "completed")

    def _unended(self) -> list[tuple[int, Item]]:
        return [(at, item) for at, item in enumerate(self._items) if item.is_open]

    def _speak(self, event: TextDelta) -> bytes:
        kind = "refusal" if event.refusal else "text"
        if not event.text and event.logprobs is None:
            return b""
        self._refused = self._refused or event.refusal
        start = b""
        if self._open is None or self._open[1].kind != kind or not self._open[1].is_open:
            start = self._begin(Spoken(f"msg_{self._seed}_{len(self._items)}", refusal=event.refusal))
        assert self._open is not None
        at, item = self._open
        assert isinstance(item, Spoken)
        if kind == "text":
            self._delta_head = (
                b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","item_id":%b,"output_index":%d,'
                b'"content_index":0,"delta":' % (_encode(item.item_id), at)
            )
            if event.logprobs is None:
                return start + self._go_on(event.text)
            item.logprobs.append(event.logprobs)
        self._keep(event.text)
        item.texts.append(event.text)
        fields: dict[str, Any] = {"content_index": 0, "delta": event.text}
        if kind == "text":
            fields["logprobs"] = event.logprobs
        return start + self._say_all(at, [("response.output_text.delta" if kind == "text" else "response.refusal.delta", fields)])

    def _think(self, event: ReasoningDelta) -> bytes:
        """A signature ends its item, and what is encrypted has one of its own."""
        if not (event.text or event.signature or event.redacted):
            return b""
        start = b""
        if self._open is None or self._open[1].kind != "thinking" or not self._open[1].is_open or event.redacted:
            start = self._begin(Thought(f"rs_{self._seed}_{len(self._items)}", summarised=self._summarises))
        assert self._open is not None
        at, item = self._open
        assert isinstance(item, Thought)
        self._keep(event.text)
        said = self._say_all(at, item.say(event.text)) if event.text else b""
        if event.signature or event.redacted:
            item.signature, item.redacted = event.signature, event.redacted
            said += self._end_item(at, "completed")
        return start + said

    def _call(self, event: ToolCallStarted) -> bytes:
        if self._names is None:
            self._names = names_of(self._asked.top)
        name = self._names.get(event.name) or ToolName("function", event.name)
        at = self._calls[event.index] = len(self._items)
        call_id = event.id if event.id and event.id not in self._ids else f"call_{self._seed}_{event.index}"
        self._ids.add(call_id)
        if name.kind == "custom":
            return self._begin(Freeform(f"ctc_{self._seed}_{at}", call_id, name))
        return self._begin(Called(f"fc_{self._seed}_{at}", call_id, name))

    def _continue_call(self, index: int, arguments: str) -> bytes:
        at = self._calls.get(index)
        item = None if at is None else self._items[at]
        if at is None or not isinstance(item, Called):
            raise faulty(Kind.INVALID_REPLY, "the runtime's answer continues a tool call that never began")
        if not item.is_open:
            if arguments.strip():
                raise faulty(Kind.INVALID_REPLY, "the runtime's answer continues a tool call behind its whole arguments")
            return b""
        if not arguments:
            return b""
        self._keep(arguments)
        said = self._say_all(at, item.say(arguments))
        if at != len(self._items) - 1 and item.is_whole():
            said += self._end_item(at, "completed")
        return said


def _may_go_on(item: Item) -> bool:
    return isinstance(item, Called) and not item.is_whole()


def _wants_summary(asked: Asked) -> bool:
    try:
        reasoning = _REASONING.decode(asked.top.get("reasoning", b"null"))
    except UNREADABLE:
        return False
    return reasoning is not None and (reasoning.summary or reasoning.generate_summary) not in {None, "none"}


def write_whole(reply: Reply, asked: Asked) -> bytes:
    """See `wire.codec.Codec.write_whole`."""
    writer = ResponsesWriter(asked)
    for event in unfold(reply):
        writer.write(event)
    writer.close()
    return _encode(writer.response)
