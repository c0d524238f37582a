"""Retry budgets: one per runtime, so that requests which fail there do not multiply its load when it can bear least.

What counts is a *further* call: one at a runtime that the same request has called before, such as its second deployment
there. In each ten seconds a runtime sees at most one further call for every five first ones, and three more. A first
call is never refused: falling back to another runtime is what fallbacks are for, and however many steps of a plan fail,
each request is felt once by each runtime. So when two runtimes fail together, neither sees the other's load twice.

Promised: constant memory per runtime; a call costs a few additions. Not done: sharing between processes (the
bound is a share, so it holds for their sum too), and capacity (`max_connections`, breakers).

Sources: Envoy's retry budget (20 % of what is active, at least 3), Finagle's `RetryBudget` (a share of the calls of the
last ten seconds): a share of what is active alone would let calls that fail fast be repeated without bound.
"""

from collections.abc import Callable, Container

SHARE = 0.2
AT_LEAST = 3
SPAN_S = 10


class _Calls:
    """The calls of one runtime in the last `SPAN_S` seconds, second by second."""

    __slots__ = ("first", "firsts", "further", "furthers", "second")

    def __init__(self, second: int) -> None:
        self.second = second
        self.firsts = [0] * SPAN_S
        self.furthers = [0] * SPAN_S
        self.first = 0
        self.further = 0

    def turn_to(self, second: int) -> None:
        """Let go of what is older than the span."""
        for passed in range(self.second + 1, min(second, self.second + SPAN_S) + 1):
            at = passed % SPAN_S
            self.first -= self.firsts[at]
            self.further -= self.furthers[at]
            self.firsts[at] = self.furthers[at] = 0
        self.second = second


class RetryBudgets:
    """The budgets of all runtimes. `now` is a monotonic clock in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._calls: dict[str, _Calls] = {}

    def admit(self, runtime: str, *, is_first: bool) -> bool:
        """Count a call that is about to be made. False: it is a further one and the budget is spent; do not make it."""
        second = int(self._now())
        calls = self._calls.get(runtime)
        if calls is None:
            calls = self._calls[runtime] = _Calls(second)
        elif calls.second != second:
            calls.turn_to(second)
        at = second % SPAN_S
        if is_first:
            calls.firsts[at] += 1
            calls.first += 1
            return True
        if calls.further + 1 > SHARE * calls.first + AT_LEAST:
            return False
        calls.furthers[at] += 1
        calls.further += 1
        return True

    def keep(self, runtimes: Container[str]) -> None:
        """Forget every runtime but these."""
        self._calls = {name: calls for name, calls in self._calls.items() if name in runtimes}
