"""The names of the tools on offer, and which of them a model meant.

Promised: a name in another spelling is taken for a tool only where exactly one tool is near, and never where the nearness
could be a difference in meaning: every word keeps its first letter and its digits, so that `lock` is no `unlock`, `get_user` no
`set_user` and `step_1` no `step_2`.
"""

import re
from collections.abc import Iterable

LONGEST_NAME = 128
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_AROUND = " \t\r\n\"'`“”<>,:;=\\"
_SPACES = re.compile(r"[.:/]+|__+")
SHORTEST_MISSPELT = 5
SHORT_WORD = 4
LONG_WORD = 6
SHORTEST_TWICE_MISSPELT = 12


class Names:
    """The names on offer."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self._found: dict[str, str | None] = {}
        self._by_words: dict[str, list[str]] = {}
        self._by_ending: dict[str, list[str]] = {}

    def _spell(self) -> None:
        """Work out how each may be misspelt: only a name that is none of them needs it."""
        for name in sorted(self._names):
            self._by_words.setdefault(_plain(name), []).append(name)
            for ending in _endings(name):
                self._by_ending.setdefault(_plain(ending), []).append(name)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def has_alike(self, said: str) -> bool:
        """Whether a tool has this name, in whatever case and with whatever separators."""
        found = self.find(said)
        return found is not None and (found == said or _plain(found) == _plain(said))

    def find(self, said: str) -> str | None:
        """The tool that is meant; None where none is, or where it could be more than one."""
        if said in self._names:
            return said
        if len(said) > LONGEST_NAME:
            return None
        if said not in self._found:
            if len(self._found) > LONGEST_NAME:
                self._found.clear()
            self._found[said] = self._search(said)
        return self._found[said]

    def _search(self, said: str) -> str | None:
        if not self._by_words:
            self._spell()
        bare = said.strip(_AROUND).removesuffix("()").strip(_AROUND)
        bare = re.sub(r":\d+$", "", bare)  # Kimi counts its calls there
        if not bare:
            return None
        if bare in self._names:
            return bare
        endings = _endings(bare)
        for ending in endings:
            if ending in self._names:
                return ending
        for said_so, table in (
            (bare, self._by_words),
            *((ending, self._by_words) for ending in endings),
            (bare, self._by_ending),
        ):
            same = table.get(_plain(said_so))
            if same:
                return same[0] if len(same) == 1 else None
        for one in (bare, *endings):
            if near := self._nearest(one):
                return near
        return None

    def _nearest(self, said: str) -> str | None:
        words = _words(said)
        plain = "".join(words)
        if len(plain) < SHORTEST_MISSPELT:
            return None
        most = 2 if len(plain) >= SHORTEST_TWICE_MISSPELT else 1
        near = []
        for name in self._names:
            other = _words(name)
            if abs(len("".join(other)) - len(plain)) <= most and _may_be_misspelt(words, other):
                distance = sum(_distance(one, two) for one, two in zip(words, other, strict=True))
                if distance <= most:
                    near.append(name)
        return near[0] if len(near) == 1 else None


def _endings(name: str) -> list[str]:
    """The name without its namespaces, one after the other."""
    return [name[space.end() :] for space in _SPACES.finditer(name) if space.end() < len(name)]


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(name)]


def _plain(name: str) -> str:
    return "".join(_words(name))


def _may_be_misspelt(said: list[str], meant: list[str]) -> bool:
    """Word for word the same first letters and digits, and no word different that is too short to be told from another."""
    return len(said) == len(meant) and all(map(_is_near, said, meant))


def _is_near(one: str, two: str) -> bool:
    """A letter too much, one missing or two swapped is a slip of the pen; another letter makes another word, of short ones."""
    if one == two:
        return True
    if one[0] != two[0] or one.isdigit() or two.isdigit():
        return False
    is_changed = len(one) == len(two) and sorted(one) != sorted(two)
    return max(len(one), len(two)) >= (LONG_WORD if is_changed else SHORT_WORD)


def _distance(one: str, two: str) -> int:
    """Letters to insert, leave out, change, or swap with their neighbour (optimal string alignment)."""
    if one == two:
        return 0
    before: list[int] = []
    row = list(range(len(two) + 1))
    for i, letter in enumerate(one, 1):
        older, before, row = before, row, [i]
        for j, other in enumerate(two, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == two[j - 2] and one[i - 2] == other:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
    return row[-1]
