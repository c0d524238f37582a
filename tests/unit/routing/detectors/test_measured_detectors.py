"""Precision and recall on the labelled set. The table in docs/privacy.md is made of the same numbers."""

import sys
from pathlib import Path

import pytest

from freehold.routing.detectors.anchored import Find, Rule, make_find
from freehold.routing.detectors.kinds import KINDS
from freehold.routing.detectors.vendor_rules import VENDOR_RULES

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "docs"))
from detectors_reference import measure, read_labelled

LEAST_RECALL = {"assigned-secret": 0.85}
"""Weak passwords look like words, and are missed: the set has some. Everything else is found by its shape."""


@pytest.fixture(scope="module")
def measured() -> dict[str, tuple[int, int, int]]:
    return measure()


def test_the_set_is_large_enough_to_mean_something():
    labelled = read_labelled()
    assert sum(bool(kinds) for kinds, _ in labelled) >= 300
    assert sum(not kinds for kinds, _ in labelled) >= 600


def test_every_kind_is_in_the_set(measured: dict[str, tuple[int, int, int]]):
    assert {kind for kind, (right, _, missed) in measured.items() if not right + missed} == set()


@pytest.mark.parametrize("rule", VENDOR_RULES, ids=[f"{rule.kind}-{rule.starts[0]}" for rule in VENDOR_RULES])
def test_every_beginning_of_every_makers_rule_is_in_the_set_and_found_by_that_rule(rule: Rule):
    find = make_find(rule)
    texts = [text for kinds, text in read_labelled() if rule.kind in kinds]
    unmet = {start for start in rule.starts if not any(is_found(find, text, start) for text in texts)}
    assert unmet == set()


def is_found(find: Find, text: str, start: str) -> bool:
    return any(find(text, at, at + len(start)) for at in range(len(text)) if text.startswith(start, at))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_is_there_is_found_and_nothing_else(kind: str, measured: dict[str, tuple[int, int, int]]):
    right, wrong, missed = measured[kind]
    if right + missed:
        assert right / (right + missed) >= LEAST_RECALL.get(kind, 0.98)
        assert right / (right + wrong) >= 0.95
    else:
        assert wrong == 0
