"""What other libraries say through the standard library's logging, brought into our log.

`route_stdlib` is called once by the composition root. uvicorn's access lines are off (the ledger has each request);
its errors, asyncio's and Python's warnings become events `log.<logger>` in the same form and with the same care, and so do
exceptions that end a thread or that nobody could be told of: Python would print them with what they say.
"""

import logging
import sys
import threading

from freehold.telemetry.log import Level, Log

_OURS = ("uvicorn", "uvicorn.error", "uvicorn.asgi", "asyncio")


class Routed(logging.Handler):
    """Hands the standard library's records to a log."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.DEBUG)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Make an event of it. Never raises: a log must not break what it logs."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        # What stands behind the first line is a representation of tasks and exceptions, and those quote what they held.
        message = message.partition("\n")[0]
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            self._log.defect(f"log.{record.name}", error, says=message)
        else:
            self._log.event(f"log.{record.name}", level=_level(record.levelno), says=message)


def route_stdlib(log: Log, *, level: int = logging.WARNING) -> Routed:
    """Send everything at or above `level` to `log`, and nothing anywhere else. Gives the handler, to be removed by tests."""
    handler = Routed(log)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _OURS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(level)
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate = False
    access.disabled = True
    logging.captureWarnings(capture=True)

    def tell_ended(ended: threading.ExceptHookArgs) -> None:
        if ended.exc_value is not None:
            log.defect("thread.defect", ended.exc_value, thread=ended.thread.name if ended.thread is not None else None)

    def tell_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
        if unraisable.exc_value is not None:
            log.defect("unraisable.defect", unraisable.exc_value)

    threading.excepthook, sys.unraisablehook = tell_ended, tell_unraisable
    return handler


def _level(number: int) -> Level:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug"
