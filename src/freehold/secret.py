"""A secret that cannot be printed by accident.

Promised: `repr`, `str` and `format` show `***`, whatever the value. Deliberately not done: resolving references such
as `env:NAME` (the configuration's owner does), and hiding from a debugger. A pure word: no I/O.
"""

from hmac import compare_digest
from typing import NoReturn, final


@final
class Secret:
    """Holds a value that only `reveal` gives out, at the one place that sends or compares it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself. Never put it in a message, a log line, an argument vector or a row."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not serialised; pass its reference (`env:NAME`, `file:PATH`) instead")
