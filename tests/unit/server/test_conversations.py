"""Odd conversations on real sockets: every one has one row, one record per attempt, and leaves no connection behind."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from freehold.dispatch.attempt import Attempt
from freehold.wire.openai_chat.relay import RelayPipe
from support.gateway import Served

CHUNK = (
    b'{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":%b,"finish_reason":%b}]}'
)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
ROLE = CHUNK % (b'{"role":"assistant","content":""}', b"null")
FINISH = CHUNK % (b"{}", b'"stop"')
USAGE = b'{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}'
WHOLE = b'{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":%b},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}'
PATHS = ["/v1/chat/completions", "/v1/messages"]


def words(*said: str) -> list[bytes]:
    return [CHUNK % (json.dumps({"content": word}).encode(), b"null") for word in said]


def sse(*events: bytes) -> bytes:
    return b"".join(b"%x\r\ndata: %b\n\n\r\n" % (len(event) + 8, event) for event in events)


def whole(text: str) -> bytes:
    body = WHOLE % json.dumps(text).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body


def says(*pieces: bytes) -> Any:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join(pieces))

    return answer


def detail(served: Served) -> Any:
    assert len(served.rows()) == 1
    found = served.last()
    assert len({attempt.attempt_id for attempt in found.attempts}) == len(found.attempts) == found.request.attempts
    return found


async def settled() -> None:
    """Until no request is being served."""
    serving = [task for task in asyncio.all_tasks() if "ClientConnection._serve" in repr(task.get_coro())]
    if serving:
        await asyncio.wait(serving, timeout=10)


@pytest.mark.parametrize("path", PATHS)
async def test_a_stream_that_waits_is_kept_alive_and_then_served(serve: Any, upstream: Any, ask: Any, path: str) -> None:
    go = asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + sse(ROLE))
        await go.wait()
        writer.write(sse(*words("one", " two"), FINISH, USAGE, b"[DONE]") + b"0\r\n\r\n")

    served = await serve((await upstream(answer)).url, keep_alive_s=0.02)
    client = await ask(served, path, stream=True)
    head = await client.until(b"\r\n\r\n")
    assert b"200 OK" in head
    assert b"x-freehold-request-id" in head
    await client.until(b": waiting\n\n")
    await client.until(b": waiting\n\n")
    go.set()
    rest = await client.all()
    assert b"one" in rest
    assert b": waiting" not in rest[rest.index(b"one") :]
    assert b"[DONE]" in rest or b"message_stop" in rest
    found = detail(served)
    assert (found.request.outcome, found.request.status) == ("served", 200)


@pytest.mark.parametrize("path", PATHS)
async def test_a_fault_behind_an_early_head_becomes_an_error_event(serve: Any, upstream: Any, ask: Any, path: str) -> None:
    served = await serve((await upstream(says(HEAD))).url, keep_alive_s=0.02, first_content_timeout_s="0.3")
    client = await ask(served, path, stream=True)
    got = await client.all()
    assert got.startswith(b"HTTP/1.1 200 OK")
    assert b": waiting\n\n" in got
    data = json.loads(got[got.rindex(b"data: ") + 6 :].partition(b"\n\n")[0])
    assert "did not answer within" in data["error"]["message"]
    assert (data.get("type") == "error") == (path == "/v1/messages")
    assert got.endswith(b"0\r\n\r\n"), "the body ends properly"
    assert b"[DONE]" not in got
    found = detail(served)
    assert (found.request.outcome, found.request.status, found.request.fault) == ("failed", 200, "first_content_timeout")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("ending", ["closed", "open"])
async def test_behind_its_finish_a_stream_is_whole_however_the_connection_ends(
    serve: Any, upstream: Any, ask: Any, connections: Any, monkeypatch: pytest.MonkeyPatch, path: str, ending: str
) -> None:
    monkeypatch.setattr("freehold.dispatch.attempt.AFTER_FINISH_S", 0.1)

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + sse(ROLE, *words("one"), FINISH, USAGE, b"[DONE]"))
        if ending == "closed":
            writer.close()

    runtime = await upstream(answer)
    served = await serve(runtime.url)
    got = await (await ask(served, path, stream=True)).all()
    assert b"error" not in got
    assert b"[DONE]" in got or b"message_stop" in got
    assert got.endswith(b"0\r\n\r\n")
    found = detail(served)
    assert (found.request.outcome, found.attempts[0].end) == ("served", "served")
    assert found.request.usage.output_tokens == 2
    await runtime.left.wait()
    assert connections(served) == (0, 0)


async def test_a_client_that_leaves_behind_the_last_event_was_served(
    serve: Any, upstream: Any, ask: Any, connections: Any
) -> None:
    runtime = await upstream(says(HEAD + sse(ROLE, *words("one"), FINISH, USAGE, b"[DONE]")))
    served = await serve(runtime.url)
    client = await ask(served, stream=True)
    await client.until(b"[DONE]\n\n")
    client.leave()
    await runtime.left.wait()
    await settled()
    found = detail(served)
    assert (found.request.outcome, found.attempts[0].end) == ("served", "served")
    assert connections(served) == (0, 0)


async def test_a_client_that_leaves_in_the_middle_is_charged_for_what_it_got(
    serve: Any, upstream: Any, ask: Any, connections: Any
) -> None:
    runtime = await upstream(says(HEAD + sse(ROLE, *words(*"abcdef"))))
    served = await serve(runtime.url)
    client = await ask(served, stream=True)
    await client.until(b'"f"')
    client.leave()
    await runtime.left.wait()
    await settled()
    found = detail(served)
    assert (found.request.outcome, found.attempts[0].end) == ("cancelled", "cancelled")
    for usage in (found.request.usage, found.attempts[0].usage):
        assert usage.basis == "estimated"
        assert 1 <= usage.output_tokens <= 7
    assert connections(served) == (0, 0)


RULES = """
[aliases]
auto = ["r0/m0"]
[[rules]]
name = "small first"
try = ["r0/m0"]
escalate = { on = ["empty", "refusal"], to = ["r1/m1"], at_most = 1, hold = "whole" }
"""


async def test_a_client_that_leaves_during_an_escalation_leaves_two_records(
    serve: Any, upstream: Any, ask: Any, connections: Any
) -> None:
    small, large = await upstream(says(whole(""))), await upstream(says())
    served = await serve(small.url, large.url, rules=RULES)
    client = await ask(served)
    await large.asked.wait()
    client.leave()
    await large.left.wait()
    await settled()
    found = detail(served)
    assert found.request.outcome == "cancelled"
    assert sorted((one.deployment, one.end) for one in found.attempts) == [("r0/m0", "escalated"), ("r1/m1", "cancelled")]
    assert connections(served) == (1, 1), "the poor answer was read to its end: its connection rests"


async def test_a_defect_during_an_escalation_is_one_clear_500(
    serve: Any, upstream: Any, ask: Any, connections: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Attempt.content_began

    def begin(self: Attempt) -> None:
        if self.step.placed.id == "r1/m1":
            raise ValueError("secret words")
        real(self)

    monkeypatch.setattr(Attempt, "content_began", begin)
    small, large = await upstream(says(whole(""))), await upstream(says(whole("fine")))
    served = await serve(small.url, large.url, rules=RULES)
    got = await (await ask(served)).all()
    assert got.startswith(b"HTTP/1.1 500")
    assert b"secret" not in got
    assert b"Traceback" not in got
    found = detail(served)
    assert (found.request.outcome, found.request.fault) == ("failed", "internal")
    ends = sorted((one.deployment, one.end, one.fault) for one in found.attempts)
    assert ends == [("r0/m0", "escalated", None), ("r1/m1", "fault", "internal")]
    assert connections(served) == (2, 2)


async def test_a_defect_in_the_middle_of_a_stream_ends_it_with_an_error_event(
    serve: Any, upstream: Any, ask: Any, connections: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RelayPipe.feed

    def feed(self: Any, data: bytes) -> bytes:
        if b"boom" in data:
            raise ValueError("secret words")
        return real(self, data)

    monkeypatch.setattr(RelayPipe, "feed", feed)
    seen = asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + sse(ROLE, *words("one")))
        await seen.wait()
        writer.write(sse(*words("boom")))

    runtime = await upstream(answer)
    served = await serve(runtime.url)
    client = await ask(served, stream=True)
    await client.until(b'"one"')
    seen.set()
    got = await client.all()
    assert b'"internal"' in got
    assert b"secret" not in got
    await runtime.left.wait()
    found = detail(served)
    assert (found.request.outcome, found.attempts[0].end, found.attempts[0].fault) == ("cut", "cut", "internal")
    assert connections(served) == (0, 0)


@pytest.mark.parametrize("status", [b"500 Oh no", b"429 Slow down", b"302 Elsewhere"])
@pytest.mark.parametrize("ending", ["whole", "cut"])
async def test_a_fault_leaves_no_connection_behind(
    serve: Any, upstream: Any, ask: Any, connections: Any, status: bytes, ending: str
) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 %b\r\ncontent-length: 9\r\nlocation: http://evil.example\r\n\r\nword" % status)
        if ending == "cut":
            writer.close()
        else:
            writer.write(b"s ...")

    served = await serve((await upstream(answer)).url)
    got = await (await ask(served)).all()
    assert got.startswith(b"HTTP/1.1 429" if status.startswith(b"429") else b"HTTP/1.1 502")
    assert detail(served).attempts[0].status == int(status[:3])
    open_, resting = connections(served)
    assert open_ == resting, "read to its end or closed"
    assert status.startswith(b"3") or open_ == (ending == "whole")


@pytest.mark.parametrize("phase", ["waiting", "streaming"])
async def test_a_server_that_stops_says_so_and_keeps_the_books(serve: Any, upstream: Any, ask: Any, phase: str) -> None:
    runtime = await upstream(says(HEAD + sse(ROLE, *(words("one") if phase == "streaming" else ()))))
    served = await serve(runtime.url)
    served.listener._drain_s = 0.2
    client = await ask(served, stream=True)
    if phase == "streaming":
        await client.until(b'"one"')
    await runtime.asked.wait()
    await served.listener.stop()
    got = await client.all()
    assert b"shutting_down" in got
    await runtime.left.wait()
    found = detail(served)
    assert found.request.fault == "shutting_down"
    assert found.request.outcome == ("cut" if phase == "streaming" else "failed")
    assert len(found.attempts) == 1


@pytest.mark.parametrize("path", [*PATHS, "/v1/embeddings"])
async def test_new_work_is_turned_away_while_the_ledger_is_behind(serve: Any, upstream: Any, ask: Any, path: str) -> None:
    runtime = await upstream(says())
    served = await serve(runtime.url)
    writer = served.app.writer
    writer._bounds = msgspec.structs.replace(writer._bounds, behind_rows=0)
    got = await (await ask(served, path, input="x")).all()
    assert got.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1\r\n" in got
    assert not runtime.asked.is_set()
    assert detail(served).request.fault == "ledger_behind"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/chat/completions", {"messages": 5}, 400),
        ("/v1/messages", {"max_tokens": "x"}, 400),
        ("/v1/chat/completions", {"model": "no-such-model"}, 404),
        ("/v1/embeddings", {"input": {}}, 400),
        ("/v1/embeddings", {"input": "x"}, 403),
        ("/v1/chat/completions", {"user": "x" * 70_000}, 413),
    ],
)
async def test_a_request_that_gets_nowhere_has_its_row_too(
    serve: Any, upstream: Any, ask: Any, path: str, body: dict[str, Any], status: int
) -> None:
    runtime = await upstream(says())
    served = await serve(runtime.url, rules="[server]\nmax_body_bytes = 65536\n")
    got = await (await ask(served, path, **body)).all()
    assert got.startswith(b"HTTP/1.1 %d" % status), got[:300]
    found = detail(served)
    assert (found.request.status, found.attempts) == (status, ())
    assert found.request.outcome in {"failed", "refused"}


async def test_a_second_host_is_refused_on_the_wire(serve: Any, upstream: Any) -> None:
    served = await serve((await upstream(says())).url)
    host = served.url.removeprefix("http://")
    reader, writer = await asyncio.open_connection("127.0.0.1", int(host.rpartition(":")[2]))
    writer.write(f"GET / HTTP/1.1\r\nhost: {host}\r\nHOST: evil.example\r\nconnection: close\r\n\r\n".encode())
    assert (await reader.read()).startswith(b"HTTP/1.1 400")
    writer.close()


async def test_head_has_no_body(serve: Any, upstream: Any) -> None:
    served = await serve((await upstream(says())).url)
    host = served.url.removeprefix("http://")
    for path in ("/", "/v1/models", "/healthz", "/readyz", "/api/hello", "/nothing"):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(host.rpartition(":")[2]))
        writer.write(f"HEAD {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
        got = await reader.read()
        assert got.startswith(b"HTTP/1.1 404" if path == "/nothing" else b"HTTP/1.1 200")
        assert got.endswith(b"\r\n\r\n")
        writer.close()
