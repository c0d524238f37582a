"""Completions in a decision: what they need, who lacks it, and how much of a window they take."""

import json
from typing import Any

import msgspec
import pytest

from freehold.fault import Kind
from freehold.features import Caller, Features, Task
from freehold.policy.labels import LabelSettings
from freehold.policy.snapshot import Policy
from freehold.routing import features as subject
from freehold.routing.detectors.scanner import Detectors
from freehold.routing.facts_cache import FactsCache
from freehold.routing.features import gather
from freehold.routing.plan import make_plan
from freehold.routing.situation import Situation
from freehold.runtime import Abilities, Deployment, Egress, FillIn, Local, Model, Placed, Vendor, egress_of
from freehold.wire import openai_completions

NOON = Situation(now_ms=0, hour=12, seed=0)
MARKS = FillIn(prefix="<P>", suffix="<S>", middle="<M>")
RAW, CHAT, BOTH = ("openai_completions",), ("openai_chat",), ("openai_chat", "openai_completions")


def words(text: str) -> int:
    return len(text.split())


def gathered(**body: Any) -> Features:
    envelope = openai_completions.peek(json.dumps({"model": "auto", "prompt": "x", **body}).encode())
    return gather(
        envelope, openai_completions.describe, Caller(), {}, FactsCache(bytes(32)), words, Detectors(LabelSettings()), exact=True
    )


def place(
    formats: tuple[str, ...], *, quirks: tuple[str, ...] = (), fill_in: FillIn | None = None, kind: type = Local, **able: Any
) -> Placed:
    runtime = kind(name="r", base_url="http://127.0.0.1:1/v1", formats=formats)
    abilities = Abilities(**({"context": 1000} | able))
    deployment = Deployment(id="r/m", model="m", runtime="r", served_as="m", abilities=abilities, quirks=quirks)
    return Placed(deployment=deployment, runtime=runtime, model=Model(id="m"), egress=egress_of(runtime), fill_in=fill_in)


def why_not(placed: Placed, features: Features) -> str | None:
    plan = make_plan(features, Policy([placed], {"auto": [placed.id]}, (), Egress.VENDOR), NOON)
    return plan.rejected[0].reason if plan.rejected else None


def chat() -> Features:
    return msgspec.structs.replace(gathered(), operation="chat")


def test_the_endpoint_is_the_operation_and_the_task():
    found = gathered(prompt="Write an essay about threat models.")
    assert (found.operation, found.task, found.task_reason) == ("completion", Task.COMPLETION, "completions-endpoint")
    assert (found.wire_format, found.max_tokens) == ("openai_completions", 16)


def test_several_prompts_have_the_window_each_to_itself():
    one = gathered(prompt="a b c").prompt_tokens
    assert gathered(prompt=["a b c", "d"]).prompt_tokens == one - subject.REPLY_TOKENS
    assert gathered(prompt=["a b c", "d"], n=2).choices == 4
    assert gathered(prompt=[1, 2, 3]).prompt_tokens == one
    assert gathered(prompt="a b c", suffix="d e").prompt_tokens == one + 2 + subject.MESSAGE_TOKENS


@pytest.mark.parametrize(
    ("placed", "body", "reason"),
    [
        (place(CHAT), {}, None),
        (place(RAW), {}, None),
        (place(BOTH, chat=False, completion=True), {}, None),
        (place(CHAT, completion=False), {}, "cannot do completion"),
        (place(BOTH, chat=False, embeddings=True), {}, "cannot do completion"),
        (place(CHAT), {"prompt": ["a", "b"]}, "cannot do raw prompts"),
        (place(RAW), {"prompt": ["a", "b"]}, None),
        (place(RAW), {"echo": True}, None),
        (place(RAW, quirks=("no_echo",)), {"echo": True}, "cannot do echo and best_of"),
        (place(RAW, quirks=("no_echo",)), {"prompt": ["a", "b"]}, None),
        (place(RAW), {"logprobs": 1}, "cannot do logprobs"),
        (place(RAW, logprobs=True), {"logprobs": 1}, None),
        (place(RAW), {"suffix": "z"}, "cannot do fill-in-the-middle"),
        (place(CHAT, fill_in=MARKS), {"suffix": "z"}, "cannot do fill-in-the-middle"),
        (place(RAW, fill_in=MARKS), {"suffix": "z"}, None),
        (place(RAW, fill_in=MARKS, kind=Vendor), {"suffix": "z"}, "cannot do fill-in-the-middle"),
        (place(RAW, kind=Vendor, quirks=("suffix",)), {"suffix": "z"}, None),
        (place(RAW, kind=Vendor, quirks=("mistral_fim",)), {"suffix": "z"}, None),
        (place(RAW), {"suffix": ""}, None),
    ],
)
def test_a_completion_goes_only_where_it_can_be_said(placed: Placed, body: dict[str, Any], reason: str | None):
    assert why_not(placed, gathered(**body)) == reason


@pytest.mark.parametrize(("formats", "reason"), [(RAW, "cannot do chat"), (CHAT, None), (BOTH, None), (BOTH[::-1], None)])
def test_a_chat_goes_only_where_a_chat_is_spoken(formats: tuple[str, ...], reason: str | None):
    assert why_not(place(formats), chat()) == reason


def test_the_refusal_says_the_way_out():
    plan = make_plan(gathered(suffix="z"), Policy([place(RAW)], {"auto": ["r/m"]}, (), Egress.VENDOR), NOON)
    assert plan.refusal is not None
    assert plan.refusal.kind is Kind.UNSUPPORTED
    assert plan.refusal.param == "suffix"
    assert "leave `suffix` out" in plan.refusal.message
