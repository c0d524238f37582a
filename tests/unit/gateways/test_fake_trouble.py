import asyncio
import json

import pytest

from freehold.fault import FaultError, Kind
from freehold.gateways.connector import read_base_url
from freehold.gateways.fake import Act, FakeRuntime, Received
from support.fake_answers import BOTH, EITHER_WAY, answer_of, body_of

# Misbehaviour.


@BOTH
@EITHER_WAY
@pytest.mark.parametrize(
    ("directive", "kind"),
    [
        ("stall=before-headers", Kind.FIRST_CONTENT_TIMEOUT),
        ("stall=after-headers", Kind.FIRST_CONTENT_TIMEOUT),
        ("stall=mid", Kind.FIRST_CONTENT_TIMEOUT),
        ("break=before-headers", Kind.BROKEN_STREAM),
        ("break=after-headers", Kind.BROKEN_STREAM),
        ("break=before-content", Kind.BROKEN_STREAM),
        ("break=mid", Kind.BROKEN_STREAM),
        ("break=in-tool", Kind.BROKEN_STREAM),
    ],
)
async def test_silence_and_cuts_come_where_they_were_told_to(path, streamed, directive, kind, fake, upstreams) -> None:
    runtime = await fake()
    text = f'[[fake: say=alpha beta gamma delta]] [[fake: tool=f {{"long":"alphabet omega"}}]] [[fake: {directive}]]'
    got = b""

    async def read() -> None:
        nonlocal got
        exchange = await runtime.ask(text, path, stream=streamed)
        exchange.arm(0.1 if directive.startswith("stall") else 30.0, Kind.FIRST_CONTENT_TIMEOUT)
        while piece := await exchange.chunk():
            got += piece

    if directive == "stall=before-headers":
        waiting = asyncio.ensure_future(read())
        await runtime.received()
        await asyncio.sleep(0)
        await upstreams.close()
        with pytest.raises(FaultError):
            await waiting
    else:
        with pytest.raises(FaultError) as caught:
            await read()
        assert caught.value.fault.kind is kind
    if directive.startswith("stall"):
        await runtime.closed()
        assert runtime.journal[0].aborted
    place = directive.partition("=")[2]
    if streamed and place in {"mid", "in-tool"}:
        assert b"alpha" in got
    elif place not in {"mid", "in-tool"}:
        assert b"alpha" not in got
    if place == "in-tool" and streamed:
        assert b"long" in got
        assert b"omega" not in got
    assert b"[DONE]" not in got
    assert b"message_stop" not in got


@BOTH
@EITHER_WAY
async def test_a_status_carries_an_error_in_the_format_and_when_to_retry(path, streamed, fake) -> None:
    runtime = await fake()
    exchange = await runtime.ask("[[fake: status=429 retry-after=7]]", path, stream=streamed)
    assert (exchange.status, exchange.headers["retry-after"]) == (429, "7")
    assert json.loads(await body_of(exchange))["error"]["type"] == "rate_limit_error"


async def test_a_page_can_stand_where_an_answer_should(fake) -> None:
    runtime = await fake()
    exchange = await runtime.ask("[[fake: html]]")
    assert exchange.status == 200
    assert exchange.headers["content-type"].startswith("text/html")


@BOTH
@pytest.mark.parametrize("place", ["first", "mid"])
async def test_an_error_event_ends_a_stream_without_its_proper_end(path, place, fake) -> None:
    runtime = await fake()
    stream = await body_of(await runtime.ask(f"[[fake: error-event={place}]] [[fake: say=alpha beta]]", path, stream=True))
    last = [line for line in stream.splitlines() if line.startswith(b"data: ")][-1]
    assert "error" in json.loads(last.removeprefix(b"data: "))
    assert (b"alpha" in stream) is (place == "mid")
    assert b"[DONE]" not in stream
    assert b"message_stop" not in stream


@BOTH
async def test_refusals_empty_repeated_and_truncated_answers_come_as_told(path, fake) -> None:
    runtime = await fake()
    exchange = await runtime.ask("[[fake: refuse]]", path)
    assert b"can't help" in await body_of(exchange)
    assert (await answer_of(await runtime.ask("[[fake: empty]]", path)))["text"] == ""
    lines = (await answer_of(await runtime.ask("[[fake: repeat]]", path)))["text"].splitlines()
    assert len(lines) == 40
    assert len(set(lines)) == 1
    cut = await answer_of(await runtime.ask("[[fake: truncate]] [[fake: say=a b c d]]", path))
    assert (cut["text"].split(), cut["end"]) == (["a", "b"], "length")


async def test_slow_answers_come_event_by_event(fake) -> None:
    runtime = await fake()
    exchange = await runtime.ask("[[fake: slow=5ms]] [[fake: say=a b c]]", stream=True)
    pieces = 0
    while await exchange.chunk():
        pieces += 1
    assert pieces >= 4


@pytest.mark.parametrize(
    ("path", "body", "method", "status"),
    [
        ("/nowhere", b"{}", "POST", 404),
        ("/chat/completions", b"", "GET", 405),
        ("/chat/completions", b"{", "POST", 400),
        ("/messages", b"[]", "POST", 400),
        ("/embeddings", b'{"model":"e","input":7}', "POST", 400),
        ("/embeddings", b'{"model":"e","input":"x","dimensions":0}', "POST", 400),
        ("/chat/completions", b'{"model":"m","messages":[{"role":"user","content":"[[fake: bogus]]"}]}', "POST", 400),
    ],
)
async def test_what_cannot_be_answered_is_an_error_object(path, body, method, status, fake) -> None:
    runtime = await fake()
    exchange = await runtime.send(path, body, method)
    assert exchange.status == status
    assert "error" in json.loads(await body_of(exchange))


