"""What is held back because it may become a call: a block between marks, or an answer that is nothing but calls.

Letters are kept in pieces and looked at once, so that a long call that comes in small pieces costs no more than its length.
"""

import json
import re

from freehold.routing.calls.bodies import read_block
from freehold.routing.calls.heads import view_block
from freehold.routing.calls.lenient import Lenient, NoValueError
from freehold.routing.calls.marks import Family
from freehold.routing.calls.names import Names

_STRUCTURE = re.compile(r"[\"{}\[\]]")
_IN_STRING = re.compile(r"\\.|\"", re.DOTALL)
_BENIGN = " \t\r\n}]);,`"
_OPENS_PARAMETER = re.compile(r"<(?:｜DSML｜)?parameter\b", re.IGNORECASE)
_CLOSES_PARAMETER = re.compile(r"</(?:｜DSML｜)?parameter>", re.IGNORECASE)
_REOPENING = frozenset({"any", "json", "gemma"})


class Block:
    """What came since a family's opening mark."""

    def __init__(self, family: Family, mark: str) -> None:
        self.family = family
        self.mark = mark
        self.was_closed = False
        """Its closing mark came."""
        self.size = len(mark)
        self.is_special = mark.startswith(("<|", "<｜", "[", "<start_"))
        """Its mark is a token of its own, which nobody writes by the way."""
        ends = [re.escape(mark) for mark in family.closing]
        if family.body in _REOPENING and family.opening not in family.closing:
            ends.append(re.escape(family.opening))
        self._ends = re.compile("|".join(ends), re.IGNORECASE)
        self._longest = max(map(len, (*family.closing, family.opening)))
        self._pieces: list[str] = []
        self._tail = ""
        self._is_call: bool | None = None
        self._searched = 0
        self._first_end: tuple[int, int] | None = None

    def text(self) -> str:
        """All of it, as it was written."""
        return self.mark + self._inside()

    def add(self, text: str) -> None:
        """Keep more."""
        self._pieces.append(text)
        self.size += len(text)

    def view(self, text: str, names: Names) -> bool | None:
        """Whether it is a call so far, with this text behind it."""
        if self._is_call is None:
            self._is_call = view_block(self.family.body, self._inside() + text, names)
        return self._is_call

    def close(self, text: str, names: Names, *, at_end: bool) -> tuple[str, str] | None:
        """With more text: its body and what stands behind it, once it is complete; None before."""
        self.add(text)
        window = self._tail + text
        if not at_end and self._ends.search(window) is None:
            self._tail = window[-self._longest :]
            return None
        inside = self._inside()
        self._pieces = [inside]
        for end in self._ends.finditer(inside, self._searched):
            self._searched = end.end()
            is_reopened = end[0].lower() == self.family.opening
            body = inside[: end.start()]
            if is_reopened and read_block(self.family.body, self._body(body), names) is None:
                continue
            rest_at = end.start() if is_reopened else end.end()
            if is_reopened or self._is_complete(body):
                return self._closed(inside, end.start(), rest_at)
            if self._first_end is None:
                self._first_end = end.start(), rest_at
        self._tail = window[-self._longest :]
        if not at_end:
            return None
        if self._first_end is not None:
            return self._closed(inside, *self._first_end)
        return self._closed_by_end(inside, names)

    def _closed(self, inside: str, end: int, rest_at: int) -> tuple[str, str]:
        self.was_closed = True
        return self._body(inside[:end]), inside[rest_at:]

    def _closed_by_end(self, inside: str, names: Names) -> tuple[str, str]:
        """No closing mark came. What stands behind a whole JSON call is no part of it."""
        bare = inside.lstrip()
        if bare.startswith(("{", "[")) and read_block(self.family.body, inside, names) is None:
            try:
                _, end = json.JSONDecoder().raw_decode(bare)
            except (ValueError, RecursionError):
                return inside, ""
            return bare[:end], bare[end:]
        return self._body(inside), ""

    def _body(self, inside: str) -> str:
        return self.mark + inside if self.family.body == "function" else inside

    def _is_complete(self, body: str) -> bool:
        """Whether a closing mark closes, or stands in an argument."""
        bare = body.strip()
        if bare.startswith(("{", "[")) and self.family.body in {"any", "json", "named"}:
            reading = Lenient(bare)
            try:
                reading.value()
            except NoValueError:
                return True
            return not reading.is_in_string
        if _OPENS_PARAMETER.search(body) is not None:
            return len(_OPENS_PARAMETER.findall(body)) <= len(_CLOSES_PARAMETER.findall(body))
        return True

    def _inside(self) -> str:
        return self._pieces[0] if len(self._pieces) == 1 else "".join(self._pieces)


class Bare:
    """An answer without marks that may be nothing but calls."""

    def __init__(self) -> None:
        self.size = 0
        self._pieces: list[str] = []
        self._depth = 0
        self._is_in_string = False
        self._is_json: bool | None = None
        self._carried = ""
        """A backslash whose letter is to come."""
        self._tail = ""
        """What stands behind the last complete value."""

    def add(self, text: str) -> None:
        """Keep more."""
        if self._is_json is None and text:
            self._is_json = text[0] in "{["
        self._pieces.append(text)
        self.size += len(text)
        if self._is_json:
            self._follow(text)

    def text(self) -> str:
        """All of it, as it was written."""
        return "".join(self._pieces)

    def may_be_calls(self) -> bool:
        """False once words stand behind what is complete."""
        rest = self._tail.lstrip(_BENIGN)
        return not rest or rest[0] == "<"

    def _follow(self, text: str) -> None:
        """Keep track of where values end."""
        text, self._carried = self._carried + text, ""
        at = 0
        while (found := (_IN_STRING if self._is_in_string else _STRUCTURE).search(text, at)) is not None:
            letter = found[0]
            if self._depth == 0:
                self._tail += text[at : found.start()]
            at = found.end()
            if letter == '"':
                if self._depth:
                    self._is_in_string = not self._is_in_string
                else:
                    self._tail += letter
            elif letter in "{[":
                self._depth += 1
                if not self._tail.strip(_BENIGN):
                    self._tail = ""
            elif letter in "}]":
                self._depth = max(0, self._depth - 1)
        if self._depth == 0:
            self._tail += text[at:]
        elif self._is_in_string and text.endswith("\\") and at < len(text):
            self._carried = "\\"
