"""The log: one line per event, and nothing in it that must not be there."""

import json
import threading
from enum import StrEnum
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.fault import Fault, FaultError, Kind, faulty
from freehold.secret import Secret
from freehold.storage.store import StoreError
from freehold.telemetry.log import Form, Level, Log
from freehold.telemetry.values import LONGEST, MASKED_NAMES, safe_text, safe_value


class Lines(list[str]):
    """What was written."""

    def log(self, **changes: Any) -> Log:
        return Log(self.append, now_ms=lambda: 1_760_000_000_123, **changes)


@pytest.fixture
def lines() -> Lines:
    return Lines()


def test_json_lines_have_time_level_event_and_fields(lines: Lines) -> None:
    lines.log().event("store.unavailable", level="error", reason="disk full", rows=3, ratio=0.5, sure=True, none=None)
    assert lines[0].endswith("\n")
    assert json.loads(lines[0]) == {
        "at": "2025-10-09T08:53:20.123Z",
        "level": "error",
        "event": "store.unavailable",
        "reason": "disk full",
        "rows": 3,
        "ratio": 0.5,
        "sure": True,
        "none": None,
    }


def test_the_human_form_is_for_eyes(lines: Lines) -> None:
    lines.log(form="human").event("server.ready", url="http://127.0.0.1:8840", says="two words", n=1)
    assert lines[0].split(" ", 1)[1] == 'INFO    server.ready url=http://127.0.0.1:8840 says="two words" n=1\n'


@pytest.mark.parametrize(
    ("least", "shown"),
    [("debug", ["debug", "info", "warning", "error"]), ("warning", ["warning", "error"]), ("error", ["error"])],
)
def test_levels_below_the_least_are_silent(lines: Lines, least: Level, shown: list[str]) -> None:
    log = lines.log(level=least)
    levels: tuple[Level, ...] = ("debug", "info", "warning", "error")
    for level in levels:
        log.event("e", level=level)
        assert log.shows(level) == (level in shown)
    assert [json.loads(line)["level"] for line in lines] == shown


def test_access_lines_are_off_until_asked_for(lines: Lines) -> None:
    lines.log().access("request.finished", request_id="req_a")
    assert lines == []
    lines.log(has_access=True).access("request.finished", request_id="req_a")
    assert json.loads(lines[0])["request_id"] == "req_a"


SECRETS = [
    "sk-ant-REDACTED",
    "sk-proj-abcdefghijklmnop",
    "ghp_abcdefghijklmnop1234",
    "Bearer abcdefgh12345678",
    "basic dXNlcjpwYXNzd29yZA==",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def_123",
    "AKIAABCDEFGHIJKLMNOP",
]


class Body(msgspec.Struct):
    prompt: str = "what is said in private"


@pytest.mark.parametrize("form", ["json", "human"])
@pytest.mark.parametrize("secret", SECRETS)
def test_a_key_never_reaches_a_line(lines: Lines, form: Form, secret: str) -> None:
    log = lines.log(form=form)
    log.event(
        "upstream.said", message=f"wrong key {secret}, try again", held=[secret, {"deep": secret}], error=ValueError(secret)
    )
    log.event(f"odd {secret}", value=Secret(secret), url=f"http://user:{secret.replace(' ', '')}@host/")
    log.defect("defect", RuntimeError(f"no such key: {secret}"))
    hidden = secret.rsplit(" ", maxsplit=1)[-1]
    assert hidden not in "".join(lines)
    assert "***" in lines[0]


@pytest.mark.parametrize("name", [*sorted(MASKED_NAMES), "API-Key", "Authorization", "Set-Cookie"])
def test_fields_for_secrets_and_prompts_are_masked_by_name(lines: Lines, name: str) -> None:
    lines.log().event("e", **{name: "what is said in private"}, headers={name: "what is said in private"})
    assert "private" not in lines[0]
    assert json.loads(lines[0])[name] == "***"


def test_what_is_not_a_plain_value_shows_only_its_type(lines: Lines) -> None:
    lines.log().event("e", request=Body(), raw=b"what is said in private", thing=object())
    assert "private" not in lines[0]
    assert json.loads(lines[0])["request"] == "<Body>"


