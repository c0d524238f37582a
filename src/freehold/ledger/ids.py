"""Ids: text that sorts by time and is unique without asking anyone.

Like a ULID (github.com/ulid/spec): 48 bits of Unix milliseconds, then 80 random bits, in Crockford's base 32, lower
case. Pure: time and randomness are arguments.
"""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(one + other for one in _ALPHABET for other in _ALPHABET)
_KNOWN = frozenset(_ALPHABET)
_CHARACTERS = 26
RANDOM_BYTES = 10
MARK_BYTES = 3
"""The first of them may be the mark of the process that gives the id: the other seven are unique enough within its millisecond."""
PREFIX = "req_"
"""Of request ids."""


def new_id(prefix: str, now_ms: int, random_bytes: bytes) -> str:
    """`prefix` (such as `req_`) and 26 characters. `random_bytes`: ten of them."""
    time, low, high = now_ms & 0xFFFFFFFFFFFF, int.from_bytes(random_bytes[5:10]), int.from_bytes(random_bytes[:5])
    pairs = _PAIRS
    return (
        f"{prefix}{pairs[time >> 40]}{pairs[time >> 30 & 1023]}{pairs[time >> 20 & 1023]}{pairs[time >> 10 & 1023]}{pairs[time & 1023]}"
        f"{pairs[high >> 30]}{pairs[high >> 20 & 1023]}{pairs[high >> 10 & 1023]}{pairs[high & 1023]}"
        f"{pairs[low >> 30]}{pairs[low >> 20 & 1023]}{pairs[low >> 10 & 1023]}{pairs[low & 1023]}"
    )


def is_id(prefix: str, text: str) -> bool:
    """Whether it has the form of what `new_id` gives for the prefix."""
    own = text.removeprefix(prefix)
    return len(text) - len(own) == len(prefix) and len(own) == _CHARACTERS and not set(own) - _KNOWN


def mark_of(id_with_prefix: str) -> str:
    """Of the process that gave the id: the characters that nothing but its mark decides."""
    return id_with_prefix[-16:-12]
