"""The log: events with fields, one line each, as JSON or for people's eyes.

Promised: every line is one line, every value passed through `values` (no secret, no prompt, no terminal escape); a
log that cannot be written never breaks what it logs. Deliberately not done: a line per request unless asked for
(`has_access`; the ledger has the row), rotation, and going through the standard library's logging.
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from traceback import extract_tb
from typing import Literal

import msgspec

from freehold.telemetry.values import Safe, safe_text, safe_value

Level = Literal["debug", "info", "warning", "error"]
Form = Literal["json", "human"]
_RANKS: dict[Level, int] = {"debug": 0, "info": 1, "warning": 2, "error": 3}
_MOST_FRAMES = 12
_encode = msgspec.json.Encoder().encode


class Log:
    """Writes events at or above a level. Safe to use from any thread."""

    def __init__(
        self,
        write: Callable[[str], object],
        *,
        now_ms: Callable[[], int],
        form: Form = "json",
        level: Level = "info",
        has_access: bool = False,
    ) -> None:
        """`write` takes one whole line; `has_access`: also a line per request."""
        self.has_access = has_access
        self.lost_lines = 0
        """Lines that could not be written."""
        self._write, self._now_ms = write, now_ms
        self._format = _json_line if form == "json" else _human_line
        self._least = _RANKS[level]
        self._one_at_a_time = Lock()

    def set_level(self, level: Level) -> None:
        """Write events at or above this level from now on."""
        self._least = _RANKS[level]

    def shows(self, level: Level) -> bool:
        """Whether events of this level are written: to save the work of making their fields."""
        return _RANKS[level] >= self._least

    def event(self, event: str, /, *, level: Level = "info", **fields: object) -> None:
        """Write an event, such as `store.unavailable`, with its fields."""
        if _RANKS[level] < self._least:
            return
        try:
            line = self._format(
                self._now_ms(), level, event, {safe_text(name): safe_value(name, value) for name, value in fields.items()}
            )
            with self._one_at_a_time:
                self._write(line)
        except (OSError, ValueError):
            self.lost_lines += 1

    def access(self, event: str, /, **fields: object) -> None:
        """Write a line about one request, where such lines are asked for."""
        if self.has_access:
            self.event(event, level="info", **fields)

    def defect(self, event: str, error: BaseException, /, **fields: object) -> None:
        """Write an error that is our own fault, with the places it came through: no source lines, no values, and of what it says
        only what cannot quote a request (`values.told`).
        """
        frames = extract_tb(error.__traceback__)[-_MOST_FRAMES:]
        at = [f"{_from_package(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
        self.event(event, level="error", error=error, at=at, **fields)


def open_log(*, now_ms: Callable[[], int], form: Form | None = None, level: Level = "info", has_access: bool = False) -> Log:
    """A log on standard error. `form` None: for people where that is a terminal, else JSON."""
    chosen: Form = form or ("human" if sys.stderr.isatty() else "json")
    return Log(_write_stderr, now_ms=now_ms, form=chosen, level=level, has_access=has_access)


def _write_stderr(line: str) -> None:
    sys.stderr.write(line)
    sys.stderr.flush()


def _json_line(now_ms: int, level: Level, event: str, fields: dict[str, Safe]) -> str:
    head = {
        "at": _utc(now_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": level,
        "event": safe_text(event),
    }
    rest = {(f"{name}_" if name in head else name): value for name, value in fields.items()}
    return _encode({**head, **rest}).decode() + "\n"


def _human_line(now_ms: int, level: Level, event: str, fields: dict[str, Safe]) -> str:
    at = _utc(now_ms).astimezone().strftime("%H:%M:%S")
    shown = "".join(f" {name}={_shown(value)}" for name, value in fields.items())
    return f"{at} {level.upper():<7} {safe_text(event)}{shown}\n"


def _shown(value: Safe) -> str:
    is_word = isinstance(value, str) and value and not any(letter in value for letter in ' ="')
    return value if is_word and isinstance(value, str) else _encode(value).decode()


def _utc(now_ms: int) -> datetime:
    return datetime.fromtimestamp(now_ms / 1000, UTC)


def _from_package(filename: str) -> str:
    """The file's path from its package on: no line tells where a person's folders are."""
    parts = filename.replace("\\", "/").split("/")
    return "/".join(parts[parts.index("freehold") :] if "freehold" in parts else parts[-2:])
