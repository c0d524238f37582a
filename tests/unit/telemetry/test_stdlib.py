"""What libraries say comes out as our events, and only so."""

import asyncio
import json
import logging
import warnings
from collections.abc import Iterator

import pytest

from freehold.telemetry.log import Log
from freehold.telemetry.stdlib import Routed, route_stdlib


@pytest.fixture
def lines() -> Iterator[list[str]]:
    root, names = logging.getLogger(), ("uvicorn", "uvicorn.error", "uvicorn.asgi", "uvicorn.access", "asyncio")
    kept = [root, *(logging.getLogger(name) for name in names)]
    before = [(logger, logger.handlers[:], logger.level, logger.propagate, logger.disabled) for logger in kept]
    written: list[str] = []
    route_stdlib(Log(written.append, now_ms=lambda: 0))
    yield written
    logging.captureWarnings(capture=False)
    for logger, handlers, level, propagate, disabled in before:
        logger.handlers[:], logger.propagate, logger.disabled = handlers, propagate, disabled
        logger.setLevel(level)


def test_uvicorns_errors_become_events(lines: list[str]) -> None:
    logging.getLogger("uvicorn.error").error("cannot bind to %s", "127.0.0.1")
    assert [json.loads(line) for line in lines] == [
        {"at": "1970-01-01T00:00:00.000Z", "level": "error", "event": "log.uvicorn.error", "says": "cannot bind to 127.0.0.1"}
    ]


def test_uvicorns_access_lines_and_chatter_are_off(lines: list[str]) -> None:
    logging.getLogger("uvicorn.access").info("GET / 200")
    logging.getLogger("uvicorn.access").critical("GET / 200")
    logging.getLogger("uvicorn.error").info("started")
    assert lines == []


def test_a_secret_in_a_librarys_words_is_masked(lines: list[str]) -> None:
    logging.getLogger("some.client").warning("sent authorization: Bearer %s", "abcdefgh12345678")
    assert "abcdefgh" not in lines[0]


def test_a_forgotten_exception_of_a_task_is_told_with_its_place(lines: list[str]) -> None:
    async def fail() -> None:
        asyncio.get_running_loop().call_exception_handler({"message": "unhandled", "exception": ValueError("broken")})

    asyncio.run(fail())
    told = json.loads(lines[0])
    assert (told["event"], told["level"], told["error"]) == ("log.asyncio", "error", "ValueError: broken")


def test_wrongly_formatted_records_are_told_as_they_are() -> None:
    lines: list[str] = []
    wrong = logging.LogRecord("some.client", logging.ERROR, "client.py", 1, "%d items", ("three",), None)
    Routed(Log(lines.append, now_ms=lambda: 0)).emit(wrong)
    assert json.loads(lines[0])["says"] == "%d items"


def test_warnings_become_events(lines: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old thing", DeprecationWarning, stacklevel=1)
    assert "old thing" in json.loads(lines[0])["says"]
