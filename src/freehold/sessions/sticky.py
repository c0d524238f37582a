"""Stickiness: the deployment that served a session last, so that its prompt cache stays warm.

Promised: bounded in number and time; a session belongs to its caller, so nobody is steered by another's id; and each lane of
a session sticks by itself, so that a title that was made here does not bring the main loop here. Not done: deciding (routing
weighs it as one preference among others, after every gate) and surviving a restart.
"""

from collections import OrderedDict
from collections.abc import Callable

from freehold.features import Caller, Features

_OWN_PROMPT = frozenset({"subagent", "workflow"})


class Sticky:
    """What sessions stick to. `now` is a monotonic clock in seconds; an entry lives `ttl_s` after its last `set`."""

    def __init__(self, now: Callable[[], float], ttl_s: float = 3600.0, max_entries: int = 20_000) -> None:
        self._now = now
        self._ttl_s = ttl_s
        self._max_entries = max_entries
        self._entries: OrderedDict[tuple[str, str, str, str], tuple[str, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, caller: Caller, session: str | None, lane: str = "") -> str | None:
        """The deployment that served this lane of the session last, or None."""
        if session is None:
            return None
        entry = self._entries.get((caller.key, caller.user, session, lane))
        if entry is None:
            return None
        deployment, until_s = entry
        return deployment if self._now() < until_s else None

    def set(self, caller: Caller, session: str | None, deployment: str, lane: str = "") -> None:
        """Remember who served it. The entry that was set longest ago makes room."""
        if session is None:
            return
        key = (caller.key, caller.user, session, lane)
        self._entries[key] = (deployment, self._now() + self._ttl_s)
        self._entries.move_to_end(key)
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    def forget(self, caller: Caller, session: str | None, lane: str = "") -> None:
        """Let a session go: its deployment failed, or its answers were poor."""
        if session is not None:
            self._entries.pop((caller.key, caller.user, session, lane), None)


def lane_of(features: Features) -> str:
    """Which of a session's lanes a request is in: its operation and the name it asks for; side jobs and sub-agents have their own.

    Each has a prompt, and so a prompt cache, of its own.
    """
    job = features.auxiliary or ("subagent" if features.request_class in _OWN_PROMPT else "")
    return f"{features.operation} {job} {features.asked_model}"
