"""Budgets as they are compiled: windows in UTC, who and what they hold, and whose account is charged."""

import datetime as dt
from typing import Any

import pytest

from freehold.features import Caller, Label
from freehold.policy.budgets import Budget, BudgetTable, Window, account_of, span_at
from freehold.policy.rules import Callers, Match
from freehold.runtime import Deployment, Egress, Model, Placed, Vendor
from support.records import features


def ms(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()) * 1000


@pytest.mark.parametrize(
    ("window", "at", "name", "resets"),
    [
        ("hour", "2026-11-21T10:59:59", "2026-11-21T10", "2026-11-21T11:00:00"),
        ("hour", "2026-12-31T23:00:00", "2026-12-31T23", "2027-01-01T00:00:00"),
        ("day", "2026-02-28T23:59:59", "2026-02-28", "2026-03-01T00:00:00"),
        ("day", "2028-02-28T12:00:00", "2028-02-28", "2028-02-29T00:00:00"),
        ("month", "2026-12-15T00:00:00", "2026-12", "2027-01-01T00:00:00"),
        ("month", "2026-01-31T23:59:59", "2026-01", "2026-02-01T00:00:00"),
        ("total", "2026-01-31T23:59:59", "total", None),
    ],
)
def test_a_window_begins_and_ends_in_utc(window: Window, at: str, name: str, resets: str | None):
    span = span_at(window, ms(at))
    assert (span.name, span.resets_ms) == (name, None if resets is None else ms(resets))
    if span.resets_ms is not None:
        assert span_at(window, span.resets_ms - 1).name == name != span_at(window, span.resets_ms).name


def placed(model: str, **facts: Any) -> Placed:
    return Placed(
        deployment=Deployment(id=f"v/{model}", model=model, runtime="v", served_as=model),
        runtime=Vendor(name="v"),
        model=Model(id=model, **facts),
        egress=Egress.VENDOR,
    )


MODELS = (placed("gpt-5"), placed("claude-9"), placed("qwen", open_weights=True))


def line(**fields: Any) -> Any:
    return BudgetTable([Budget(**({"name": "b", "window": "day", "usd": 1.0} | fields))], MODELS).lines[0]


@pytest.mark.parametrize(
    ("when", "holds", "does_not"),
    [
        (Match(callers=Callers(keys=("ci-*",))), {"caller": Caller(key="ci-7")}, {"caller": Caller(key="dev")}),
        (Match(callers=Callers(users=("ann",))), {"caller": Caller(user="ann")}, {"caller": Caller(user="bob")}),
        (Match(callers=Callers(teams=("ml",))), {"caller": Caller(team="ml")}, {"caller": Caller()}),
        (Match(operations=("transcription", "speech")), {"operation": "speech"}, {"operation": "chat"}),
        (Match(operations=("image_generation",)), {"operation": "image_generation"}, {"operation": "embeddings"}),
        (Match(prompt_tokens_over=1000), {"prompt_tokens": 1001}, {"prompt_tokens": 1000}),
        (Match(labels=(Label.INTERNAL,)), {"label": Label.RESTRICTED}, {"label": Label.PUBLIC}),
    ],
    ids=["key", "user", "team", "audio", "images", "long-context", "a label that a header raised"],
)
def test_a_budget_holds_just_the_requests_that_its_when_says(when: Match, holds: Any, does_not: Any):
    table = BudgetTable([Budget(name="b", window="day", usd=1.0, when=when)], MODELS)
    assert [one.name for one in table.matching(features(**holds))] == ["b"]
    assert table.matching(features(**does_not)) == ()


def test_a_budget_of_models_covers_the_deployments_of_them_whatever_name_was_asked_for():
    table = BudgetTable([Budget(name="b", window="day", usd=1.0, when=Match(models=("gpt-*",)))], MODELS)
    assert table.lines[0].covers == {"v/gpt-5"}
    assert table.matching(features(asked_model="auto")) != ()


def test_what_is_not_known_of_a_model_counts_as_held():
    assert line(when=Match(open_weights=True)).covers == {"v/gpt-5", "v/claude-9", "v/qwen"}


WHO = Caller(key="k", user="u/with a slash", team=None, dataset="d", project="p")


@pytest.mark.parametrize(
    ("per", "whose"),
    [("all", ""), ("key", "k"), ("user", "u/with a slash"), ("team", ""), ("dataset", "d"), ("project", "p"), ("model", "m")],
)
def test_an_account_belongs_to_whom_the_budget_is_for(per: str, whose: str):
    assert account_of(line(per=per), "usd", "2026-11-21", WHO, "m") == f"b/day/2026-11-21/usd/{whose}"


def test_no_two_callers_have_one_account_and_neither_have_two_units():
    one, other = (Caller(user=name) for name in ("a", "b"))
    each = line(per="user")
    names = {account_of(each, unit, "s", who, "m") for unit in ("usd", "tokens") for who in (one, other)}
    assert len(names) == 4
