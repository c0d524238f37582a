"""Placeholders: what stands for a text that may not leave, and how it is put back into an answer. Pure.

Promised: the same text of the same caller has the same placeholder, whatever else a request holds; nobody without the key
can guess one, and no caller's are another's; a placeholder is never part of what the caller wrote; in an answer only
placeholders of this very request are put back, wherever the answer is cut, and everything else is left as it is.
Deliberately not done: guessing at a placeholder that a model spelled anew (in small letters, in parts).
"""

import json
from base64 import b32encode
from bisect import bisect_left
from collections.abc import Callable

from blake3 import blake3

MARK = "REDACTED_"
"""What every placeholder begins with: letters and an underscore, which JSON, URLs and source code all let stand."""
LONGEST_KIND = 24
_DIGEST_BYTES = 10
"""80 bits: 16 characters of base32."""


class Placeholders:
    """The placeholders of one request and the texts they stand for. Never shown: it holds those texts."""

    __slots__ = ("_by_text", "_is_taken", "_key", "_sorted", "counts", "longest", "originals")

    def __init__(self, key: bytes, key_name: str, user: str, is_taken: Callable[[str], bool]) -> None:
        """`key` is 32 secret bytes; `key_name` and `user` name the caller; `is_taken` says what stands in the request."""
        scope = b"%d:%s" % (len(key_name), f"{key_name}{user}".encode(errors="replace"))
        self._key = blake3(scope, key=key).digest()
        self._is_taken = is_taken
        self._by_text: dict[tuple[str, str], str] = {}
        self._sorted: list[str] = []
        self.originals: dict[str, str] = {}
        """Text by placeholder."""
        self.counts: dict[str, int] = {}
        """How often something of a kind was replaced."""
        self.longest = 0

    def stand_in(self, kind: str, text: str) -> str:
        """The placeholder of a text. Counts one more of its kind."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        known = self._by_text.get((kind, text))
        if known is not None:
            return known
        told = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in kind.upper()[:LONGEST_KIND])
        turn = 0
        while True:
            said = f"{turn}:{kind}:{text}".encode(errors="surrogatepass")
            made = f"{MARK}{told}_{b32encode(blake3(said, key=self._key).digest(_DIGEST_BYTES)).decode()}"
            if made not in self.originals and not self._is_taken(made):
                break
            turn += 1
        self._by_text[kind, text] = made
        self.originals[made] = text
        self._sorted.insert(bisect_left(self._sorted, made), made)
        self.longest = max(self.longest, len(made))
        return made

    def begins(self, text: str) -> bool:
        """Whether some placeholder begins with this text and goes on."""
        at = bisect_left(self._sorted, text)
        return at < len(self._sorted) and self._sorted[at].startswith(text) and self._sorted[at] != text

    def put_back(self, text: str, *, in_json: bool) -> str:
        """A whole text with its placeholders replaced; `in_json`: they stand within JSON."""
        restoring = Restoring(self, in_json=in_json)
        return restoring.feed(text) + restoring.end()


class Restoring:
    """One text of an answer while it comes, cut anywhere."""

    __slots__ = ("_held", "_in_json", "_table")

    def __init__(self, table: Placeholders, *, in_json: bool) -> None:
        self._table = table
        self._in_json = in_json
        self._held = ""

    def feed(self, text: str) -> str:
        """What may go out by now: all but an end that may become a placeholder."""
        held = self._held + text
        if MARK[0] not in held:
            self._held = ""
            return held
        out: list[str] = []
        table, at = self._table, 0
        while (found := held.find(MARK[0], at)) >= 0:
            rest = held[found : found + table.longest]
            made = self._made(rest)
            if made is not None:
                original = table.originals[made]
                out += (held[at:found], json.dumps(original, ensure_ascii=False)[1:-1] if self._in_json else original)
                at = found + len(made)
            elif len(held) - found < table.longest and table.begins(held[found:]):
                out.append(held[at:found])
                self._held = held[found:]
                return "".join(out)
            else:
                out.append(held[at : found + 1])
                at = found + 1
        self._held = ""
        return "".join(out) + held[at:]

    def end(self) -> str:
        """What was held: it became none."""
        held, self._held = self._held, ""
        return held

    def _made(self, text: str) -> str | None:
        """The placeholder that a text begins with."""
        if not text.startswith(MARK):
            return None
        at = bisect_left(self._table._sorted, text)  # noqa: SLF001 - its own table
        # The one that is the text, or the nearest before it: what begins a text sorts before it.
        for one in self._table._sorted[max(at - 1, 0) : at + 1]:  # noqa: SLF001 - as above
            if text.startswith(one):
                return one
        return None