# Scripts and the journal.


async def test_scripted_acts_are_used_one_after_the_other_then_directives_hold_again(fake) -> None:
    runtime = await fake([Act(status=503), Act(say="second")])
    assert (await runtime.ask("hello")).status == 503
    assert (await answer_of(await runtime.ask("hello")))["text"] == "second"
    assert (await answer_of(await runtime.ask("[[fake: say=third]]")))["text"] == "third"


async def test_a_script_sees_each_request_and_may_write_raw_bytes(fake) -> None:
    def script(received: Received) -> Act | None:
        return Act(raw=b"HTTP/1.1 418 Teapot\r\ncontent-length: 0\r\n\r\n") if b"tea" in received.body else None

    runtime = await fake(script)
    assert (await runtime.ask("tea")).status == 418
    assert (await runtime.ask("coffee")).status == 200


async def test_what_a_script_raises_is_answered_by_500_and_raised_again_by_stop() -> None:
    def script(received: Received) -> Act:
        raise LookupError(received.path)

    runtime = FakeRuntime(script)
    reader, writer = await asyncio.open_connection("127.0.0.1", read_base_url(await runtime.start()).port)
    writer.write(b"GET /v1/models HTTP/1.1\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 500 ")
    writer.close()
    with pytest.raises(LookupError, match="/v1/models"):
        await runtime.stop()


async def test_the_journal_holds_every_request_as_it_came(fake) -> None:
    runtime = await fake()
    exchange = await runtime.send("/chat/completions?x=1", b'{"model":"m","messages":[]}', headers=(("X-Trace", "7"),))
    await body_of(exchange)
    [received] = runtime.journal
    assert (received.number, received.method, received.path) == (1, "POST", "/v1/chat/completions?x=1")
    assert received.headers["x-trace"] == "7"
    assert received.body == b'{"model":"m","messages":[]}'
    assert not received.aborted


async def test_a_client_that_leaves_early_is_noticed_with_its_time(fake) -> None:
    runtime = await fake()
    exchange = await runtime.ask("[[fake: stall=mid]]", stream=True)
    assert await exchange.chunk()
    before = asyncio.get_running_loop().time()
    exchange.abort()
    await runtime.closed()
    await runtime.empty()
    [received] = runtime.journal
    assert received.aborted_s is not None
    assert before <= received.aborted_s
    assert received.answered_s is None


async def test_a_key_is_asked_for_when_one_was_set(fake) -> None:
    runtime = await fake(api_key="k")
    for headers, status in (
        ((), 401),
        ((("authorization", "Bearer k"),), 200),
        ((("x-api-key", "k"),), 200),
        ((("x-api-key", "j"),), 401),
    ):
        assert (await runtime.send("/models", b"", "GET", headers)).status == status


async def test_requests_sent_at_once_are_answered_in_order(fake) -> None:
    runtime = await fake()
    port = read_base_url(f"http://127.0.0.1:{next(iter(runtime._server.sockets)).getsockname()[1]}").port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /v1/models HTTP/1.1\r\n\r\nGET /none HTTP/1.1\r\nconnection: close\r\n\r\n")
    assert (await reader.readline()).split()[1] == b"200"
    writer.close()
    await runtime.received(2)
    assert [received.path for received in runtime.journal] == ["/v1/models", "/none"]


# The vendors' own clients.


@EITHER_WAY
async def test_the_openai_client_understands_it(streamed, fake) -> None:
    import openai

    runtime = await fake()
    base_url = f"http://127.0.0.1:{runtime._server.sockets[0].getsockname()[1]}/v1"
    async with openai.AsyncOpenAI(base_url=base_url, api_key="k") as client:
        asked = {"model": "fake-echo", "messages": [{"role": "user", "content": "hello you"}]}
        if streamed:
            stream = await client.chat.completions.create(**asked, stream=True)
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        else:
            text = (await client.chat.completions.create(**asked)).choices[0].message.content
        assert text == "hello you"
        assert len((await client.embeddings.create(model="fake-embed", input="hi")).data[0].embedding) == 64
        assert "fake-echo" in [model.id async for model in client.models.list()]


@EITHER_WAY
async def test_the_anthropic_client_understands_it(streamed, fake) -> None:
    import anthropic

    runtime = await fake()
    base_url = f"http://127.0.0.1:{runtime._server.sockets[0].getsockname()[1]}"
    async with anthropic.AsyncAnthropic(base_url=base_url, api_key="k") as client:
        asked = {"model": "fake-echo", "max_tokens": 100, "messages": [{"role": "user", "content": "hello you"}]}
        if streamed:
            async with client.messages.stream(**asked) as stream:
                message = await stream.get_final_message()
        else:
            message = await client.messages.create(**asked)
        assert message.content[0].text == "hello you"
        assert message.stop_reason == "end_turn"
        count = await client.messages.count_tokens(model="fake-echo", messages=asked["messages"])
        assert count.input_tokens == message.usage.input_tokens
