"""Takes down what a client is answered, on the way to its connection. Comments that keep a stream alive are left out."""

import asyncio

from freehold.server.delivery import Conversation, Line, RawHeaders

FIRST_FINAL = 200


class CopyingLine:
    """A `Line` in front of another one. Everything is passed on, whatever is kept of it."""

    def __init__(self, line: Line, most_bytes: float) -> None:
        """`most_bytes`: of a body; nothing of a longer one is kept."""
        self.loop, self.keep_alive_s = line.loop, line.keep_alive_s
        self._line, self._most_bytes = line, most_bytes
        self.status: int | None = None
        """None: nothing was answered yet."""
        self.headers: RawHeaders = []
        self.streams = self.is_whole = self.is_too_large = False
        self._pieces: list[bytes] = []
        self._size = 0

    @property
    def body(self) -> bytes:
        """What was sent of it so far."""
        return b"".join(self._pieces)

    def hold(self) -> None:
        """As `Line.hold`."""
        self._line.hold()

    def resume(self) -> None:
        """As `Line.resume`."""
        self._line.resume()

    def room(self) -> asyncio.Future[None] | None:
        """As `Line.room`."""
        return self._line.room()

    def write_head(self, conversation: Conversation, status: int, headers: RawHeaders) -> None:
        """As `Line.write_head`."""
        if status >= FIRST_FINAL:
            self.status, self.headers, self.streams = status, headers, True
        self._line.write_head(conversation, status, headers)

    def write_body(self, conversation: Conversation, body: bytes, *, more: bool) -> None:
        """As `Line.write_body`."""
        if not conversation.is_kept_alive:
            self._take(body)
            self.is_whole = not more
        self._line.write_body(conversation, body, more=more)

    def write_whole(self, conversation: Conversation, status: int, headers: RawHeaders, body: bytes) -> None:
        """As `Line.write_whole`."""
        self.status, self.headers, self.is_whole = status, headers, True
        self._take(body)
        self._line.write_whole(conversation, status, headers, body)

    def _take(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._most_bytes:
            self.is_too_large = True
            self._pieces.clear()
        elif body:
            self._pieces.append(body)
