import asyncio
import json

import jsonschema
import pytest

from freehold.fault import FaultError, Kind
from freehold.gateways.connector import read_base_url
from freehold.gateways.fake import NAMED, Act, Called, FakeRuntime, Received
from freehold.gateways.fake.runtime import Script
from freehold.gateways.fake.sample import sample
from freehold.gateways.fake.script import read_directives, strip_directives
from freehold.gateways.http import Call, Exchange
from freehold.runtime import Egress

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2, "maximum": 9}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
OPENAI_TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
ANTHROPIC_TOOLS = [{"name": "get_weather", "input_schema": SCHEMA}]
BOTH = pytest.mark.parametrize("path", ["/chat/completions", "/messages"])
EITHER_WAY = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])


@pytest.fixture
async def fake(upstreams):
    runtimes: list[FakeRuntime] = []

    async def start(script: Script | None = None, api_key: str | None = None) -> FakeRuntime:
        runtime = FakeRuntime(script, api_key=api_key)
        runtimes.append(runtime)
        address = read_base_url(await runtime.start())

        async def ask(text: str, path: str = "/chat/completions", **fields: object) -> Exchange:
            body = {"model": "fake-chat", "max_tokens": 500, "messages": [{"role": "user", "content": text}]} | fields
            return await send(path, json.dumps(body).encode())

        async def send(path: str, body: bytes, method: str = "POST", headers=()) -> Exchange:
            return await upstreams.open(
                Call(
                    address=address,
                    method=method,
                    path=path,
                    headers=(("content-type", "application/json"), *headers),
                    body=body,
                    egress=Egress.LOCAL,
                    ceiling=Egress.LOCAL,
                    connect_timeout_s=5.0,
                    head_timeout_s=5.0,
                )
            )

        runtime.ask, runtime.send = ask, send
        return runtime

    yield start
    for runtime in runtimes:
        await runtime.stop()


async def body_of(exchange: Exchange) -> bytes:
    return await exchange.read(1 << 20)


async def answer_of(exchange: Exchange) -> dict:
    """A whole answer as one shape: text, thoughts, calls, end, model, usage."""
    assert exchange.status == 200
    reply = json.loads(await body_of(exchange))
    if "choices" in reply:
        [choice] = reply["choices"]
        calls = choice["message"].get("tool_calls") or []
        return {
            "text": choice["message"]["content"] or "",
            "calls": [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls],
            "end": choice["finish_reason"],
            "model": reply["model"],
            "tokens": (reply["usage"]["prompt_tokens"], reply["usage"]["completion_tokens"]),
        }
    ends = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
    return {
        "text": "".join(block["text"] for block in reply["content"] if block["type"] == "text"),
        "calls": [(block["name"], block["input"]) for block in reply["content"] if block["type"] == "tool_use"],
        "end": ends[reply["stop_reason"]],
        "model": reply["model"],
        "tokens": (reply["usage"]["input_tokens"], reply["usage"]["output_tokens"]),
    }


# Directives and samples.


@pytest.mark.parametrize(
    ("text", "act"),
    [
        ("hello", Act()),
        ("[[fake: say=hello you]]", Act(say="hello you")),
        ("[[fake: think=so it is]] then [[fake: empty]]", Act(think="so it is", empty=True)),
        ('[[fake: tool=f {"a":[[1]]}]]', Act(tools=(Called("f", '{"a":[[1]]}'),))),
        ("[[fake: tool=f]] [[fake: tool=g {}]]", Act(tools=(Called("f", "{}"), Called("g", "{}")))),
        ('[[fake: json={"a": {"b": "]]"}}]]', Act(say='{"a": {"b": "]]"}}', json=True)),
        ("[[fake: status=503 retry-after=2]]", Act(status=503, retry_after="2")),
        ("[[fake: slow=20ms]]", Act(slow_s=0.02)),
        ("[[fake: slow=1.5s]]", Act(slow_s=1.5)),
        ("[[fake: stall=mid]]", Act(stall="mid")),
        ("[[fake: break=in-tool]]", Act(cut="in-tool")),
        ("[[fake: error-event=first]]", Act(error_event="first")),
        (
            "[[fake: html]][[fake: refuse]][[fake: truncate]][[fake: repeat]]",
            Act(html=True, refuse=True, truncate=True, repeat=True),
        ),
        ("[[fake: usage=lie]][[fake: model=other]]", Act(usage="lie", model="other")),
    ],
)
def test_directives_are_read_and_taken_out_of_the_text(text, act) -> None:
    assert read_directives(text) == act
    assert "[[fake" not in strip_directives(f"before {text} after")


