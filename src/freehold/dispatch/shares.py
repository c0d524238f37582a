"""How much of a runtime's time an attempt had, when several shared it. What shared time costs is divided, not doubled.

While `n` attempts are under way on a runtime of `replicas` machines, each has `min(1, replicas / n)` of a machine. The sum
over all attempts is never more than the machines' own time. On one event loop; no clock of its own.
"""

from freehold.runtime import Runtime, SelfHosted


class _Shared:
    """One runtime: the seconds of a machine that an attempt under way all along would have had so far."""

    __slots__ = ("each_s", "running", "since_s")

    def __init__(self, now_s: float) -> None:
        self.each_s = 0.0
        self.running = 0
        self.since_s = now_s

    def advance(self, now_s: float, replicas: int) -> float:
        if self.running:
            self.each_s += max(now_s - self.since_s, 0.0) * min(1.0, replicas / self.running)
        self.since_s = now_s
        return self.each_s


class MachineShares:
    """Every runtime's, by name."""

    def __init__(self) -> None:
        self._shared: dict[str, _Shared] = {}

    def begin(self, runtime: Runtime, now_s: float) -> float:
        """An attempt begins there. Returns what `end` wants back."""
        shared = self._shared.get(runtime.name)
        if shared is None:
            shared = self._shared[runtime.name] = _Shared(now_s)
        mark = shared.advance(now_s, _replicas(runtime))
        shared.running += 1
        return mark

    def end(self, runtime: Runtime, mark: float, now_s: float) -> float:
        """It ended. Returns the seconds of one machine that were its share."""
        shared = self._shared[runtime.name]
        seconds = shared.advance(now_s, _replicas(runtime)) - mark
        shared.running -= 1
        return seconds


def _replicas(runtime: Runtime) -> int:
    return max(runtime.replicas or 1, 1) if isinstance(runtime, SelfHosted) else 1