@given(st.text())
def test_no_text_leaves_its_line_or_speaks_to_the_terminal(text: str) -> None:
    for form in ("json", "human"):
        lines = Lines()
        log = lines.log(form=form)
        named = {} if text in {"", "event", "level", "self", "value"} else {text: 1}  # words of our own are among what is tried
        log.event("e", value=text, **named)
        assert log.lost_lines == 0
        assert lines[0].count("\n") == 1
        assert not any(ord(letter) < 0x20 or 0x7F <= ord(letter) < 0xA0 or letter in "\u2028\u202e" for letter in lines[0][:-1])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("a\r\nb", "a\\x0d\\x0ab"),
        ("ab\u202egnp", "ab\\u202egnp"),
        ("\ud800", "\\ud800"),
    ],
)
def test_control_characters_are_spelled_out(text: str, shown: str) -> None:
    assert safe_text(text) == shown


def test_long_values_are_cut_and_say_so() -> None:
    assert safe_value("x", "a " * LONGEST) == "a " * (LONGEST // 2) + f"... ({LONGEST} more)"
    many = safe_value("x", list(range(50)))
    assert isinstance(many, list)
    assert many[-1] == "... (30 more)"


def test_a_key_at_the_cut_does_not_survive_it() -> None:
    shown = safe_text("x" * (LONGEST - 12) + " sk-ant-REDACTED")
    assert "abcdef" not in shown


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (KeyError("what is said in private"), "KeyError"),
        (ValueError("not a number: what is said in private"), "ValueError"),
        (msgspec.ValidationError("Invalid enum value 'what is said in private'"), "ValidationError"),
        (ExceptionGroup("private", [KeyError("private"), TypeError("private"), KeyError("private")]), "ExceptionGroup of KeyError, TypeError"),
        (FileNotFoundError(2, "No such file or directory", "/home/private/x"), "FileNotFoundError: No such file or directory"),
        (OSError("private"), "OSError"),
        (StoreError("the store is away"), "StoreError: the store is away"),
        (faulty(Kind.INVALID_REQUEST, "model: say which"), "FaultError: invalid_request: model: say which"),
        (
            FaultError(Fault(kind=Kind.UPSTREAM_REJECTED, message="private words", status=400, is_quoted=True)),
            "FaultError: upstream_rejected: the runtime answered 400; its words went to the caller and are not kept",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)  # fmt: skip
def test_an_exception_says_its_words_only_where_they_cannot_quote_a_request(lines: Lines, error: Exception, shown: str) -> None:
    lines.log().defect("request.defect", error)
    lines.log(form="human").event("e", reason=error)
    assert json.loads(lines[0])["error"] == shown
    assert "private" not in "".join(lines)


def test_enums_show_their_values() -> None:
    class Colour(StrEnum):
        RED = "red"

    assert safe_value("x", Colour.RED) == "red"


def test_a_field_cannot_pretend_to_be_the_head(lines: Lines) -> None:
    lines.log().event("real", at="forged")
    assert json.loads(lines[0])["event"] == "real"
    assert json.loads(lines[0])["at_"] == "forged"


def test_a_log_that_cannot_be_written_harms_nobody() -> None:
    def broken(_line: str) -> None:
        raise BrokenPipeError

    log = Log(broken, now_ms=lambda: 0)
    log.event("e")
    assert log.lost_lines == 1


def test_a_defect_tells_where_without_values_or_home_folders(lines: Lines) -> None:
    def inner(prompt: str) -> None:
        raise KeyError("k") from ValueError(prompt)

    try:
        inner("what is said in private")
    except KeyError as error:
        lines.log().defect("request.defect", error, request_id="req_a")
    told = json.loads(lines[0])
    assert told["request_id"] == "req_a"
    assert told["at_"][-1].startswith("telemetry/test_log.py:")
    assert told["at_"][-1].endswith(" inner")
    assert "private" not in lines[0]


def test_lines_from_many_threads_stay_whole() -> None:
    written: list[str] = []
    log = Log(written.append, now_ms=lambda: 0)
    threads = [threading.Thread(target=lambda: [log.event("e", n=n) for n in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([json.loads(line) for line in written]) == 800
