import json
from typing import Any

import pytest

from freehold.chat import Message, TextPart
from freehold.fault import FaultError, Kind
from freehold.runtime import FillIn
from freehold.wire import openai_completions
from freehold.wire.codec import Envelope, Sent
from freehold.wire.openai_completions.fim import fill_in

PSM = FillIn(prefix="<P>", suffix="<S>", middle="<M>", stop=("<E>", "<P>"))
SPM = FillIn(prefix="<P>", suffix="<S>", order="spm")


def peek(**fields: Any) -> Envelope:
    return openai_completions.peek(json.dumps({"model": "m", "prompt": "x", **fields}).encode())


def relay(sent: Sent, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    body, edits = openai_completions.relay_request(peek(**fields), sent)
    return json.loads(body), edits


# --- peek and describe


@pytest.mark.parametrize(
    ("prompt", "blocks", "choices", "raw"),
    [
        ("a", ['"a"'], 1, False),
        (["a"], ['"a"'], 1, False),
        (["a", "b"], ['"a"', '"b"'], 2, True),
        ([1, 2], ["[1, 2]"], 1, True),
        ([[1], [2, 3]], ["[1]", "[2, 3]"], 2, True),
        ("", ['""'], 1, False),
    ],
)
def test_every_form_of_prompt_is_split(prompt: Any, blocks: list[str], choices: int, raw: bool):
    envelope = peek(prompt=prompt)
    assert [bytes(block).decode() for block in envelope.blocks] == blocks
    assert envelope.choices == choices
    assert envelope.needs_raw is raw
    assert envelope.blocks_apart is (len(blocks) > 1)
    assert envelope.operation == "completion"


def test_a_suffix_is_a_block_of_its_own_and_an_empty_one_is_none():
    assert [bytes(block) for block in peek(suffix="z").blocks] == [b'"x"', b'"z"']
    assert peek(suffix="z").fill_in
    for empty in ("", None):
        assert not peek(suffix=empty).fill_in
        assert len(peek(suffix=empty).blocks) == 1


def test_blocks_are_described_by_their_text_or_their_number_of_tokens():
    assert openai_completions.describe(peek(prompt="hé").blocks[0]).texts == ("hé",)
    assert openai_completions.describe(peek(prompt=[5, 6, 7]).blocks[0]).token_ids == 3


@pytest.mark.parametrize(
    ("fields", "limit"), [({}, 16), ({"max_tokens": None}, 16), ({"max_tokens": 5}, 5), ({"max_tokens": -1}, None)]
)
def test_a_missing_limit_is_the_documented_one(fields: dict[str, Any], limit: int | None):
    assert peek(**fields).max_tokens == limit


@pytest.mark.parametrize(
    ("fields", "raw", "echo"),
    [
        ({"echo": True}, True, True),
        ({"echo": False}, False, False),
        ({"best_of": 3, "n": 2}, True, True),
        ({"best_of": 2, "n": 2}, False, False),
        ({"logit_bias": {"1": 5}}, True, False),
        ({"logit_bias": {}}, False, False),
        ({"max_tokens": 0}, True, False),
    ],
)
def test_what_only_this_format_can_say_is_seen(fields: dict[str, Any], raw: bool, echo: bool):
    envelope = peek(**fields)
    assert (envelope.needs_raw, envelope.needs_echo) == (raw, echo)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"),
        ({"prompt": None}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [[]]}, "prompt[0]"),
        ({"prompt": [[1], ["a"]]}, "prompt[1][0]"),
        ({"prompt": [1.5]}, "prompt[0]"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": [{"a": 1}]}, "prompt[0]"),
        ({"n": 129}, "n"),
        ({"max_tokens": -7}, "max_tokens"),
        ({"logprobs": True}, "logprobs"),
        ({"suffix": 5}, "suffix"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], param: str):
    with pytest.raises(FaultError) as raised:
        peek(**fields)
    assert raised.value.fault.kind is Kind.INVALID_REQUEST
    assert raised.value.fault.param == param


# --- relay


def test_without_an_edit_the_request_is_the_very_same_bytes():
    body = b'{ "model":"m", "prompt": [1 ,2], "max_tokens": 5,\n "x": {"a" : 1.50} }'
    envelope = openai_completions.peek(body)
    assert openai_completions.relay_request(envelope, Sent(model="m", fill_in=PSM)) == (body, ())


