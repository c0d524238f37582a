"""What changes with every request is taken out of a prompt's beginning, and nothing else is."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from freehold.chat import WireFormat
from freehold.wire.codec import Envelope
from freehold.wire.formats import CODECS
from freehold.wire.steady import steady

HELLO = {"role": "user", "content": "hello"}
IDENTITY = "You are Claude Code."


def line(cch: str) -> str:
    return f"x-anthropic-billing-header: cc_version=2.1.329.c1d; cc_entrypoint=sdk-cli; cch={cch};"


def part(text: str, **more: object) -> dict[str, object]:
    return {"type": "text", "text": text, **more}


def messages_blocks(cch: str) -> dict[str, Any]:
    marked = part(IDENTITY, cache_control={"type": "ephemeral"})
    return {"model": "m", "max_tokens": 9, "metadata": {"user_id": "u"}, "system": [part(line(cch)), marked], "messages": [HELLO]}


def messages_text(cch: str) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 9, "system": f"{line(cch)}\n{IDENTITY}", "messages": [HELLO]}


def messages_one_block(cch: str) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 9, "system": [part(f"{line(cch)}{IDENTITY}")], "messages": [HELLO]}


def chat_text(cch: str) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "system", "content": f"{line(cch)}\n\n{IDENTITY}"}, HELLO]}


def chat_parts(cch: str) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "system", "content": [part(line(cch)), part(IDENTITY)]}, HELLO]}


def chat_two_messages(cch: str) -> dict[str, Any]:
    systems = [{"content": one, "role": "system"} for one in (line(cch), IDENTITY)]
    return {"model": "m", "messages": [*systems, HELLO]}


def responses_instructions(cch: str) -> dict[str, Any]:
    return {"model": "m", "instructions": f"{line(cch)}\n{IDENTITY}", "input": [{"type": "message", **HELLO}]}


def responses_input(cch: str) -> dict[str, Any]:
    said = {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": f"{line(cch)}\n{IDENTITY}"}]}
    return {"model": "m", "input": [said, {"type": "message", **HELLO}]}


def ollama_chat(cch: str) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "system", "content": f"{line(cch)}\n{IDENTITY}"}, HELLO]}


SHAPES: list[tuple[WireFormat, Callable[[str], dict[str, Any]]]] = [
    ("anthropic_messages", messages_blocks),
    ("anthropic_messages", messages_text),
    ("anthropic_messages", messages_one_block),
    ("openai_chat", chat_text),
    ("openai_chat", chat_parts),
    ("openai_chat", chat_two_messages),
    ("openai_responses", responses_instructions),
    ("openai_responses", responses_input),
    ("ollama", ollama_chat),
]


def steadied(form: WireFormat, body: object) -> tuple[Envelope, Envelope]:
    codec = CODECS[form]
    envelope = codec.peek(json.dumps(body).encode())
    return envelope, steady(envelope, codec.peek)


@pytest.mark.parametrize(("form", "shape"), SHAPES, ids=[shape.__name__ for _, shape in SHAPES])
def test_two_requests_that_differ_by_their_billing_line_alone_become_one(form: WireFormat, shape: Callable[[str], Any]) -> None:
    _, one = steadied(form, shape("fa690"))
    _, other = steadied(form, shape("0aaa9"))
    assert one.body == other.body
    assert b"billing" not in one.body
    assert CODECS[form].read_request(one) == CODECS[form].read_request(other)
    said = json.loads(one.body)
    assert IDENTITY in json.dumps(said)
    before = shape("fa690")
    assert {key: value for key, value in said.items() if key not in {"system", "instructions", "messages", "input"}} == {
        key: value for key, value in before.items() if key not in {"system", "instructions", "messages", "input"}
    }


def test_what_else_stands_in_the_system_prompt_keeps_its_words_and_its_marks() -> None:
    _, one = steadied("anthropic_messages", messages_blocks("fa690"))
    assert json.loads(one.body)["system"] == [part(IDENTITY, cache_control={"type": "ephemeral"})]


@pytest.mark.parametrize(
    ("form", "body"),
    [
        ("openai_chat", {"model": "m", "messages": [HELLO]}),
        ("openai_chat", {"model": "m", "messages": [{"role": "user", "content": line("fa690")}]}),
        ("openai_chat", {"model": "m", "messages": [{"role": "system", "content": f"Never repeat {line('fa690')}"}, HELLO]}),
        ("anthropic_messages", {"model": "m", "max_tokens": 9, "system": "Be brief.", "messages": [HELLO]}),
        ("anthropic_messages", {"model": "m", "max_tokens": 9, "system": [part(IDENTITY)], "messages": [HELLO, HELLO]}),
        ("openai_responses", {"model": "m", "input": "hello"}),
        ("openai_responses", {"model": "m", "input": line("fa690")}),
    ],
)
def test_everything_else_stays_the_very_value_it_was(form: WireFormat, body: object) -> None:
    before, after = steadied(form, body)
    assert after is before
