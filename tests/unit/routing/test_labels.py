"""A request's label: every source raises, none lowers, the reason names it, and the ledger never learns the text."""

import json
from typing import Any

import msgspec
import pytest

from freehold.fault import FaultError, Kind
from freehold.features import Caller, Features, Label
from freehold.policy.labels import LabelSettings, Pattern
from freehold.routing.detectors.scanner import Detectors
from freehold.routing.facts_cache import FactsCache
from freehold.routing.features import gather
from freehold.wire.formats import CODECS

SECRET = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6"
SETTINGS = LabelSettings(
    datasets={"shop": Label.CONFIDENTIAL, "open": Label.PUBLIC},
    paths={"secrets/**": Label.RESTRICTED, "hr/**": Label.CONFIDENTIAL},
    patterns=(Pattern(name="orion", starts=("ORION-",), then="[0-9]{4}", label=Label.CONFIDENTIAL),),
)


class Counted(Detectors):
    """Detectors that count how often they read."""

    def __init__(self, settings: LabelSettings) -> None:
        super().__init__(settings)
        self.times = 0

    def read_json(self, data: bytes, texts: Any = ()) -> Any:
        self.times += 1
        return super().read_json(data, texts)


def gathered(
    body: dict[str, Any],
    *,
    wire_format: str = "openai_chat",
    headers: dict[str, str] | None = None,
    caller: Caller | None = None,
    detectors: Detectors | None = None,
    cache: FactsCache | None = None,
) -> Features:
    codec = CODECS[wire_format]
    envelope = codec.peek(json.dumps({"model": "auto", **body}).encode())
    return gather(
        envelope,
        codec.describe,
        caller or Caller(),
        headers or {},
        FactsCache(bytes(32)) if cache is None else cache,
        len,
        detectors or Detectors(SETTINGS),
        exact=False,
    )


def said(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


@pytest.mark.parametrize(
    ("text", "headers", "key", "label", "reason"),
    [
        ("hi", {}, None, Label.INTERNAL, "server"),
        ("hi", {}, Label.CONFIDENTIAL, Label.CONFIDENTIAL, "key"),
        ("hi", {"x-freehold-label": "confidential"}, None, Label.CONFIDENTIAL, "header"),
        ("hi", {"x-freehold-label": "public"}, Label.RESTRICTED, Label.RESTRICTED, "key"),
        ("hi", {"x-freehold-dataset": "shop"}, None, Label.CONFIDENTIAL, "dataset shop"),
        ("hi", {"x-freehold-dataset": "open, shop"}, None, Label.CONFIDENTIAL, "dataset shop"),
        ("hi", {"x-freehold-dataset": "open"}, None, Label.INTERNAL, "server"),
        ("read secrets/db.txt", {}, None, Label.RESTRICTED, "path secrets/**"),
        ("read hr/pay.csv", {"x-freehold-label": "confidential"}, None, Label.CONFIDENTIAL, "header"),
        ("about ORION-1234", {}, None, Label.CONFIDENTIAL, "pattern orion"),
        (f"use {SECRET}", {"x-freehold-dataset": "shop"}, None, Label.RESTRICTED, "detector github-token"),
        (f"use {SECRET} and hr/pay.csv", {"x-freehold-label": "public"}, None, Label.RESTRICTED, "detector github-token"),
    ],
)
def test_the_highest_source_holds_and_gives_the_reason(
    text: str, headers: dict[str, str], key: Label | None, label: Label, reason: str
):
    found = gathered(said(text), headers=headers, caller=Caller(label=key))
    assert (found.label, found.label_reason) == (label, reason)


@pytest.mark.parametrize("dataset", ["none-of-ours", "", "shop,", "shop, none-of-ours"])
def test_an_unknown_dataset_is_refused_rather_than_passed_over(dataset: str):
    with pytest.raises(FaultError) as caught:
        gathered(said("hi"), headers={"x-freehold-dataset": dataset})
    assert (caught.value.fault.kind, caught.value.fault.param) == (Kind.INVALID_REQUEST, "x-freehold-dataset")
    assert "shop" in caught.value.fault.message


def test_what_is_written_down_holds_positions_and_no_text():
    found = gathered(said(f"use {SECRET} with hr/pay.csv and ORION-1234"))
    written = msgspec.json.encode(found).decode()
    assert SECRET not in written
    assert "pay.csv" not in written
    assert "1234" not in written
    assert [one.kind for one in found.findings] == ["github-token", "path:hr/**", "pattern:orion"]
    assert msgspec.json.decode(written, type=Features) == found


@pytest.mark.parametrize("cut", [1, 4, 20, 39])
@pytest.mark.parametrize("role", ["user", "tool", "assistant"])
def test_a_secret_cut_between_two_messages_of_one_role_is_found(role: str, cut: int):
    more = {"tool_call_id": "c"} if role == "tool" else {}
    halves = [{"role": role, "content": text, **more} for text in (f"it is {SECRET[:cut]}", f"{SECRET[cut:]} indeed")]
    cache = FactsCache(bytes(32))
    for _ in range(2):
        found = gathered(
            {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}, *halves]}, cache=cache
        )
        assert found.label is Label.RESTRICTED
        assert [(one.kind, one.block, one.part) for one in found.findings] == [("github-token", 3, -1)]
    apart = [halves[0], {"role": "system", "content": "and"}, halves[1]]
    assert gathered({"messages": apart}).label is Label.INTERNAL


