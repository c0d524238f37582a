"""Precision and recall on the labelled set. The table in docs/privacy.md is made of the same numbers."""

import sys
from pathlib import Path

import pytest

from freehold.routing.detectors.kinds import KINDS

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


def test_every_kind_is_in_the_set_or_is_one_of_few_that_share_their_maker_with_another(measured: dict[str, tuple[int, int, int]]):
    absent = {kind for kind, (right, _, missed) in measured.items() if not right + missed}
    assert len(absent) <= 20, absent
    assert not absent & {kind for kind, group in KINDS.items() if group != "secrets"}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_is_there_is_found_and_nothing_else(kind: str, measured: dict[str, tuple[int, int, int]]):
    right, wrong, missed = measured[kind]
    if right + missed:
        assert right / (right + missed) >= LEAST_RECALL.get(kind, 0.98)
        assert right / (right + wrong) >= 0.95
    else:
        assert wrong == 0
