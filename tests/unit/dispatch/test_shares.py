"""What shared time costs is divided among those who shared it, never doubled."""

from hypothesis import given
from hypothesis import strategies as st

from freehold.dispatch.shares import MachineShares
from freehold.runtime import Local, SelfHosted

BOX = Local(name="box")


def test_an_attempt_alone_has_the_whole_machine() -> None:
    shares = MachineShares()
    mark = shares.begin(BOX, 100.0)
    assert shares.end(BOX, mark, 104.0) == 4.0


def test_two_at_once_have_half_each_while_both_run() -> None:
    shares = MachineShares()
    first = shares.begin(BOX, 0.0)
    second = shares.begin(BOX, 2.0)
    assert shares.end(BOX, first, 6.0) == 2.0 + 2.0
    assert shares.end(BOX, second, 7.0) == 2.0 + 1.0


def test_replicas_are_not_shared_before_all_are_busy() -> None:
    pool, shares = SelfHosted(name="pool", replicas=2), MachineShares()
    marks = [shares.begin(pool, 0.0) for _ in range(4)]
    assert [shares.end(pool, mark, 8.0) for mark in marks[:2]] == [4.0, 4.0]
    assert [shares.end(pool, mark, 10.0) for mark in marks[2:]] == [6.0, 6.0]


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 60)), min_size=1, max_size=30), st.integers(1, 4))
def test_all_shares_together_are_never_more_than_the_machines_were_busy(spans: list[tuple[int, int]], replicas: int) -> None:
    pool, shares = SelfHosted(name="pool", replicas=replicas), MachineShares()
    moments = sorted(
        [(start, 1, index) for index, (start, _) in enumerate(spans)]
        + [(start + length, 0, index) for index, (start, length) in enumerate(spans)]
    )
    marks: dict[int, float] = {}
    total_s = 0.0
    for at_s, begins, index in moments:
        if begins:
            marks[index] = shares.begin(pool, float(at_s))
        else:
            total_s += shares.end(pool, marks[index], float(at_s))
    busy_s = sum(min(replicas, sum(start <= second < start + length for start, length in spans)) for second in range(121))
    assert abs(total_s - busy_s) < 1e-6
