"""Ids of calls that tell the turns of a conversation apart.

Promised: a call whose id stands in the request already, or that has none, goes out under an id made from the request's own. Some
runtimes number the calls of each answer anew (`0`, `functions.read:0`), and clients that know an id take its result for an old one
and drop it: Claude Code then asks the same for ever. Not done: changing an id that is new, and anything in a relay.
"""

import msgspec

from freehold.chat import Event, ToolCallStarted
from freehold.wire.codec import Reader
from freehold.wire.turned_reader import TurnedReader

_encode = msgspec.json.Encoder().encode
_replace = msgspec.structs.replace


class CallIdReader(TurnedReader):
    """Gives a call an id of ours where its own was said before."""

    __slots__ = ("_body", "_count", "_seed")

    def __init__(self, upstream: Reader, body: bytes, request_id: str) -> None:
        """`body`: the client's request, whose history holds the ids it knows; `request_id`: no other request has it."""
        super().__init__(upstream)
        self._body = body
        self._seed = request_id.rpartition("_")[2]
        self._count = 0

    def turn(self, events: list[Event]) -> list[Event]:
        """As `TurnedReader.turn`."""
        for at, event in enumerate(events):
            if type(event) is ToolCallStarted and self._was_said(event.id):
                events[at] = _replace(event, id=f"call_{self._seed}_r{self._count}")
                self._count += 1
        return events

    def _was_said(self, call_id: str) -> bool:
        # Found as a string anywhere in the body, which costs microseconds where reading a long history costs a millisecond. One
        # that stands there for another reason is replaced too, which harms nobody.
        return not call_id or _encode(call_id) in self._body