@pytest.mark.parametrize(
    ("fields", "sent", "edits", "changed"),
    [
        ({"max_tokens": 5}, {"model": "served"}, ("model",), {"model": "served"}),
        ({}, {}, ("max_tokens_clamped",), {"max_tokens": 16}),
        ({}, {"max_tokens_ceiling": 9}, ("max_tokens_clamped",), {"max_tokens": 9}),
        ({"max_tokens": 50}, {"max_tokens_ceiling": 9}, ("max_tokens_clamped",), {"max_tokens": 9}),
        ({"max_tokens": -1}, {"max_tokens_ceiling": 9}, ("max_tokens_clamped",), {"max_tokens": 9}),
        ({"max_tokens": -1}, {}, (), {}),
        (
            {"max_tokens": 5, "stream": True, "stream_options": {"x": 1}},
            {},
            ("usage_asked",),
            {"stream_options": {"x": 1, "include_usage": True}},
        ),
        (
            {"max_tokens": 5, "suffix": "z", "stop": ["q", "<E>"]},
            {"fill_in": PSM},
            ("fim_prompt",),
            {"prompt": "<P>x<S>z<M>", "stop": ["q", "<E>", "<P>"], "suffix": ...},
        ),
        (
            {"max_tokens": 5, "suffix": "z", "prompt": ["a", "b"], "stop": "q"},
            {"fill_in": SPM},
            ("fim_prompt",),
            {"prompt": ["<S>z<P>a", "<S>z<P>b"], "stop": ["q"], "suffix": ...},
        ),
        ({"max_tokens": 5, "suffix": ""}, {}, ("fim_prompt",), {"suffix": ...}),
        ({"max_tokens": 5, "suffix": None}, {}, (), {}),
        ({"max_tokens": 5, "suffix": "z"}, {"quirks": frozenset({"suffix"}), "fill_in": PSM}, (), {}),
        (
            {"max_tokens": 5, "suffix": "z", "stream": True, "stream_options": {"include_usage": True}},
            {"quirks": frozenset({"mistral_fim"})},
            ("usage_asked",),
            {"stream_options": ...},
        ),
    ],
)
def test_each_edit_is_named_and_changes_its_field_alone(
    fields: dict[str, Any], sent: dict[str, Any], edits: tuple[str, ...], changed: dict[str, Any]
):
    body, made = relay(Sent(**{"model": "m", **sent}), **fields)
    expected = {"model": "m", "prompt": "x", **fields, **changed}
    assert body == {key: value for key, value in expected.items() if value is not ...}
    assert made == edits


@pytest.mark.parametrize(
    ("fields", "family", "param"),
    [
        ({"suffix": "z"}, None, "suffix"),
        ({"suffix": "z", "echo": True}, PSM, "echo"),
        ({"suffix": "z", "prompt": [1, 2]}, PSM, "prompt"),
    ],
)
def test_a_suffix_that_cannot_be_filled_in_is_refused_with_the_way_out(fields: dict[str, Any], family: FillIn | None, param: str):
    with pytest.raises(FaultError) as raised:
        relay(Sent(model="m", fill_in=family), **fields)
    assert raised.value.fault.kind is Kind.UNSUPPORTED
    assert raised.value.fault.param == param


def test_prefix_and_suffix_stand_in_the_order_of_the_family():
    assert fill_in(PSM, "before", "behind") == "<P>before<S>behind<M>"
    assert fill_in(SPM, "before", "behind") == "<S>behind<P>before"


# --- translation


def test_the_prompt_is_one_user_message_and_the_rest_keeps_its_meaning():
    fields = {"n": 2, "logprobs": 3, "stop": "q", "temperature": 0.5, "top_p": 0.9, "seed": 4, "user": "u", "stream": True}
    request = openai_completions.read_request(peek(**fields, presence_penalty=1, frequency_penalty=-1, x_custom=[1]))
    assert request.messages == (Message("user", (TextPart("x"),)),)
    assert (request.n, request.logprobs, request.top_logprobs, request.stop) == (2, True, 3, ("q",))
    assert (request.temperature, request.top_p, request.seed, request.user, request.stream) == (0.5, 0.9, 4, "u", True)
    assert (request.presence_penalty, request.frequency_penalty, request.max_tokens) == (1, -1, 16)
    assert [opaque.key for opaque in request.opaque] == ["x_custom"]


def test_a_list_of_one_text_is_that_text():
    assert openai_completions.read_request(peek(prompt=["y"])).messages[0].parts == (TextPart("y"),)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1]}, "prompt"),
        ({"prompt": [[1], [2]]}, "prompt"),
        ({"suffix": "z"}, "suffix"),
        ({"echo": True}, "echo"),
        ({"best_of": 2}, "best_of"),
        ({"logit_bias": {"1": 1}}, "logit_bias"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_what_a_chat_cannot_say_is_a_callers_fault_that_names_it(fields: dict[str, Any], param: str):
    envelope = peek(**fields)
    assert envelope.needs_raw or envelope.fill_in
    with pytest.raises(FaultError) as raised:
        openai_completions.read_request(envelope)
    assert raised.value.fault.kind is Kind.UNSUPPORTED
    assert raised.value.fault.param == param


def test_a_chat_is_never_written_as_a_prompt():
    with pytest.raises(FaultError) as raised:
        openai_completions.write_request(openai_completions.read_request(peek()), Sent(model="base"))
    assert raised.value.fault.kind is Kind.UNSUPPORTED
    assert "base" in raised.value.fault.message
