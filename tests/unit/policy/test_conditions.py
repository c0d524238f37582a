"""Each field of `when` matches what it says and nothing else."""

from typing import Any

import msgspec
import pytest

from freehold.features import LABEL_ORDER, Caller, Features, Label, Progress, Task
from freehold.policy.conditions import all_hold, request_conditions
from freehold.policy.rules import Match, held, parse_hours

BASE = Features(
    operation="chat", wire_format="openai_chat", asked_model="auto", caller=Caller(key="ci", user="ann", team="core"),
    prompt_tokens=1000, prompt_tokens_exact=True, max_tokens=None, messages=1, stream=False, tools=2, images=0, schema=False,
    logprobs=False, choices=1, task=Task.EDIT, task_reason="", label=Label.CONFIDENTIAL, session=None, agent="claude-code",
    request_class="main", auxiliary="title", hints={"mode": "fast"},
    progress=Progress(
        turns=9, results=8, failed_results=4, failed_share=0.5, repeated_failures=3, edits_without_progress=2,
    ),
)  # fmt: skip

HOLDS: list[dict[str, Any]] = [
    {},
    {"label": "confidential"},
    {"label": "public"},
    {"labels": ["confidential", "public"]},
    {"tasks": ["edit", "test"]},
    {"prompt_tokens_over": 999},
    {"prompt_tokens_under": 1001},
    {"tools": True},
    {"images": False},
    {"schema": False},
    {"stream": False},
    {"wire_formats": ["openai_chat"]},
    {"callers": {"keys": ["c*"], "users": ["ann"], "teams": ["core", "ops"]}},
    {"hours": "9-17"},
    {"hours": ["1-2", "22-13"]},
    {"hints": {"mode": "fa*"}},
    {"agents": ["claude-*"]},
    {"request_classes": ["main"]},
    {"auxiliary": ["compaction", "title"]},
    {"operations": ["chat", "embeddings"]},
    {"turns_at_least": 9},
    {"failed_results_at_least": 4},
    {"failed_share_at_least": 0.5},
    {"repeated_failures_at_least": 3},
    {"edits_without_progress_at_least": 2},
]
FAILS: list[dict[str, Any]] = [
    {"label": "restricted"},
    {"labels": ["public"]},
    {"tasks": ["test"]},
    {"prompt_tokens_over": 1000},
    {"prompt_tokens_under": 1000},
    {"tools": False},
    {"images": True},
    {"schema": True},
    {"stream": True},
    {"wire_formats": ["anthropic_messages"]},
    {"callers": {"keys": ["c*"], "users": ["bob"]}},
    {"callers": {"teams": ["ops"]}},
    {"hours": "13-12"},
    {"hours": ["1-12", "22-6"]},
    {"hints": {"mode": "slow"}},
    {"hints": {"other": "*"}},
    {"agents": ["codex"]},
    {"request_classes": ["sub*"]},
    {"auxiliary": ["compaction"]},
    {"operations": ["embeddings"]},
    {"turns_at_least": 10},
    {"failed_results_at_least": 5},
    {"failed_share_at_least": 0.51},
    {"repeated_failures_at_least": 4},
    {"edits_without_progress_at_least": 3},
    {"tools": True, "tasks": ["test"]},
]


def holds(when: dict[str, Any], features: Features = BASE) -> bool:
    return all_hold(request_conditions(msgspec.convert(when, Match)), features, 12)


@pytest.mark.parametrize("when", HOLDS, ids=str)
def test_holds(when: dict[str, Any]) -> None:
    assert holds(when)


@pytest.mark.parametrize("when", FAILS, ids=str)
def test_does_not_hold(when: dict[str, Any]) -> None:
    assert not holds(when)


def test_every_condition_on_requests_is_tested_both_ways() -> None:
    on_deployments = {"models", "aliases", "open_weights", "licences"}
    for table in (HOLDS, FAILS):
        assert set(Match.__struct_fields__) - on_deployments == {field for when in table for field in when}


def test_what_is_not_known_of_a_caller_does_not_match() -> None:
    stranger = msgspec.structs.replace(BASE, caller=Caller(), agent=None, request_class=None, progress=None)
    for when in ({"callers": {"teams": ["*"]}}, {"agents": ["*"]}, {"request_classes": ["*"]}, {"turns_at_least": 1}):
        assert not holds(when, stranger)


@pytest.mark.parametrize(
    ("text", "hours"), [("9-17", set(range(9, 17))), ("22-2", {22, 23, 0, 1}), ("0-24", set(range(24))), ("23-24", {23})]
)
def test_hours_exclude_their_end_and_wrap_past_midnight(text: str, hours: set[int]) -> None:
    assert parse_hours(text) == hours


@pytest.mark.parametrize("text", ["", "9", "9-", "-5", "9-9", "24-3", "9-25", "nine-five", "9:30-10", "1-2-3"])
def test_no_hours_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"hour|outside"):
        parse_hours(text)


@pytest.mark.parametrize(
    ("when", "least"),
    [
        ({"labels": ["internal"]}, "internal"),
        ({"labels": ["restricted", "internal"]}, "internal"),
        ({"labels": ["public", "restricted"], "label": "internal"}, "restricted"),
        ({"label": "confidential"}, "confidential"),
        ({"tools": True}, "public"),
    ],
    ids=str,
)
def test_what_holds_a_label_holds_every_higher_one_and_no_lower_one(when: dict[str, Any], least: str) -> None:
    conditions = request_conditions(held(msgspec.convert(when, Match)))
    fitting = [label for label in Label if all_hold(conditions, msgspec.structs.replace(BASE, label=label), 12)]
    assert fitting == [label for label in Label if LABEL_ORDER[label] >= LABEL_ORDER[Label(least)]]


def test_what_no_label_fits_holds_nobody() -> None:
    conditions = request_conditions(held(msgspec.convert({"labels": ["public"], "label": "internal"}, Match)))
    assert not any(all_hold(conditions, msgspec.structs.replace(BASE, label=label), 12) for label in Label)
