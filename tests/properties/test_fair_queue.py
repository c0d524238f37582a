"""Waiting in turn: nobody's calls keep another's waiting."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from freehold.gateways.fair_queue import FairQueue

callers = st.sampled_from("abcd")
does = st.lists(
    st.one_of(
        st.tuples(st.just("join"), callers, st.floats(0.1, 50), st.booleans()),
        st.tuples(st.just("take")),
        st.tuples(st.just("leave"), st.integers(0, 50)),
        st.tuples(st.just("full"), callers, st.booleans()),
    ),
    max_size=80,
)


@given(does)
def test_each_call_leaves_once_in_the_order_of_its_caller_and_background_last(does) -> None:
    queue: FairQueue[int] = FairQueue()
    waiting: dict[int, tuple[str, bool]] = {}
    for number, (what, *facts) in enumerate(does):
        if what == "join":
            queue.join(number, facts[0], work=facts[1], is_background=facts[2])
            waiting[number] = (facts[0], facts[2])
        elif what == "take":
            taken = queue.take()
            assert (taken is None) is (not waiting)
            if taken is None:
                continue
            caller, is_background = waiting.pop(taken)
            assert not is_background or all(background for _, background in waiting.values())
            assert all(
                taken < other for other, (whose, background) in waiting.items() if (whose, background) == (caller, is_background)
            )
        elif what == "leave" and waiting:
            item = sorted(waiting)[facts[0] % len(waiting)]
            assert queue.leave(item, waiting.pop(item)[0])
            assert not queue.leave(item, "a")
        elif what == "full":
            turned_away = queue.make_room(facts[0], is_background=facts[1])
            counts = Counter(waiting.values())
            if turned_away is None:
                assert facts[1] or not any(background for _, background in waiting.values())
                assert all(
                    count < 2 + counts[facts[0], facts[1]] for (_, background), count in counts.items() if background is facts[1]
                )
            else:
                whose, background = waiting.pop(turned_away)
                assert background or not facts[1]
                assert counts[whose, background] == max(count for (_, other), count in counts.items() if other is background)
                assert all(turned_away > other for other, its in waiting.items() if its == (whose, background))
        assert len(queue) == len(waiting)


@given(st.lists(st.tuples(callers, st.integers(1, 30)), min_size=1, max_size=4), st.integers(0, 40))
def test_a_call_of_somebody_new_waits_for_one_turn_of_each_who_floods(floods, served_before) -> None:
    queue: FairQueue[tuple[str, int]] = FairQueue()
    for caller, count in floods:
        for number in range(count):
            queue.join((caller, number + 100 * len(queue)), caller)
    for _ in range(min(served_before, len(queue) - 1)):
        queue.take()
    queue.join(("new", 0), "new")
    before = []
    while (taken := queue.take()) != ("new", 0):
        assert taken is not None
        before.append(taken[0])
    assert len(before) == len(set(before))


@given(st.lists(st.floats(1, 100), min_size=30, max_size=30), st.lists(st.floats(1, 100), min_size=30, max_size=30))
def test_those_who_always_wait_are_given_the_same_work(of_a, of_b) -> None:
    queue: FairQueue[tuple[str, int]] = FairQueue()
    work = {"a": of_a, "b": of_b}
    for caller, works in work.items():
        for number, one in enumerate(works):
            queue.join((caller, number), caller, work=one)
    given_to = {"a": 0.0, "b": 0.0}
    left = {"a": 30, "b": 30}
    while all(left.values()):
        taken = queue.take()
        assert taken is not None
        caller, number = taken
        given_to[caller] += work[caller][number]
        left[caller] -= 1
        if all(left.values()):
            assert abs(given_to["a"] - given_to["b"]) <= max(of_a) + max(of_b)


@given(st.integers(1, 300))
def test_callers_that_come_and_go_leave_nothing_behind(count) -> None:
    queue: FairQueue[int] = FairQueue()
    queue.join(-1, "stays")
    queue.join(-2, "stays")
    for number in range(count):
        queue.join(number, f"caller {number}")
        queue.leave(number, f"caller {number}")
    one = queue._interactive
    assert len(one._due) + len(one._longest) + len(one._finished) + len(one._numbers) < 400
