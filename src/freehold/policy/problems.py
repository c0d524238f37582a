"""What is wrong with a configuration: the place, what was found, what is valid, and the likely remedy.

All problems are collected before anything is said; a person fixes a file once, not once per error.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

import msgspec

_SHOWN = 24
_COMPARED = 80


class Problem(msgspec.Struct, frozen=True):
    """One thing that must be changed before the configuration can be used."""

    path: str
    """Where, such as `rules[2].when.label`."""
    message: str
    """What was found and why it cannot stand."""
    remedy: str = ""
    """What helps: the valid values, a likely spelling, another setting."""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" + (f" ({self.remedy})" if self.remedy else "")


class PolicyError(ValueError):
    """Rules, aliases and deployments do not fit together; `problems` says where."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


def close_names(found: str, names: Iterable[str], count: int = 3) -> list[str]:
    """Known names spelled nearly like `found`, best first. Long names are not compared: it would cost too much."""
    if not found or len(found) > _COMPARED:
        return []
    folded = {name.casefold(): name for name in names if len(name) <= _COMPARED}
    return [folded[near] for near in get_close_matches(found.casefold(), folded, n=count, cutoff=0.6)]


def suggest(found: str, names: Iterable[str]) -> str:
    """The remedy for a name that is not known: a likely spelling, and the names there are."""
    known = list(dict.fromkeys(names))
    near = close_names(found, known, count=1)
    listed = ", ".join(known[:_SHOWN]) + (f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else "")
    valid = f"valid: {listed}" if known else "there are none"
    return f"did you mean '{near[0]}'? {valid}" if near else valid
