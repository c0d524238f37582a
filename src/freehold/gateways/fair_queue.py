"""Who is next among those who wait for the same runtime: in turn by caller, not in the order they came. Pure.

Start-time fair queueing: each caller's waiting calls form a line of their own, and the lines are served so that the work
given to each advances alike. Those who wait for an answer come before background work.

Promised: a caller who comes while another floods the queue is next, but for those who came so before him; nobody's calls
overtake his own; when the queue is full the newest call of whoever waits with most makes room, so that nobody is kept out
by another's calls; O(log n) for each call that joins, leaves or is served. Not done: taking a place back from a call that
has it, and weighing what is not waited for.

Source: Goyal, Vin and Cheng, "Start-time Fair Queueing" (SIGCOMM 1996).
"""

from collections import OrderedDict
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

Item = TypeVar("Item")
_SLACK = 64
"""Entries of no use that may lie about."""


class _Line(Generic[Item]):
    """One caller's waiting calls."""

    __slots__ = ("items", "start")

    def __init__(self, start: float) -> None:
        self.items: OrderedDict[Item, float] = OrderedDict()
        """With the work of each, in the order they came."""
        self.start = start
        """The virtual time at which the first of them is due."""


class _Class(Generic[Item]):
    """All lines of one class."""

    def __init__(self) -> None:
        self.lines: dict[str, _Line[Item]] = {}
        self.size = 0
        self._due: list[tuple[float, int, str]] = []
        """(start, number, caller): the first of each line, and entries of lines that are gone."""
        self._numbers: dict[str, int] = {}
        """By caller: the number of the entry that counts."""
        self._longest: list[tuple[int, int, str]] = []
        """(-length, number, caller), with entries that are out of date."""
        self._finished: dict[str, float] = {}
        """Where callers without a line stand, as far as that is ahead of the virtual time."""
        self._time = 0.0
        self._number = 0

    def join(self, item: Item, caller: str, work: float) -> None:
        line = self.lines.get(caller)
        if line is None:
            line = self.lines[caller] = _Line(max(self._time, self._finished.pop(caller, 0.0)))
            self._enter(caller, line)
        line.items[item] = work
        self.size += 1
        self._note_length(caller, line)

    def take(self) -> Item | None:
        """The next one."""
        while self._due:
            start, number, caller = heappop(self._due)
            if self._numbers.get(caller) != number:
                continue
            line = self.lines[caller]
            item, work = line.items.popitem(last=False)
            self.size -= 1
            self._time = start
            line.start = start + work
            if line.items:
                self._enter(caller, line)
            else:
                self._close(caller, line)
            return item
        return None

    def leave(self, item: Item, caller: str) -> bool:
        line = self.lines.get(caller)
        if line is None or item not in line.items:
            return False
        del line.items[item]
        self.size -= 1
        if not line.items:
            self._close(caller, line)
        return True

    def longest(self) -> tuple[str, int]:
        """Who waits with most calls, and how many."""
        while self._longest:
            length, _, caller = self._longest[0]
            line = self.lines.get(caller)
            if line is None:
                heappop(self._longest)
            elif len(line.items) != -length:
                heappop(self._longest)
                self._note_length(caller, line)
            else:
                return caller, -length
        return "", 0

    def newest_of(self, caller: str) -> Item:
        item = next(reversed(self.lines[caller].items))
        self.leave(item, caller)
        return item

    def _enter(self, caller: str, line: _Line[Item]) -> None:
        self._number += 1
        self._numbers[caller] = self._number
        heappush(self._due, (line.start, self._number, caller))

    def _close(self, caller: str, line: _Line[Item]) -> None:
        del self.lines[caller]
        self._numbers.pop(caller, None)
        if not self.lines:  # nobody waits: what was served to whom makes no difference any more
            self._due.clear()
            self._longest.clear()
            self._finished.clear()
            self._time = 0.0
            return
        if line.start > self._time:
            self._finished[caller] = line.start
        if len(self._finished) > _SLACK + 2 * len(self.lines):
            self._finished = {one: at for one, at in self._finished.items() if at > self._time}
        if len(self._due) > _SLACK + 2 * len(self.lines):
            self._due = [entry for entry in self._due if self._numbers.get(entry[2]) == entry[1]]
            heapify(self._due)

    def _note_length(self, caller: str, line: _Line[Item]) -> None:
        self._number += 1
        heappush(self._longest, (-len(line.items), self._number, caller))
        if len(self._longest) > _SLACK + 4 * len(self.lines):
            self._longest = [(-len(one.items), 0, name) for name, one in self.lines.items()]
            heapify(self._longest)


class FairQueue(Generic[Item]):
    """Waiting calls. Items are hashable and each joins once."""

    def __init__(self) -> None:
        self._interactive: _Class[Item] = _Class()
        self._background: _Class[Item] = _Class()

    def __len__(self) -> int:
        return self._interactive.size + self._background.size

    def join(self, item: Item, caller: str, *, work: float = 1.0, is_background: bool = False) -> None:
        """Wait. `work` is how much serving it takes, in any unit that is the same for all."""
        (self._background if is_background else self._interactive).join(item, caller, work)

    def take(self) -> Item | None:
        """The next one, which waits no more; None: nobody waits."""
        if self._interactive.size:
            return self._interactive.take()
        return self._background.take()

    def leave(self, item: Item, caller: str) -> bool:
        """It waits no more. False: it did not."""
        return self._interactive.leave(item, caller) or self._background.leave(item, caller)

    def make_room(self, caller: str, *, is_background: bool) -> Item | None:
        """Turn one away so that this caller may join a full queue; None: he has no better claim than anybody in it.

        Background work makes room for those who wait; else whoever has at least two calls more here than this caller.
        """
        if not is_background and self._background.size:
            longest, _ = self._background.longest()
            return self._background.newest_of(longest)
        among = self._background if is_background else self._interactive
        longest, length = among.longest()
        line = among.lines.get(caller)
        if length < 2 + (len(line.items) if line is not None else 0):
            return None
        return among.newest_of(longest)
