"""Reads `multipart/form-data` bodies strictly, and edits one text field of them, every other byte kept.

Sources: RFC 2046 section 5.1 (boundaries and delimiters), RFC 7578 (form-data, and what of MIME it gives up). Promised:
what passes can be read in one way only, so no two parsers see different fields; a field that is edited stands where it
stood; time is linear in the body, and nothing of it is copied but short texts and the edited whole. Stricter than the
RFCs: no preamble, no epilogue, no nested multiparts, no transfer encodings, no folded lines, no `name*` and no
`_charset_`. Not done: streaming; a body is bounded by the server before it comes here.
"""

import re

import msgspec

from freehold.fault import FaultError, Kind, faulty

MOST_PARTS = 128
LONGEST_HEAD_BYTES = 4096
"""Of one part: its headers."""
LONGEST_TEXT_BYTES = 1024 * 1024
"""Of one text field that is read."""

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_VALUE = r'(?:"((?:[^"\\\r\n]|\\[^\r\n])*)"|([^\s";,]+))'
_PARAMS = re.compile(rf"(?:[ \t]*;[ \t]*{_WORD}={_VALUE})+[ \t]*")
_PARAM = re.compile(rf";[ \t]*({_WORD})={_VALUE}")
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_NAME = re.compile(r"[A-Za-z0-9_.\[\]-]{1,100}")
_PADDING = re.compile(rb"[ \t]{0,64}\r\n")
_PLAIN_ENCODINGS = frozenset({b"7bit", b"8bit", b"binary"})


class Part(msgspec.Struct, frozen=True, gc=False):
    """One field or file: its name, and where its content stands in the body."""

    name: str
    start: int
    end: int
    is_file: bool
    """It has a `filename`."""
    filename: str | None = None


class Form(msgspec.Struct, frozen=True):
    """A body, read."""

    body: bytes
    boundary: bytes
    parts: tuple[Part, ...]

    def find(self, name: str) -> Part | None:
        """The only part of that name. Raises FaultError(INVALID_REQUEST) where there are several."""
        found = [part for part in self.parts if part.name == name]
        if len(found) > 1:
            raise faulty(Kind.INVALID_REQUEST, f"{name}: stands in the form {len(found)} times; say it once", param=name)
        return found[0] if found else None

    def text(self, name: str) -> str | None:
        """A text field. Raises FaultError(INVALID_REQUEST): it is a file, stands there twice, is too long or no UTF-8."""
        part = self.find(name)
        if part is None:
            return None
        if part.is_file:
            raise faulty(Kind.INVALID_REQUEST, f"{name}: is sent as a file; send it as a plain field", param=name)
        if part.end - part.start > LONGEST_TEXT_BYTES:
            raise faulty(Kind.INVALID_REQUEST, f"{name}: is longer than {LONGEST_TEXT_BYTES} bytes", param=name)
        try:
            return self.body[part.start : part.end].decode()
        except UnicodeDecodeError:
            raise faulty(Kind.INVALID_REQUEST, f"{name}: is not valid UTF-8", param=name) from None

    def fields(self) -> tuple[tuple[str, str], ...]:
        """The name and the text of every field that is no file."""
        return tuple(
            (part.name, self.body[part.start : part.end].decode(errors="replace")) for part in self.parts if not part.is_file
        )

    def texts(self) -> tuple[str, ...]:
        """Every field that is no file, as far as it is text, and the names of the files."""
        return (*(said for _, said in self.fields()), *(part.filename for part in self.parts if part.filename))

    def with_text(self, name: str, value: str) -> bytes:
        """The body with that field's value replaced; put in front where it is missing. All other bytes are kept.

        Raises FaultError(INVALID_REQUEST) where the value holds the boundary.
        """
        new = value.encode()
        if b"\r\n--" + self.boundary in b"\r\n" + new:
            raise faulty(Kind.INVALID_REQUEST, "the form's boundary stands in a value; choose another boundary")
        part = self.find(name)
        if part is not None:
            return b"".join((self.body[: part.start], new, self.body[part.end :]))
        head = b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n' % (self.boundary, name.encode())
        return b"".join((head, new, b"\r\n", self.body))


def is_multipart(content_type: str) -> bool:
    """Whether a `content-type` says that the body is a form with files."""
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


