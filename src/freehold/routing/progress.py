"""Whether an agent gets on: the same failure again and again, the same file edited to no effect. Pure.

Worked out from the newest calls and results of the conversation alone, so it is the same after a restart, in every process and
when a decision is computed again; a shortened history starts anew. Promised: a conversation in which nothing failed lately costs
one look at each of its newest results. Not done: telling whether a change was a good one.

What counts as progress: an action that failed and now succeeds; a file whose edit failed and now can be edited; a run that fails
in another way after an edit. Each of them clears what it had gathered. A user's refusal of a call is neither.
"""

from collections.abc import Sequence

from freehold.features import Progress
from freehold.routing.outcomes import EDITS, FAILED, FAILED_EDIT, FAILED_RUN, NEUTRAL, PASSED, PLAIN, READS, RESULT, TROUBLE, Act

MOST_ACTS = 80
"""Calls and results that are looked at, the newest: forty of each."""
SHARE_OF = 10
SHARE_FROM = 4
"""Results before a share of them says anything."""

_NO_CALL = Act(0, 0)


class _Trouble:
    """An error that came, how often, and how often each file was edited before it came again."""

    __slots__ = ("at", "edits", "times")

    def __init__(self, at: int) -> None:
        self.times = 0
        self.at = at
        self.edits: dict[int, int] = {}


class _Walk:
    """The newest part of a conversation, result by result."""

    def __init__(self) -> None:
        self.at = self.edited_at = 0
        self.edited: dict[int, int] = {}
        """Files, and when they were last edited."""
        self.actions: dict[int, tuple[int, int, int]] = {}
        """Actions that failed last time: how often, with which error, when."""
        self.troubles: dict[int, _Trouble] = {}
        self.refused: dict[int, dict[int, int]] = {}
        """By file: how often each complaint about its edits came."""

    def take(self, call: Act, result: Act) -> bool:
        """Take a result in; whether it failed."""
        self.at += 1
        if call.kind & EDITS:
            failed = result.kind & (FAILED | FAILED_EDIT) != 0
            self._take_edit(call, result, failed=failed)
            return failed
        passed = result.kind & PASSED
        failed = not passed and result.kind & (FAILED if call.kind & READS else FAILED | FAILED_RUN) != 0
        # That one thing to read after another is not there is a search, not a circle.
        error = hash((call.action, result.error)) if call.kind & READS else result.error
        if failed:
            self._fail(call.action, error)
        else:
            self._succeed(call.action)
        return failed

    def _take_edit(self, call: Act, result: Act, *, failed: bool) -> None:
        if failed:
            complaints = self.refused.setdefault(call.file or call.action, {})
            complaints[result.line] = complaints.get(result.line, 0) + 1
        else:
            self.refused.pop(call.file or call.action, None)
            if call.file:
                self.edited[call.file] = self.edited_at = self.at

    def _count(self, action: int, error: int) -> int:
        """Count a failed action; when it had failed before, or -1."""
        times, known, at = self.actions.get(action, (0, error, -1))
        if known != error and self.edited_at > at:
            self.troubles.pop(known, None)
            times = 0
        self.actions[action] = (times + 1, error, self.at)
        return at

    def _fail(self, action: int, error: int) -> None:
        before = self._count(action, error)
        trouble = self.troubles.get(error)
        if trouble is None:
            trouble = self.troubles[error] = _Trouble(before)
        trouble.times += 1
        if self.edited_at > trouble.at:
            for file, at in self.edited.items():
                if at > trouble.at:
                    trouble.edits[file] = trouble.edits.get(file, 0) + 1
        trouble.at = self.at

    def _succeed(self, action: int) -> None:
        known = self.actions.pop(action, None)
        if known is not None:
            self.troubles.pop(known[1], None)

    def repeated(self) -> int:
        """How often the most stubborn failure came."""
        times = max((one[0] for one in self.actions.values()), default=0)
        times = max(times, max((one.times for one in self.troubles.values()), default=0))
        return max(times, max((max(one.values()) for one in self.refused.values()), default=0))

    def in_vain(self) -> int:
        """How often one file was edited before the same failure came again."""
        return max((max(one.edits.values(), default=0) for one in self.troubles.values()), default=0)


def weigh(acts: Sequence[Act], turns: int) -> Progress | None:
    """How the agent fares; `acts` in the order of the conversation. None: nothing has been returned."""
    acts = acts[-MOST_ACTS:]
    results = troubled = 0
    for act in acts:
        if act.kind & RESULT:
            results += 1
            troubled |= act.kind & TROUBLE
    if not results:
        return None
    if not troubled:
        return Progress(
            turns=turns, results=results, failed_results=0, failed_share=0.0, repeated_failures=0, edits_without_progress=0
        )
    walk = _Walk()
    failed = _walk(walk, acts)
    newest = failed[-SHARE_OF:]
    return Progress(
        turns=turns,
        results=len(failed),
        failed_results=sum(failed),
        failed_share=round(sum(newest) / len(newest), 2) if len(failed) >= SHARE_FROM else 0.0,
        repeated_failures=walk.repeated(),
        edits_without_progress=walk.in_vain(),
    )


def _walk(walk: _Walk, acts: Sequence[Act]) -> list[bool]:
    """Pair calls with results and take each in; which of them failed."""
    calls: dict[int, Act] = {}
    unnamed: list[Act] = []
    failed: list[bool] = []
    for act in acts:
        if not act.kind & RESULT:
            if act.id:
                calls[act.id] = act
            else:
                unnamed.append(act)
        elif act.kind & NEUTRAL:
            calls.pop(act.id, None)
        elif act.id == PLAIN:
            failed.append(_take_plain(walk, calls.pop(PLAIN, None), act))
        elif act.id:
            failed.append(walk.take(calls.pop(act.id, _NO_CALL), act))
        else:
            failed.append(walk.take(unnamed.pop(0) if unnamed else _NO_CALL, act))
    return failed


def _take_plain(walk: _Walk, edit: Act | None, result: Act) -> bool:
    """A result in plain text: it says itself what was done, and that the edit before it went through."""
    if result.kind & FAILED_EDIT and not result.action:
        return walk.take(Act(PLAIN, EDITS, hash((result.file, result.line)), result.file), result)
    if edit is not None:
        walk.take(edit, Act(PLAIN, RESULT))
    return walk.take(Act(PLAIN, 0, result.action), result)
