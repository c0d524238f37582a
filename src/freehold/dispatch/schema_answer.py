"""What a model wrote under the schema of `schema_tools`, taken apart while it is being written.

Promised: the text of a reply comes out as it comes in, whole characters only; every cut of the same text gives the same
words; what does not follow the schema comes out as the text it is; of calls that were cut short, those that were whole. Not done:
guessing calls from prose.
"""

import json
import re

import msgspec

from freehold.wire.body import UNREADABLE

REPLY_KEY = "reply"
_BLANKS = " \t\r\n"


class _Call(msgspec.Struct):
    name: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")


class _Answer(msgspec.Struct):
    calls: list[_Call] = []
    reply: msgspec.Raw = msgspec.Raw(b"")


_answer = msgspec.json.Decoder(_Answer)
_call = msgspec.json.Decoder(_Call)
_scan = json.JSONDecoder(strict=False).raw_decode
_CALLS_BEGIN = re.compile(r'\s*\{\s*"calls"\s*:\s*\[')
_BETWEEN = re.compile(r"[ \t\r\n,]*")
_string = msgspec.json.Decoder(str)
_UNREADABLE = (*UNREADABLE, UnicodeEncodeError)


class SchemaAnswer:
    """One choice of an answer."""

    def __init__(self, *, reply_is_json: bool = False) -> None:
        self._reply_is_json = reply_is_json
        self.lacks_calls = False
        """More calls were begun than `end` told."""
        self._pieces: list[str] = []
        self._waiting = ""
        """Not decided yet, or half an escape."""
        self._kind = "object" if reply_is_json else "undecided"
        """undecided, object (calls, or what only the end can tell), reply (inside its string), closed (behind it), plain."""

    def feed(self, text: str) -> str:
        """The words that these characters complete."""
        self._pieces.append(text)
        match self._kind:
            case "plain":
                return text
            case "object":
                return ""
            case "closed":
                self._waiting += text
                return ""
            case _:
                self._waiting += text
                if self._kind == "undecided":
                    self._decide()
                return self._let_out()

    def end(self) -> tuple[str, list[tuple[str, str]]]:
        """The words that are still missing, and the calls: name and JSON arguments."""
        if self._kind == "plain":
            return "", []
        written = "".join(self._pieces)
        try:
            answer = _answer.decode(written)
        except _UNREADABLE:
            calls = _whole_calls(written)
            if calls:
                self.lacks_calls = True
                return "", calls
            # Not held to the schema, or cut short by the token limit: what was written is shown.
            return self._remainder(written), []
        reply = bytes(answer.reply)
        if answer.calls and reply == b"null":
            reply = b""
        words = "" if self._kind == "closed" else self._words(reply)
        if not reply and not answer.calls:
            words = written
        return words, [_read(call) for call in answer.calls]

    def _remainder(self, written: str) -> str:
        if self._kind == "reply":
            return ""
        if self._kind == "closed":
            return self._waiting.strip(_BLANKS).removeprefix("}").strip(_BLANKS)
        return written if written.strip() else ""

    def _words(self, reply: bytes) -> str:
        return reply.decode() if self._reply_is_json or not reply.startswith(b'"') else _string.decode(reply)

    def _decide(self) -> None:
        """Whether this is `{"reply": "` so far, something else, or too short to say."""
        text, at = self._waiting, 0
        for expected in ("{", f'"{REPLY_KEY}"', ":", '"'):
            while at < len(text) and text[at] in _BLANKS:
                at += 1
            said = text[at : at + len(expected)]
            if said != expected:
                if not expected.startswith(said):
                    self._kind = "plain" if expected == "{" else "object"
                return
            at += len(expected)
        self._kind, self._waiting = "reply", text[at:]

    def _let_out(self) -> str:
        if self._kind == "plain":
            return self._waiting
        if self._kind != "reply":
            return ""
        text, at, out = self._waiting, 0, list[str]()
        while at < len(text):
            if text[at] == '"':
                self._kind = "closed"
                at += 1
                break
            width = _escape_width(text, at) if text[at] == "\\" else _plain_width(text, at)
            if width == 0:
                break
            out.append(_unescaped(text[at : at + width]))
            at += width
        self._waiting = text[at:]
        return "".join(out)


def _read(call: _Call) -> tuple[str, str]:
    return call.name, _arguments(bytes(call.arguments))


def _whole_calls(written: str) -> list[tuple[str, str]]:
    """The calls that were whole before the answer was cut. A small model goes on calling until its limit ends it."""
    begun = _CALLS_BEGIN.match(written)
    if begun is None:
        return []
    calls: list[tuple[str, str]] = []
    at = begun.end()
    try:
        while True:
            found = _BETWEEN.match(written, at)
            start = found.end() if found is not None else at
            _, at = _scan(written, start)
            calls.append(_read(_call.decode(written[start:at])))
    except (*_UNREADABLE, ValueError, RecursionError):
        return calls


def _arguments(raw: bytes) -> str:
    """JSON text of the arguments; some models write it as a string."""
    if raw.startswith(b'"'):
        try:
            return _string.decode(raw)
        except _UNREADABLE:
            pass
    return raw.decode()


def _plain_width(text: str, at: int) -> int:
    """Characters up to the next quote or escape."""
    ends = [end for end in (text.find('"', at), text.find("\\", at)) if end >= 0]
    return min(ends, default=len(text)) - at


def _escape_width(text: str, at: int) -> int:
    """Characters of the escape that begins here, both halves of a surrogate pair together; 0: its end is not there yet."""
    if len(text) - at < 2:
        return 0
    if text[at + 1] != "u":
        return 2
    if len(text) - at < 6:
        return 0
    if text[at + 2 : at + 4].lower() not in {"d8", "d9", "da", "db"}:
        return 6
    second = text[at + 6 : at + 12]
    if len(second) < 6 and "\\u".startswith(second[:2]):
        return 0
    return 12 if second.startswith("\\u") and second[2:4].lower() in {"dc", "dd", "de", "df"} else 6


def _unescaped(piece: str) -> str:
    """The characters that a piece of a JSON string stands for; half a surrogate pair becomes U+FFFD."""
    if piece[0] != "\\":
        return piece
    try:
        read: str = json.loads(f'"{piece}"', strict=False)
    except ValueError:
        return piece
    return "".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in read)
