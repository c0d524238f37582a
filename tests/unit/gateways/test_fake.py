import json

import jsonschema
import pytest

from freehold.gateways.fake import NAMED, Act, Called
from freehold.gateways.fake.sample import sample
from freehold.gateways.fake.script import read_directives, strip_directives
from support.fake_answers import ANTHROPIC_TOOLS, BOTH, OPENAI_TOOLS, SCHEMA, answer_of, body_of

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
