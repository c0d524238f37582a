"""What libraries say comes out as our events, and only so."""

import asyncio
import gc
import json
import logging
import sys
import threading
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
    hooks = threading.excepthook, sys.unraisablehook
    route_stdlib(Log(written.append, now_ms=lambda: 0))
    yield written
    threading.excepthook, sys.unraisablehook = hooks
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
    assert (told["event"], told["level"], told["error"]) == ("log.asyncio", "error", "ValueError")


def test_a_task_that_failed_unseen_is_told_without_what_it_held(lines: list[str]) -> None:
    async def forget() -> None:
        async def fail() -> None:
            raise KeyError("what is said in private")

        task = asyncio.create_task(fail())
        await asyncio.wait((task,))
        del task
        gc.collect()

    asyncio.run(forget())
    told = json.loads(lines[0])
    assert (told["event"], told["error"], told["says"]) == ("log.asyncio", "KeyError", "Task exception was never retrieved")
    assert "private" not in "".join(lines)


def test_a_thread_that_dies_and_an_exception_nobody_hears_of_are_told_without_what_they_held(lines: list[str]) -> None:
    class Held:
        def __del__(self) -> None:
            raise KeyError("what is said in private")

    def die() -> None:
        raise ValueError("what is said in private")

    thread = threading.Thread(target=die, name="writer")
    thread.start()
    thread.join()
    held = [Held()]
    held.clear()
    gc.collect()
    told = [json.loads(line) for line in lines]
    assert [(one["event"], one["error"]) for one in told] == [("thread.defect", "ValueError"), ("unraisable.defect", "KeyError")]
    assert told[0]["thread"] == "writer"
    assert "private" not in "".join(lines)


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