@pytest.mark.parametrize(
    "inside",
    ["bogus", "say", "status=9", "status=abc", "stall=somewhere", "break", "slow=fast", "usage=maybe", "html=1", "json=nope",
     "tool=f {broken", "error-event=last", "model="],
)  # fmt: skip
def test_a_directive_that_makes_no_sense_is_refused(inside) -> None:
    with pytest.raises(ValueError, match="fake directive"):
        read_directives(f"[[fake: {inside}]]")


def test_a_directive_that_is_not_closed_is_refused() -> None:
    with pytest.raises(ValueError, match="not closed"):
        read_directives("[[fake: say=hello")


@pytest.mark.parametrize(
    "schema",
    [
        SCHEMA,
        {"type": "object"},
        {"type": ["null", "integer"], "minimum": 5},
        {"enum": ["red", "green"]},
        {"const": 7},
        {"type": "string", "minLength": 40, "maxLength": 41},
        {"type": "string", "maxLength": 3},
        {"type": "string", "format": "date-time"},
        {"type": "array", "items": {"type": "boolean"}, "minItems": 3},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"type": "integer", "exclusiveMinimum": 3},
        {"type": "integer", "maximum": -4},
        {"type": "integer", "minimum": 7, "multipleOf": 5},
        {"anyOf": [{"type": "null"}, {"type": "string"}]},
        {"oneOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}, {"type": "array"}]},
        {"allOf": [{"required": ["a"], "properties": {"a": {"type": "integer"}}}, {"required": ["b"]}], "type": "object"},
        {"$ref": "#/$defs/point", "$defs": {"point": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}}},
        {"type": "object", "properties": {"child": {"$ref": "#"}, "name": {"type": "string"}}, "required": ["name"]},
    ],
)  # fmt: skip
def test_samples_satisfy_their_schema_and_never_change(schema) -> None:
    value = sample(schema)
    jsonschema.validate(value, schema, cls=jsonschema.Draft202012Validator)
    assert value == sample(schema)


# Answers.


@BOTH
async def test_the_same_request_gets_the_same_answer_which_shows_what_arrived(path, fake) -> None:
    runtime = await fake()
    first, second = [await answer_of(await runtime.ask("what is new?", path)) for _ in range(2)]
    assert first == second
    assert "what is new?" in first["text"]
    assert first["end"] == "stop"
    assert first["tokens"] == (4 + 4, 15)  # 3 words are 4 tokens and a message is 4; 11 words are 15


@BOTH
async def test_fake_echo_says_what_it_was_told(path, fake) -> None:
    runtime = await fake()
    assert (await answer_of(await runtime.ask("Say  exactly\nthis.", path, model="fake-echo")))["text"] == "Say  exactly\nthis."


@BOTH
async def test_max_tokens_and_stop_end_an_answer(path, fake) -> None:
    runtime = await fake()
    words = "one two three four five six seven eight nine ten"
    short = await answer_of(await runtime.ask(words, path, model="fake-echo", max_tokens=4))
    assert (short["text"].split(), short["end"]) == (["one", "two", "three"], "length")
    field = {"stop": [" four"]} if path == "/chat/completions" else {"stop_sequences": [" four"]}
    assert (await answer_of(await runtime.ask(words, path, model="fake-echo", **field)))["text"] == "one two three"


