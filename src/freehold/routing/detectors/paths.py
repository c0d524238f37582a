"""File paths that a prompt names, against globs: `secrets/**`, `**/*.pem`, `deploy/prod-*.yaml`.

`**` stands for any number of folders, `*` and `?` stay within a name; case does not count, as long as the longest plain
piece of the glob is written as it is, in small letters, in capitals or Like This. A path fits where the glob
fits it from any of its folders on, so that `secrets/**` also means `/home/ann/shop/secrets/db.txt`; a glob that begins
with `/` begins at the root. Backslashes count as slashes.

Linear: a path is looked at once for each glob, and about a thousand characters of it at most.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

LONGEST_PATH = 512
"""Characters looked at on each side of what a glob is found by."""
LEAST_LITERAL = 3
"""Characters that a glob must say without wildcards: it is found by them."""
_OUTSIDE = r"[^\s\"'`<>|*?;,()\[\]{}=:]"
_RUN = re.compile(rf"{_OUTSIDE}{{0,{LONGEST_PATH}}}")
_LITERALS = re.compile(r"[^*?]+")


def literal_of(glob: str) -> str:
    """The longest piece of a glob without wildcards: what it is found by. Empty: too short to be found by."""
    literal = max(_LITERALS.findall(glob.replace("\\", "/").lstrip("/")), key=len, default="")
    # `secrets/**` also means the folder itself, which may be written without the slash behind it.
    folder = literal.strip("/")
    if len(folder) >= LEAST_LITERAL:
        return folder
    return literal if len(literal) >= LEAST_LITERAL else ""


def spellings(literal: str) -> tuple[str, ...]:
    """How the literal may stand in a text: as it is, in small letters or capitals; with slashes of either kind, escaped too."""
    cases = (literal, literal.lower(), literal.upper(), literal.title())
    return tuple(dict.fromkeys(one.replace("/", slash) for one in cases for slash in ("/", "\\", "\\\\")))


class PathGlob:
    """One glob, compiled."""

    __slots__ = ("_names", "_rooted")

    def __init__(self, glob: str) -> None:
        glob = glob.replace("\\", "/").lower()
        self._rooted = glob.startswith("/")
        self._names = [name for name in glob.split("/") if name not in ("", ".")] + (["**"] if glob.endswith("/") else [])

    def fits(self, path: str) -> bool:
        """Whether a path, or what is left of it from some folder on, fits."""
        parts = [part for part in path.replace("\\", "/").lower().split("/") if part not in ("", ".")]
        names, all_used = self._names, len(self._names)
        # How many of the glob's names may be used up so far. A set, so that nothing is tried twice.
        used = self._past_folders({0})
        for part in parts:
            following = {at if names[at] == "**" else at + 1 for at in used if at < all_used and name_fits(names[at], part)}
            used = self._past_folders(following if self._rooted else following | {0})
        return all_used in used

    def _past_folders(self, used: set[int]) -> set[int]:
        """With every `**` taken for no folder at all as well."""
        names, more = self._names, set(used)
        for at in used:
            while at < len(names) and names[at] == "**":
                at += 1  # noqa: PLW2901 - walks on from where it stands
                more.add(at)
        return more


def name_fits(glob: str, name: str) -> bool:
    """Whether one name fits `*` and `?`. At most the product of both lengths, whatever they are."""
    if glob == "**":
        return True
    at = here = behind_star = 0
    star = -1
    while here < len(name):
        if at < len(glob) and glob[at] == "*":
            star, behind_star, at = at, here, at + 1
        elif at < len(glob) and glob[at] in ("?", name[here]):
            at, here = at + 1, here + 1
        elif star >= 0:
            at, here, behind_star = star + 1, behind_star + 1, behind_star + 1
        else:
            return False
    return not glob[at:].strip("*")


class Paths:
    """All globs of a configuration."""

    __slots__ = ("_by_start", "starts")

    def __init__(self, globs: Iterable[str]) -> None:
        by_start: dict[str, list[tuple[str, PathGlob]]] = {}
        for glob in globs:
            for start in spellings(literal_of(glob)):
                by_start.setdefault(start, []).append((glob, PathGlob(glob)))
        self._by_start: Mapping[str, Sequence[tuple[str, PathGlob]]] = by_start
        self.starts = tuple(by_start)
        """What to look for."""

    def find(self, text: str, hits: Sequence[tuple[str, int, int]]) -> Iterator[tuple[str, int, int]]:
        """Glob, beginning and end of each path that fits. `hits` are starts with their places, in order."""
        begin = stop = 0
        seen: set[str] = set()
        for start, first, last in hits:
            if last > stop or not stop:
                begin, stop = _around(text, first, last)
                seen = set()
            for glob, compiled in self._by_start[start]:
                if glob not in seen:
                    seen.add(glob)
                    if compiled.fits(text[begin:stop]):
                        yield glob, begin, stop


def _around(text: str, first: int, last: int) -> tuple[int, int]:
    """The path that a place stands in."""
    before = _RUN.match(text[max(first - LONGEST_PATH, 0) : first][::-1])
    behind = _RUN.match(text, last)
    begin = first - (len(before[0]) if before is not None else 0)
    stop = behind.end() if behind is not None else last
    return begin, max(stop - (len(text[begin:stop]) - len(text[begin:stop].rstrip(".!"))), last)
