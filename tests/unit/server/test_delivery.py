import asyncio
from collections.abc import Awaitable, Callable

import pytest

from freehold.fault import FaultError, Kind
from freehold.server.delivery import Conversation, Message

Receive = Callable[[], Awaitable[Message]]


def pieces(*messages: Message) -> Receive:
    """A client that sends these and then nothing."""
    left = list(messages)

    async def receive() -> Message:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return receive


def part(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


GONE: Message = {"type": "http.disconnect"}


class Wire:
    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.changed = asyncio.Event()

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        self.changed.set()

    async def until(self, count: int) -> None:
        while len(self.sent) < count:
            self.changed.clear()
            await self.changed.wait()

    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


def talk(receive: Receive, wire: Wire | None = None, *, keep_alive_s: float = 10, body_deadline_s: float = 5) -> Conversation:
    return Conversation(receive, (wire or Wire()).send, keep_alive_s, body_deadline_s=body_deadline_s)


@pytest.mark.parametrize(
    "sent", [[part(b"abcdef", more=False)], [part(b"abc"), part(b"def", more=False)], [part(b"abcdef"), part(b"", more=False)]]
)
async def test_a_body_is_read_whole(sent: list[Message]) -> None:
    assert await talk(pieces(*sent)).read_body(6, None) == b"abcdef"


async def test_a_body_that_is_declared_too_large_is_not_read() -> None:
    with pytest.raises(FaultError) as told:
        await talk(pieces()).read_body(6, "7")
    assert told.value.fault.kind is Kind.TOO_LARGE
    assert told.value.fault.details == {"limit_bytes": 6}


@pytest.mark.parametrize("sent", [[part(b"abcdefg", more=False)], [part(b"abc"), part(b"defg"), part(b"never read")]])
@pytest.mark.parametrize("declared", [None, "6", "x", "²"])
async def test_a_body_that_is_too_large_is_noticed_whatever_was_declared(sent: list[Message], declared: str | None) -> None:
    with pytest.raises(FaultError) as told:
        await talk(pieces(*sent)).read_body(6, declared)
    assert told.value.fault.kind is Kind.TOO_LARGE


@pytest.mark.parametrize("sent", [[], [part(b"abc")], [part(b"abc"), part(b"d")]])
async def test_a_body_that_does_not_arrive_is_given_up_and_the_connection_closed(sent: list[Message]) -> None:
    wire = Wire()
    conversation = talk(pieces(*sent), wire, body_deadline_s=0.02)
    with pytest.raises(FaultError, match=r"within 0.02 s") as told:
        await conversation.read_body(100, None)
    assert told.value.fault.kind is Kind.INVALID_REQUEST
    await conversation.send_whole(400, [], b"")
    assert (b"connection", b"close") in wire.sent[0]["headers"]


@pytest.mark.parametrize("sent", [[GONE], [part(b"abc"), GONE]])
async def test_a_client_that_leaves_while_it_sends_is_noticed(sent: list[Message]) -> None:
    conversation = talk(pieces(*sent))
    with pytest.raises(FaultError) as told:
        await conversation.read_body(100, None)
    assert told.value.fault.kind is Kind.CLIENT_GONE
    assert conversation.client_is_gone


async def test_a_client_that_leaves_cancels_the_work() -> None:
    left = asyncio.Event()

    async def receive() -> Message:
        await left.wait()
        return GONE

    conversation = talk(receive)

    async def work() -> None:
        conversation.watch(None)
        left.set()
        await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.get_running_loop().create_task(work())
    assert conversation.client_is_gone
    conversation.stop_watching()


async def test_the_last_word_is_not_cut_by_a_client_that_leaves() -> None:
    left, noticed = asyncio.Event(), asyncio.Event()

    async def receive() -> Message:
        await left.wait()
        noticed.set()
        return GONE

    wire = Wire()
    conversation = talk(receive, wire)
    conversation.watch(None)
    conversation.answer_is_decided()
    left.set()
    await noticed.wait()
    await conversation.send_whole(503, [], b"sorry")
    assert wire.body() == b"sorry"
    conversation.stop_watching()


async def test_a_stream_that_waits_is_kept_alive_until_content_begins() -> None:
    wire = Wire()
    conversation = talk(pieces(), wire, keep_alive_s=0.01)
    conversation.watch([(b"x-freehold-request-id", b"req_1")], b": waiting\n\n")
    await wire.until(4)
    assert conversation.head_is_sent
    assert wire.sent[0]["status"] == 200
    assert (b"x-freehold-request-id", b"req_1") in wire.sent[0]["headers"]
    conversation.content_begins()
    seen = len(wire.sent)
    assert {message["body"] for message in wire.sent[1:]} == {b": waiting\n\n"}
    ticks = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, ticks.set)
    await ticks.wait()
    assert len(wire.sent) == seen, "no comment may land inside an event"
    conversation.stop_watching()


async def test_no_comment_follows_a_head_that_content_overtook() -> None:
    wire, may_write, writing = Wire(), asyncio.Event(), asyncio.Event()

    async def send(message: Message) -> None:
        writing.set()
        await may_write.wait()
        await wire.send(message)

    conversation = Conversation(pieces(), send, 0.01)
    conversation.watch([], b": waiting\n\n")
    await writing.wait()
    conversation.content_begins()
    may_write.set()
    await wire.until(1)
    await conversation.send_body(b"data: 1\n\n", more=True)
    await conversation.send_body(b"")
    conversation.stop_watching()
    assert wire.body() == b"data: 1\n\n"
    assert [message["type"] for message in wire.sent].count("http.response.start") == 1


async def test_a_whole_answer_is_never_begun_early() -> None:
    wire = Wire()
    conversation = talk(pieces(), wire, keep_alive_s=0.01)
    conversation.watch(None)
    ticks = asyncio.Event()
    asyncio.get_running_loop().call_later(0.12, ticks.set)
    await ticks.wait()
    assert wire.sent == []
    conversation.stop_watching()
