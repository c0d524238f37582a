"""A reader around a reader: what the upstream said, told in another way."""

from abc import ABC, abstractmethod

from freehold.chat import Event
from freehold.wire.codec import Reader


class TurnedReader(ABC):
    """Reads as `upstream` does and turns its events. See `wire.codec.Reader`."""

    __slots__ = ("_upstream",)

    def __init__(self, upstream: Reader) -> None:
        self._upstream = upstream

    @abstractmethod
    def turn(self, events: list[Event]) -> list[Event]:
        """What the client is to get for these, the next ones; the list may be changed and given back."""

    def feed(self, data: bytes) -> list[Event]:
        """As `Reader.feed`."""
        return self.turn(self._upstream.feed(data))

    def end(self) -> list[Event]:
        """As `Reader.end`."""
        return self.turn(self._upstream.end())

    def whole(self, body: bytes) -> list[Event]:
        """As `Reader.whole`."""
        return self.turn(self._upstream.whole(body))