def test_a_block_seen_before_is_not_read_again_and_keeps_its_label():
    detectors, cache = Counted(SETTINGS), FactsCache(bytes(32))
    history = [{"role": "user", "content": f"use {SECRET}"}, {"role": "assistant", "content": "no"}]
    gathered({"messages": history}, detectors=detectors, cache=cache)
    first = detectors.times
    found = gathered({"messages": [*history, {"role": "user", "content": "why?"}]}, detectors=detectors, cache=cache)
    assert detectors.times == first + 1
    assert (found.label, found.findings[0].block) == (Label.RESTRICTED, 0)


def test_another_configuration_reads_everything_anew():
    cache = FactsCache(bytes(32))
    quiet = Detectors(LabelSettings(detectors={"secrets": "off"}))
    assert gathered(said(f"use {SECRET}"), detectors=quiet, cache=cache).label is Label.INTERNAL
    assert gathered(said(f"use {SECRET}"), cache=cache).label is Label.RESTRICTED
    assert gathered(said(f"use {SECRET}"), detectors=quiet, cache=cache).label is Label.INTERNAL


PLACES: list[tuple[str, dict[str, Any]]] = [
    ("openai_chat", {"messages": [{"role": "system", "content": SECRET}]}),
    ("openai_chat", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}, {"type": "text", "text": SECRET}]}]}),
    ("openai_chat", {"messages": [{"role": "user", "content": [{"type": "file", "file": {"filename": SECRET}}]}]}),
    ("openai_chat", {"messages": [{"role": "user", "name": SECRET, "content": "x"}]}),
    ("openai_chat", {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": json.dumps({"k": SECRET})}}]}]}),
    ("openai_chat", {"messages": [{"role": "tool", "tool_call_id": "c", "content": SECRET}]}),
    ("openai_chat", {**said("x"), "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {SECRET: {"type": "string"}}}}}]}),
    ("openai_chat", {**said("x"), "functions": [{"name": "f", "description": SECRET}]}),
    ("openai_chat", {**said("x"), "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"description": SECRET}}}}),
    ("openai_chat", {**said("x"), "prediction": {"type": "content", "content": SECRET}}),
    ("openai_chat", {**said("x"), "metadata": {"k": SECRET}}),
    ("openai_chat", {**said("x"), "user": SECRET}),
    ("openai_chat", {**said("x"), "something_new": [SECRET]}),
    ("openai_completions", {"prompt": f"x {SECRET}"}),
    ("openai_completions", {"prompt": ["x", SECRET]}),
    ("openai_completions", {"prompt": "x", "suffix": SECRET}),
    ("openai_responses", {"input": SECRET}),
    ("openai_responses", {"input": "x", "instructions": SECRET}),
    ("openai_responses", {"input": [{"type": "function_call_output", "call_id": "c", "output": SECRET}]}),
    ("openai_responses", {"input": [{"type": "something_new", "deep": {"er": [SECRET]}}]}),
    ("openai_responses", {"input": "x", "prompt": {"id": "p", "variables": {"v": SECRET}}}),
    ("anthropic_messages", {"max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "text", "text": SECRET}]}]}),
    ("anthropic_messages", {"max_tokens": 9, "system": [{"type": "text", "text": SECRET}], "messages": [{"role": "user", "content": "x"}]}),
    ("anthropic_messages", {"max_tokens": 9, "messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": {"b": SECRET}}}]}]}),
    ("anthropic_messages", {"max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": SECRET}]}]}]}),
    ("anthropic_messages", {"max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": SECRET}}]}]}),
    ("anthropic_messages", {"max_tokens": 9, "messages": [{"role": "user", "content": "x"}], "metadata": {"user_id": SECRET}}),
    ("ollama", {"messages": [{"role": "user", "content": SECRET}]}),
    ("ollama", {"messages": [{"role": "user", "content": "x"}], "format": {"type": "object", "description": SECRET}}),
]  # fmt: skip


@pytest.mark.parametrize(("wire_format", "body"), PLACES)
def test_a_secret_is_found_wherever_a_request_may_carry_it(wire_format: str, body: dict[str, Any]):
    found = gathered(body, wire_format=wire_format)
    assert (found.label, found.label_reason) == (Label.RESTRICTED, "detector github-token")


def test_a_file_in_base64_is_not_read_as_text():
    image = "data:image/png;base64," + "iVBORw0KGgoAAAANSUhEUgAA" * 400 + SECRET.replace("_", "")
    part = {"type": "image_url", "image_url": {"url": image}}
    assert gathered({"messages": [{"role": "user", "content": [part]}]}).label is Label.INTERNAL
