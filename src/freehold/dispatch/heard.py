"""What was heard of an answer that nobody reported the tokens of: most streams that break, and those whose client leaves.

Promised: a few additions for each piece of the stream that is read; the text is looked at only when the count is asked for,
and no more of it is kept than two pieces. Where each event carries a token, as engines and some vendors send them, the count
is that of the events; where vendors pack more into each, it is estimated by length, rather too high than too low.
"""

from freehold.chat import Usage
from freehold.wire.said import texts_in

BYTES_PER_TOKEN = 3.4
"""Of UTF-8, on average."""
ROUGHLY = 1.5
"""So far an estimate may be off."""
LONGEST_AVERAGE_BYTES = 8.0
"""Events that carry more text than this on average carry more than one token each."""


class Heard:
    """Of one attempt's stream."""

    __slots__ = ("_begins", "_first", "_is_between", "_mark", "_sample", "_size_bytes", "events", "most_tokens")

    def __init__(self, mark: bytes) -> None:
        """`mark` stands in the stream once for each event."""
        self._mark = mark
        self._first = self._sample = b""
        self._size_bytes = 0
        self._begins = self._is_between = True
        """The sample begins with an event; what is read next does."""
        self.events = 0
        """Behind the piece that had the first content."""
        self.most_tokens: int | None = None
        """What it was allowed, where that was reserved: it cannot have been more."""

    def first(self, data: bytes) -> None:
        """A piece of the stream, before which there was no content."""
        self._first, self._is_between = data, data[-1:] == b"\n"

    def whole(self, body: bytes, reported: Usage | None) -> None:
        """An answer that was no stream; it is kept only where nobody counted it."""
        if reported is None:
            self._first = body

    def more(self, data: bytes) -> None:
        """A piece behind the first content."""
        self.events += data.count(self._mark)
        self._size_bytes += len(data)
        ends = data[-1:] == b"\n"
        if ends:
            self._sample, self._begins = data, self._is_between
        self._is_between = ends

    def is_more_than(self, tokens: int) -> bool:
        """Whether it was more for certain: a report of so many was made before the answer was."""
        return tokens < self.events or tokens * ROUGHLY < self.tokens()

    def tokens(self) -> int:
        """About as many as there were."""
        events, text_bytes = texts_in(self._first)
        events = max(events, 1) + self.events
        sample = self._sample if self._begins else self._sample.partition(b"\n" if self._mark == b"\n" else b"\n\n")[2]
        seen = sample.count(self._mark)
        if seen:
            around_bytes = (len(sample) - texts_in(sample)[1]) / seen
            text_bytes += max(int(self._size_bytes - around_bytes * self.events), 0)
        one_each = text_bytes <= LONGEST_AVERAGE_BYTES * events
        tokens = events if one_each else int(text_bytes / BYTES_PER_TOKEN) + 1
        return tokens if self.most_tokens is None else min(tokens, self.most_tokens)
