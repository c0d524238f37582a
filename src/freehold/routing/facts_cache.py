"""Facts of the blocks of a prompt, and the memory of those seen before.

Promised: no text is kept, only numbers and hashes under a key of this process; a caller meets nobody else's entries; memory is
constant. Not done: outliving the process (whatever is forgotten is read again, with the same outcome).
"""

import sys
from collections.abc import Callable

import msgspec
from blake3 import blake3

from freehold.chat import WireFormat
from freehold.features import Caller
from freehold.routing.detectors.scanner import Spot
from freehold.routing.outcomes import Act
from freehold.routing.task_rules import Signals


class BlockFacts(msgspec.Struct, frozen=True):
    """What one block of a prompt contributes. No text."""

    tokens: int
    role: str
    images: int
    tool_calls: int
    tool_results: int
    tool_errors: int
    signals: Signals | None = None
    """What the block asks for; None until it was a user's last text: those before it are never asked."""
    spots: tuple[Spot, ...] = ()
    """What detectors found in it."""
    acts: tuple[Act, ...] = ()
    """What tools were asked for in it, and what came of that."""
    fetches: int = 0
    """What of it is only named by an address."""


class FactsCache:
    """Facts of blocks seen before, by a keyed hash of their bytes, caller and wire format.

    Two generations of dicts: the young one takes new entries; when it holds half of `entries` it becomes the old one
    and the old one goes. An entry read from the old one moves up. So it never holds more than `entries`, and a hit
    costs one or two look-ups.

    One cache belongs to one token counter. `key` is 32 random bytes of this process.
    """

    __slots__ = ("_half", "_key", "_old", "_old_scopes", "_scopes", "_young", "digest")

    def __init__(self, key: bytes, entries: int = 65_536) -> None:
        if len(key) != 32:
            raise ValueError("the key of a FactsCache is 32 random bytes")
        self._key = key
        self._half = max(entries // 2, 1)
        self._young: dict[int, BlockFacts] = {}
        self._old: dict[int, BlockFacts] = {}
        self._scopes: dict[tuple[str, str, str], int] = {}
        self._old_scopes: dict[tuple[str, str, str], int] = {}
        self.digest: Callable[[bytes], int] = hash if sys.flags.hash_randomization else self._blake3
        """Python's own hash of bytes is SipHash-1-3 under a random 128-bit key of the process: 64 bits that nobody
        can aim at, at a third of the time of blake3 for a typical message. Without that key: blake3 under ours."""

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def scope(self, caller: Caller, wire_format: WireFormat) -> int:
        """A secret number to combine digests with, so that nobody meets another caller's entries."""
        name = (caller.key, caller.user, wire_format)
        scope = self._scopes.get(name)
        if scope is None:
            scope = self._old_scopes.get(name)
            if scope is None:
                scope = int.from_bytes(blake3("\0".join(name).encode(errors="replace"), key=self._key).digest(8), "big")
            if len(self._scopes) >= self._half:
                self._old_scopes, self._scopes = self._scopes, {}
            self._scopes[name] = scope
        return scope

    def get(self, place: int) -> BlockFacts | None:
        """The facts kept at `digest(bytes) ^ scope`."""
        facts = self._young.get(place)
        if facts is None:
            facts = self._old.get(place)
            if facts is not None:
                self.put(place, facts)
        return facts

    def put(self, place: int, facts: BlockFacts) -> None:
        """Keep facts; a full generation ages."""
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[place] = facts

    def _blake3(self, data: bytes) -> int:
        return int.from_bytes(blake3(data, key=self._key).digest(16), "big")
