"""Splits a client's JSON body at its top level, and turns a decoder's complaint into a fault that names the field.

Promised: what passes is UTF-8, one JSON object, and says every key once, so that no two parsers can read it differently:
at the top level and inside its small values here, inside the parts of a prompt when each is read for the first time
(`wire.blocks`). Values stay raw bytes and their types are checked when they are read.
"""

import json
import re
from codecs import BOM_UTF8

import msgspec

from freehold.fault import FaultError, Kind, faulty
from freehold.wire.steering import refuse_steering, refuse_template_options

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding somebody else's JSON can raise (a ValidationError is a DecodeError)."""

PROMPT_FIELDS = frozenset({"messages", "input", "prompt", "system", "instructions", "tools", "functions", "documents"})
"""Fields that hold the prompt, in one format or another: long, and read part by part."""

_TOP = msgspec.json.Decoder(dict[str, msgspec.Raw])
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_BRACE = 123
SHORTEST_REPEAT_BYTES = len(b'{"":0,"":0}') - 1
"""No shorter object can say a key twice."""
_STRING = msgspec.json.Decoder(str)
_ENTRY = re.compile(rb'[ \t\r\n]*("(?:[^"\\]|\\.)*")[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
_SEPARATOR = re.compile(rb"[ \t\r\n]*,")
_CLOSING = re.compile(rb"[ \t\r\n]*\}[ \t\r\n]*")
_JSON_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
"""Of JSON, by what the decoder calls them."""
_QUOTED = re.compile(r"`[a-z| ]+`")
_TYPE = re.compile(rf"\b(?:{'|'.join(_JSON_TYPES)})\b")
_MISSING = re.compile(r"missing required field `([^`]+)`")
_PATH = re.compile(r" - at `\$\.?([^`]*)`$")


def split_top(body: bytes) -> dict[str, msgspec.Raw]:
    """Top-level fields in the client's order. Raises FaultError(INVALID_REQUEST)."""
    try:
        if not body.isascii():
            body.decode()
        top = _TOP.decode(body)
    except UNREADABLE as error:
        raise _unlike_json(body) or refusal(error) from None
    compact = 1 + 4 * len(top) + sum(map(len, top)) + sum(map(len, top.values()))
    if len(body) != compact and top and not _is_spaced(body, top):
        _refuse_repeats(body, top)
    refuse_steering(top)
    if "chat_template_kwargs" in top:
        refuse_template_options(_decode(top["chat_template_kwargs"]))
    for key, value in top.items():
        if len(value) > SHORTEST_REPEAT_BYTES and key not in PROMPT_FIELDS and (data := bytes(value))[0] == _BRACE:
            refuse_repeats(data, key)
    return top


def _unlike_json(body: bytes) -> FaultError | None:
    """What a body is that is no JSON for a plain reason."""
    if not body.strip():
        return faulty(Kind.INVALID_REQUEST, "the body is empty; send a JSON object")
    if body.startswith(BOM_UTF8):
        return faulty(Kind.INVALID_REQUEST, "the body begins with a byte order mark; send plain UTF-8 without one")
    return None


def refuse_repeats(data: bytes, within: str = "") -> None:
    """Refuse JSON that says a key twice in one object, however deep; `within` is its path. Raises FaultError(INVALID_REQUEST).

    Linear. Written compactly, it costs one decoding and one encoding; otherwise a slower walk decides.
    """
    try:
        if data.find(b"{", 1) < 0 and data[:1] == b"{":  # flat: only its own keys can repeat
            top = _TOP.decode(data)
            if len(data) == 1 + 4 * len(top) + sum(map(len, top)) + sum(map(len, top.values())) or _is_spaced(data, top):
                return
        elif _encode(_decode(data)) == data:
            return
        json.loads(data, object_pairs_hook=_see, parse_int=len, parse_float=len)
    except _RepeatedError as error:
        said = f"{within or 'an object'}: the key {error.args[0][:100]!r} stands twice in one object; say it once"
        raise faulty(Kind.INVALID_REQUEST, said, param=within or None) from None
    except (*UNREADABLE, ValueError) as error:
        raise refusal(error, within) from None


class _RepeatedError(Exception):
    """The key that stands twice."""


def _see(pairs: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise _RepeatedError(key)
        seen.add(key)


def refusal(error: Exception, within: str = "") -> FaultError:
    """The caller's fault for one of `UNREADABLE`; `within` is the path of what was being read."""
    if isinstance(error, UnicodeDecodeError):
        return faulty(Kind.INVALID_REQUEST, "the body is not valid UTF-8", param=within or None)
    if isinstance(error, RecursionError):
        return faulty(Kind.INVALID_REQUEST, "the JSON is nested too deeply", param=within or None)
    said = str(error)
    found = _PATH.search(said)
    if not isinstance(error, msgspec.ValidationError):
        return faulty(Kind.INVALID_REQUEST, f"the body is not JSON: {said}", param=within or None)
    path = found[1] if found is not None else ""
    missing = _MISSING.search(said)
    if missing is not None:
        path, said, found = (f"{path}.{missing[1]}" if path else missing[1]), "is missing", None
    param = path if not within else within + (path if path.startswith("[") or not path else f".{path}")
    complaint = said[: found.start()] if found is not None else said
    complaint = _QUOTED.sub(_name_types, complaint[:1].lower() + complaint[1:])
    return faulty(Kind.INVALID_REQUEST, f"{param or 'the body'}: {complaint}", param=param or None)


def _name_types(quoted: re.Match[str]) -> str:
    return _TYPE.sub(lambda name: _JSON_TYPES[name[0]], quoted[0])


def _is_spaced(body: bytes, top: dict[str, msgspec.Raw]) -> bool:
    """Whether the body is exactly these entries with one blank behind each colon and comma, as Python writes JSON."""
    return b"{%b}" % b", ".join([b'"%b": %b' % (key.encode(), value) for key, value in top.items()]) == body


def _refuse_repeats(body: bytes, top: dict[str, msgspec.Raw]) -> None:
    """Walk the entries of a body that is not written compactly; each must stand where the decoder's value stands.

    A key said twice is read as its last value by us and may be read as its first by a runtime, so it is refused.
    """
    at = body.index(b"{") + 1
    last = len(top) - 1
    for index, (key, value) in enumerate(top.items()):
        entry = _ENTRY.match(body, at)
        if entry is None or _STRING.decode(entry[1]) != key or not body.startswith(bytes(value), entry.end()):
            raise _repeated()
        end = (_CLOSING.fullmatch if index == last else _SEPARATOR.match)(body, entry.end() + len(value))
        if end is None:
            raise _repeated()
        at = end.end()


def _repeated() -> FaultError:
    return faulty(Kind.INVALID_REQUEST, "the body says a top-level field twice; say each once")
