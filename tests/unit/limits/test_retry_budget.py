"""A share of first calls, never of time or luck."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.limits.retry_budget import AT_LEAST, SHARE, SPAN_S, RetryBudgets


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_first_call_is_never_refused() -> None:
    budgets = RetryBudgets(Clock())
    assert all(budgets.admit("box", is_first=True) for _ in range(1000))


@pytest.mark.parametrize(("first", "further"), [(0, 3), (4, 3), (5, 4), (100, 23)])
def test_further_calls_are_a_fifth_of_the_first_ones_and_three(first: int, further: int) -> None:
    budgets = RetryBudgets(Clock())
    for _ in range(first):
        budgets.admit("box", is_first=True)
    assert [budgets.admit("box", is_first=False) for _ in range(further + 2)] == [True] * further + [False] * 2


def test_runtimes_do_not_share_a_budget() -> None:
    budgets = RetryBudgets(Clock())
    while budgets.admit("one", is_first=False):
        pass
    assert budgets.admit("other", is_first=False)


def test_a_spent_budget_comes_back_when_its_calls_are_older_than_the_span() -> None:
    clock = Clock()
    budgets = RetryBudgets(clock)
    while budgets.admit("box", is_first=False):
        pass
    clock.now += SPAN_S - 1
    assert not budgets.admit("box", is_first=False)
    clock.now += 1
    assert budgets.admit("box", is_first=False)


def test_runtimes_that_are_gone_are_forgotten() -> None:
    budgets = RetryBudgets(Clock())
    while budgets.admit("box", is_first=False):
        pass
    budgets.keep({"other"})
    assert budgets.admit("box", is_first=False)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.9, 3.0, 25.0]), st.booleans()), max_size=300))
def test_no_span_ever_holds_more_than_the_budget(calls: list[tuple[float, bool]]) -> None:
    clock = Clock()
    budgets = RetryBudgets(clock)
    seen: list[tuple[int, bool]] = []
    for passed_s, is_first in calls:
        clock.now += passed_s
        if budgets.admit("box", is_first=is_first):
            seen.append((int(clock.now), is_first))
        recent = [first for second, first in seen if second > int(clock.now) - SPAN_S]
        assert recent.count(False) <= SHARE * max_firsts(seen, int(clock.now)) + AT_LEAST


def max_firsts(seen: list[tuple[int, bool]], now: int) -> int:
    """First calls that any call of the span could have counted on: those of two spans."""
    return sum(first for second, first in seen if second > now - 2 * SPAN_S)