def read_form(body: bytes, content_type: str) -> Form:
    """All parts of a body. Raises FaultError(INVALID_REQUEST) saying what is wrong and where."""
    boundary = read_boundary(content_type)
    delimiter = b"\r\n--" + boundary
    if not body.startswith(delimiter[2:]):
        raise _bad("the form does not begin with its boundary")
    at, parts = len(delimiter) - 2, list[Part]()
    while not body.startswith(b"--", at):
        if len(parts) == MOST_PARTS:
            raise _bad(f"the form has more than {MOST_PARTS} parts")
        where = f"part {len(parts) + 1} of the form"
        at = _end_delimiter(body, at, where)
        head_end = body.find(b"\r\n\r\n", at - 2, at + LONGEST_HEAD_BYTES)
        if head_end < 0:
            raise _bad(f"{where} has no end of its headers within {LONGEST_HEAD_BYTES} bytes")
        start = head_end + 4
        end = body.find(delimiter, start - 2)  # an empty content shares its line end with the headers' blank line
        if end < 0:
            raise _bad(f"{where} is not closed by the boundary: the form is cut off")
        if end < start:
            raise _bad(f"{where} has no content, not even an empty one")
        parts.append(_read_part(body[at:head_end], start, end, where))
        at = end + len(delimiter)
    if body[at:] not in {b"--", b"--\r\n"}:
        raise _bad("bytes follow the form's closing boundary")
    return Form(body, boundary, tuple(parts))


def read_boundary(content_type: str) -> bytes:
    """The `boundary` of a content type. Raises FaultError(INVALID_REQUEST)."""
    kind, _, _ = content_type.partition(";")
    params = content_type[len(kind) :]
    if kind.strip().lower() != "multipart/form-data" or _PARAMS.fullmatch(params) is None:
        raise _bad('send multipart/form-data; boundary="..."', "content-type")
    given: list[str] = [quoted or plain for name, quoted, plain in _PARAM.findall(params) if name.lower() == "boundary"]
    if len(given) != 1 or _BOUNDARY.fullmatch(given[0]) is None:
        raise _bad("the boundary must stand there once, 1 to 70 characters of those that RFC 2046 allows", "content-type")
    return given[0].encode()


def _end_delimiter(body: bytes, at: int, where: str) -> int:
    """Behind the blanks and the line end that a delimiter may be followed by."""
    found = _PADDING.match(body, at)
    if found is None:
        raise _bad(f"in front of {where}: the boundary is not followed by a line end, or stands inside a content")
    return found.end()


def _read_part(head: bytes, start: int, end: int, where: str) -> Part:
    headers: dict[bytes, bytes] = {}
    for line in head.split(b"\r\n") if head else []:
        header = _HEADER.fullmatch(line)
        if header is None:
            raise _bad(f"{where} has a header line that is none")
        name = header[1].lower()
        if name in headers:
            raise _bad(f"{where} says a header twice")
        headers[name] = header[2]
    encoding = headers.get(b"content-transfer-encoding")
    if encoding is not None and encoding.strip().lower() not in _PLAIN_ENCODINGS:
        raise _bad(f"{where} has a content-transfer-encoding; send the bytes as they are")
    name, filename = _read_disposition(headers.get(b"content-disposition", b""), where)
    return Part(name, start, end, filename is not None, filename)


def _read_disposition(said: bytes, where: str) -> tuple[str, str | None]:
    text = said.decode("latin-1")
    kind, _, _ = text.partition(";")
    rest = text[len(kind) :]
    params: dict[str, str] = {}
    if kind.strip().lower() == "form-data" and _PARAMS.fullmatch(rest) is not None:
        for key, quoted, plain in _PARAM.findall(rest):
            if key.lower() in params:
                raise _bad(f"{where} says a parameter of its content-disposition twice")
            params[key.lower()] = quoted or plain
    name = params.get("name", "")
    if _NAME.fullmatch(name) is None or "name*" in params or name == "_charset_":
        raise _bad(f'{where}: send Content-Disposition: form-data; name="..." with a plain name')
    if "filename" not in params and "filename*" not in params:
        return name, None
    return name, params.get("filename", "").encode("latin-1").decode(errors="replace")


def _bad(message: str, param: str | None = None) -> FaultError:
    return faulty(Kind.INVALID_REQUEST, message if param is None else f"{param}: {message}", param=param)
