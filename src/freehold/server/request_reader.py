"""Reading requests out of the bytes of one connection: HTTP/1.1, parsed by llhttp (httptools).

Promised: a head, and what stands between two pieces of a body, is bounded in bytes and number; what two programs could read
in two ways (two lengths, a transfer coding that is not plain `chunked`, an absolute target) is refused. Not done: deadlines
and answers (`server.connection`), trailers (read and dropped).
"""

from collections.abc import Callable
from urllib.parse import unquote

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser

from freehold.fault import FaultError, Kind, faulty
from freehold.server.delivery import Conversation, Line
from freehold.server.http_words import HEADER_NAMES

HEAD_BYTES = 64 * 1024
"""Of a head, and of what stands between two pieces of a body (chunk extensions, trailers)."""
HEADERS_COUNT = 128
SINGLE_HEADERS = frozenset(
    {"host", "origin", "authorization", "x-api-key", "content-length", "content-type", "transfer-encoding"}
)
"""Said twice, two programs may read two values: who asks, and from where, must have one meaning."""


class RequestReader:
    """Bytes in, conversations out: `arrived` is told of each when its head is whole; its body follows."""

    __slots__ = (
        "_arrived",
        "_count",
        "_fields",
        "_framing",
        "_head_bytes",
        "_line",
        "_parser",
        "_refusal",
        "_url",
        "in_head",
        "incoming",
    )

    def __init__(self, line: Line, arrived: Callable[[Conversation], None]) -> None:
        self._line = line
        self._arrived = arrived
        self._parser = HttpRequestParser(self)
        self._fields: dict[str, str] = {}
        self._url = b""
        self._count = 0
        self._framing = 0
        """Bytes since something that a limit of its own holds for."""
        self._head_bytes = 0
        self._refusal: FaultError | None = None
        self.in_head = False
        self.incoming: Conversation | None = None
        """The one whose body is being received."""

    def feed(self, data: bytes) -> bool:
        """Read on. False: nothing after this is for us, since another protocol was asked for.

        Raises FaultError for what cannot be understood; nothing that follows can be, then.
        """
        self._framing += len(data)
        is_ours = True
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            is_ours = False
        except HttpParserCallbackError as error:
            self._line.loop.call_exception_handler({"message": "a defect while a request was read", "exception": error})
            raise faulty(Kind.INTERNAL, "a defect of Freehold; the log has it") from error
        except HttpParserError as error:
            raise self._refusal or faulty(Kind.INVALID_REQUEST, f"this is not HTTP/1.1: {error}") from error
        if self._framing > HEAD_BYTES:
            raise _head_too_large()
        return is_ours

    def unread_path(self) -> str:
        """The path of a request whose head could not be read to its end, as far as it came."""
        return self._url.partition(b"?")[0].decode("latin-1")

    # The parser's side.

    def on_message_begin(self) -> None:
        """A request begins."""
        self._fields = {}
        self._url = b""
        self._count = 0
        self._head_bytes = 0
        self._refusal = None
        self.in_head = True

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._url += url

    def on_header(self, raw_name: bytes, raw_value: bytes) -> None:
        """One header."""
        name = HEADER_NAMES.get(raw_name) or raw_name.decode("latin-1").lower()
        value = raw_value.decode("latin-1")
        fields = self._fields
        self._count += 1
        self._head_bytes += len(raw_name) + len(raw_value)
        if name not in fields and self._count <= HEADERS_COUNT:
            fields[name] = value
            return
        if name in SINGLE_HEADERS and name in fields:
            self._refusal = self._refusal or faulty(
                Kind.INVALID_REQUEST, f"the header {name} is said twice; say it once", param=name
            )
        elif self._count <= HEADERS_COUNT:
            fields[name] = f"{fields[name]}, {value}"
        if self._count > HEADERS_COUNT:
            self._refusal = faulty(Kind.HEAD_TOO_LARGE, f"there are more than {HEADERS_COUNT} headers")
            fields.clear()  # what comes beyond is counted, not kept

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self.in_head = False
        self._framing = 0
        conversation = self.incoming = Conversation(self._line)
        conversation.headers = fields = self._fields
        conversation.method = self._parser.get_method().decode("latin-1")
        conversation.version = self._parser.get_http_version()
        conversation.refusal = self._refusal
        if self._head_bytes + len(self._url) > HEAD_BYTES:
            conversation.refusal = _head_too_large()
        if "transfer-encoding" in fields and fields["transfer-encoding"].strip().lower() != "chunked":
            conversation.refusal = faulty(
                Kind.INVALID_REQUEST, "the only transfer-encoding there is here is chunked", param="transfer-encoding"
            )
        self._read_target(conversation)
        self._arrived(conversation)

    def _read_target(self, conversation: Conversation) -> None:
        try:
            target = self._url.decode("ascii")
        except UnicodeDecodeError:
            target = ""
        if not target.startswith("/"):
            conversation.refusal = conversation.refusal or faulty(
                Kind.INVALID_REQUEST, "the target must be a path in ASCII; proxies' absolute form is not taken"
            )
            return
        path, _, conversation.query = target.partition("?")
        conversation.path = unquote(path) if "%" in path else path

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        self._framing = 0
        if self.incoming is not None:
            self.incoming.take(piece)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._framing = 0
        conversation, self.incoming = self.incoming, None
        if conversation is not None:
            conversation.keeps_alive = self._parser.should_keep_alive()
            conversation.body_ends()


def _head_too_large() -> FaultError:
    return faulty(Kind.HEAD_TOO_LARGE, f"the head, or what stands between two pieces of the body, is over {HEAD_BYTES} bytes")