@BOTH
@pytest.mark.parametrize("asks", ["required", "by name", "in words", "by model"])
async def test_an_offered_tool_is_called_with_arguments_of_its_schema(path, asks, fake) -> None:
    runtime = await fake()
    tools = OPENAI_TOOLS if path == "/chat/completions" else ANTHROPIC_TOOLS
    choice = "required" if path == "/chat/completions" else {"type": "any"}
    fields = (
        {"tools": tools}
        | ({"tool_choice": choice} if asks == "required" else {})
        | ({"model": "fake-tools"} if asks == "by model" else {})
    )
    text = {"by name": "get_weather please", "in words": "use a tool"}.get(asks, "hello")
    reply = await answer_of(await runtime.ask(text, path, **fields))
    [(name, arguments)] = reply["calls"]
    jsonschema.validate(arguments, SCHEMA)
    assert (name, reply["end"]) == ("get_weather", "tool_calls")


@BOTH
async def test_a_tool_is_not_called_unasked_nor_again_after_its_result(path, fake) -> None:
    runtime = await fake()
    openai = path == "/chat/completions"
    tools = OPENAI_TOOLS if openai else ANTHROPIC_TOOLS
    assert (await answer_of(await runtime.ask("hello", path, tools=tools)))["calls"] == []
    history = (
        [
            {"role": "user", "content": "get_weather"},
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "sunny"},
        ]
        if openai
        else [
            {"role": "user", "content": "get_weather"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "get_weather", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "sunny"}]},
        ]
    )  # fmt: skip
    reply = await answer_of(await runtime.ask("", path, tools=tools, messages=history))
    assert reply["calls"] == []
    assert "sunny" in reply["text"]


@BOTH
async def test_directives_say_which_tools_are_called(path, fake) -> None:
    runtime = await fake()
    reply = await answer_of(await runtime.ask('[[fake: tool=a {"x":1}]] [[fake: tool=b]]', path))
    assert reply["calls"] == [("a", {"x": 1}), ("b", {})]


async def test_a_schema_is_answered_by_a_conforming_object(fake) -> None:
    runtime = await fake()
    wanted = {"type": "json_schema", "json_schema": {"name": "w", "schema": SCHEMA}}
    jsonschema.validate(json.loads((await answer_of(await runtime.ask("go", response_format=wanted)))["text"]), SCHEMA)
    loose = await answer_of(await runtime.ask("go", response_format={"type": "json_object"}))
    assert isinstance(json.loads(loose["text"]), dict)


@BOTH
async def test_the_model_and_the_usage_can_be_told_wrong(path, fake) -> None:
    runtime = await fake()
    reply = await answer_of(await runtime.ask("[[fake: model=other]] [[fake: usage=lie]]", path))
    assert (reply["model"], reply["tokens"]) == ("other", (1, 1))


async def test_embeddings_are_the_same_each_time_and_near_for_texts_that_share_words(fake) -> None:
    runtime = await fake()
    texts = ["a red fox runs", "a red fox sleeps", "quarterly tax report"]
    reply = json.loads(
        await body_of(await runtime.send("/embeddings", json.dumps({"model": "fake-embed", "input": texts}).encode()))
    )
    one, near, far = (item["embedding"] for item in reply["data"])

    def cosine(left, right):
        return sum(a * b for a, b in zip(left, right, strict=True))

    assert cosine(one, one) == pytest.approx(1.0)
    assert cosine(one, near) > cosine(one, far)
    packed = json.dumps({"model": "e", "input": "hi", "encoding_format": "base64", "dimensions": 8}).encode()
    assert isinstance(json.loads(await body_of(await runtime.send("/embeddings", packed)))["data"][0]["embedding"], str)
    for given, count in (([1, 2], 1), ([[1], [2]], 2), ([], 0)):
        body = json.dumps({"model": "e", "input": given}).encode()
        assert len(json.loads(await body_of(await runtime.send("/embeddings", body)))["data"]) == count


async def test_models_and_counts_are_answered(fake) -> None:
    runtime = await fake()
    listed = json.loads(await body_of(await runtime.send("/models", b"", "GET")))
    assert [model["id"] for model in listed["data"]] == list(NAMED)
    assert json.loads(await body_of(await runtime.ask("what is new?", "/messages/count_tokens"))) == {"input_tokens": 8}


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
