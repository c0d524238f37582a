"""Reads JSON as models write it: broken, half Python, or cut short.

Promised: what is JSON reads as JSON does; nothing is evaluated; a value comes out of the text's own words or not at all;
nesting is bounded and time is linear. Mended: missing or trailing commas, missing closing braces, brackets and quotes at the
end, single and typographic quotes, quotes and line ends inside strings, Python's True, False and None, comments, unquoted
keys and words. Not done: placeholders (`...`) and expressions, which are no values.
"""

import re
from typing import Any, Literal

import msgspec

from freehold.wire.body import UNREADABLE

MAX_DEPTH = 64
Cut = Literal["", "marks", "words"]
"""What is missing at an end: nothing, closing marks, or perhaps words too."""
_BLANK = re.compile(r"(?:\s+|//[^\n]*|#[^\n]*|/\*.*?(?:\*/|\Z))+", re.DOTALL)
_NUMBER = re.compile(r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w./*(])")
_WORD = re.compile(r"[A-Za-z_$][\w$.-]*")
_LOOSE_KEY = re.compile(r"[\"'“”‘’`]?([A-Za-z_$][\w$.-]*)[\"'“”‘’`]?\s*[:=]")
_LOOSE_VALUE = re.compile(r"[^\s,{}\[\]()\"':=<>][^,{}\[\]()\"':=\n<>]*")
_CLOSERS = {'"': '"', "'": "'", "“": "”", "‘": "’", "`": "`"}
_WORDS: dict[str, Any] = {
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
    "null": None, "None": None, "NULL": None, "nil": None, "undefined": None,
}  # fmt: skip
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "/": "/", "\\": "\\", '"': '"', "'": "'", "\n": "", "`": "`"}
_BEHIND_STRING = frozenset(",:}])")
_DIGITS = re.compile(r"[0-9a-fA-F]{4}")


class NoValueError(ValueError):
    """The text does not say a value."""


class Lenient:
    """One text being read. `mended` and `was_cut` say what reading took."""

    __slots__ = ("_depth", "_open", "_text", "at", "ends_amid_words", "is_in_string", "mended", "was_cut")

    def __init__(self, text: str, at: int = 0) -> None:
        self._text = text
        self._depth = 0
        self._open: list[str] = []
        """Closing marks that are still to come."""
        self.at = at
        """Behind what was read."""
        self.mended = False
        """It was no JSON."""
        self.was_cut = False
        """The end was missing."""
        self.is_in_string = False
        """The text ends inside a string."""
        self.ends_amid_words = False
        """And nothing there says that more was not to come."""

    @property
    def cut(self) -> Cut:
        """What is missing at the end."""
        return "words" if self.ends_amid_words else "marks" if self.was_cut else ""

    def value(self) -> Any:
        """The next value. Raises NoValueError."""
        self.skip()
        text, at = self._text, self.at
        if at >= len(text):
            raise NoValueError
        letter = text[at]
        if letter == "{":
            return self._nested(self._object, "}")
        if letter == "[":
            return self._nested(self._array, "]")
        if letter == "(":
            self.mended = True
            return self._nested(self._array, ")")
        if letter in _CLOSERS:
            return self._string(letter)
        return self._plain()

    def skip(self) -> None:
        """Pass over blanks and comments."""
        found = _BLANK.match(self._text, self.at)
        if found is not None:
            if not found[0].isspace():
                self.mended = True
            self.at = found.end()

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments as Python has them, from behind the opening parenthesis to behind the closing one."""
        self._open.append(")")
        return self._pairs(")", "=")

    def _nested(self, read: Any, closing: str) -> Any:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise NoValueError
        self.at += 1
        self._open.append(closing)
        value = read(closing)
        self._depth -= 1
        return value

    def _object(self, closing: str) -> dict[str, Any]:
        return self._pairs(closing, ":")

    def _pairs(self, closing: str, equals: str) -> dict[str, Any]:
        pairs: dict[str, Any] = {}
        while not self._is_closed(closing):
            key = self._key(equals)
            pairs[key] = self.value()
            self._comma(closing)
        return pairs

    def _array(self, closing: str) -> list[Any]:
        values = []
        while not self._is_closed(closing):
            values.append(self.value())
            self._comma(closing)
        return values

    def _is_closed(self, closing: str) -> bool:
        """Whether the container ends here; a missing end is at the end of the text, or where an outer one ends."""
        self.skip()
        text, at = self._text, self.at
        if at >= len(text):
            self.was_cut = self.mended = True
        elif text[at] == closing:
            self.at += 1
        elif text[at] in "}])" and text[at] in self._open:
            self.mended = True  # an outer one ends: this one's own end was forgotten
        else:
            return False
        self._open.pop()
        return True

    def _comma(self, closing: str) -> None:
        self.skip()
        text = self._text
        if self.at < len(text) and text[self.at] in ",;":
            if text[self.at] == ";":
                self.mended = True
            self.at += 1
            self.skip()
            if self.at < len(text) and text[self.at] == closing:
                self.mended = True
        elif self.at < len(text) and text[self.at] not in "}])":
            self.mended = True
            if text[self.at] not in "\"'“‘{[" and _LOOSE_KEY.match(text, self.at) is None:
                raise NoValueError

    def _key(self, equals: str) -> str:
        text = self._text
        loose = _LOOSE_KEY.match(text, self.at)
        if loose is not None:
            if not (loose[0].startswith('"') and loose[0].rstrip(" \t\r\n:").endswith('"')) and equals == ":":
                self.mended = True
            self.at = loose.end()
            return loose[1]
        if text[self.at] not in _CLOSERS:
            raise NoValueError
        key = self._string(text[self.at])
        self.skip()
        if self.at >= len(text) or text[self.at] not in ":=":
            raise NoValueError
        self.at += 1
        return key

    def _string(self, opening: str) -> str:
        text, closing = self._text, _CLOSERS[opening]
        if opening != '"':
            self.mended = True
        if opening != "`" and text.startswith(opening * 3, self.at):
            return self._long_string(opening * 3)
        self.at += 1
        pieces: list[str] = []
        start = self.at
        while True:
            at = self._next(closing, start)
            if at < 0:
                return self._unclosed("".join([*pieces, text[start:]]))
            pieces.append(text[start:at])
            if text[at] == "\\":
                piece, start = self._escape(at)
                pieces.append(piece)
            elif self._ends_string(at):
                self.at = at + 1
                said = "".join(pieces)
                if "\n" in said or "\t" in said:
                    self.mended = True  # written as they are, which JSON does not allow; escapes cost nothing to mend again
                return said
            else:
                self.mended = True
                pieces.append(text[at])
                start = at + 1

    def _long_string(self, marks: str) -> str:
        start = self.at + 3
        end = self._text.find(marks, start)
        if end < 0:
            raise NoValueError
        self.at = end + 3
        return self._text[start:end]

    def _next(self, closing: str, start: int) -> int:
        quote, slash = self._text.find(closing, start), self._text.find("\\", start, None)
        if quote < 0 or slash < 0:
            return max(quote, slash)
        return min(quote, slash)

    def _escape(self, at: int) -> tuple[str, int]:
        """What the escape at this place stands for, and where it ends."""
        text = self._text
        if at + 1 >= len(text):
            return "", at + 1
        kind = text[at + 1]
        if kind != "u":
            if kind not in _ESCAPES:
                self.mended = True
                return text[at : at + 2], at + 2  # a path or a pattern that nobody escaped
            return _ESCAPES[kind], at + 2
        digits = _DIGITS.match(text, at + 2)
        if digits is None:
            self.mended = True
            return text[at : at + 2], at + 2
        code, end = int(digits[0], 16), digits.end()
        if 0xD800 <= code < 0xDC00 and text.startswith("\\u", end):
            low = _DIGITS.match(text, end + 2)
            if low is not None and 0xDC00 <= int(low[0], 16) < 0xE000:
                return chr(0x10000 + ((code - 0xD800) << 10) + int(low[0], 16) - 0xDC00), low.end()
        return ("\ufffd" if 0xD800 <= code < 0xE000 else chr(code)), end

    def _ends_string(self, at: int) -> bool:
        """A quote ends a string where structure follows; elsewhere it is one that nobody escaped."""
        text, behind = self._text, at + 1
        while behind < len(text) and text[behind] in " \t\r\n":
            behind += 1
        if behind >= len(text) or text[behind] in _BEHIND_STRING:
            return True
        if text.startswith(("//", "/*"), behind):
            return True
        return "\n" in text[at + 1 : behind] and _LOOSE_KEY.match(text, behind) is not None  # only the comma is missing

    def _unclosed(self, said: str) -> str:
        """A string that runs to the end of the text: the closing marks at its end belong to what is around it."""
        self.mended = self.was_cut = self.is_in_string = True
        self.at = len(self._text)
        rest = said.rstrip()
        left = list(self._open)
        whole = len(rest)
        while left and rest and rest[-1] == left[0]:
            rest = rest[:-1].rstrip()
            left.pop(0)
        self.ends_amid_words = len(rest) == whole
        return rest

    def _plain(self) -> Any:
        text = self._text
        number = _NUMBER.match(text, self.at)
        if number is not None:
            self.at = number.end()
            return self._number(number[0])
        word = _WORD.match(text, self.at)
        if word is not None and word[0] in _WORDS:
            self.at = word.end()
            if word[0] not in {"true", "false", "null"}:
                self.mended = True
            return _WORDS[word[0]]
        loose = _LOOSE_VALUE.match(text, self.at)
        if loose is None or "..." in loose[0] or not loose[0][0].isalpha():
            raise NoValueError
        self.mended = True
        self.at = loose.end()
        if text[self.at : self.at + 1] in {'"', "'"}:
            self.at += 1
        return loose[0].rstrip()

    def _number(self, said: str) -> float | int:
        plain = said.replace("_", "").removeprefix("+")
        if plain != said or plain.startswith(".") or plain.endswith("."):
            self.mended = True
        try:
            return int(plain)
        except ValueError:
            pass
        try:
            return float(plain)
        except ValueError:
            raise NoValueError from None


def read_value(text: str) -> tuple[Any, Lenient]:
    """The one value that a text says, and how it was read. Raises NoValueError where it says none, or more behind it."""
    reading = Lenient(text)
    try:
        value = msgspec.json.decode(text)
    except (*UNREADABLE, UnicodeEncodeError):
        pass
    else:
        reading.at = len(text)
        return value, reading
    value = reading.value()
    reading.skip()
    if text[reading.at :].strip(" \t\r\n}])`;,"):
        raise NoValueError
    reading.mended = True
    return value, reading
