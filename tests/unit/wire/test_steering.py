"""No request steers who serves it by a field of the body, however that field is spelled."""

import json
from typing import Any

import pytest

from freehold.fault import FaultError, Kind
from freehold.wire.body import split_top
from freehold.wire.multipart import read_form
from freehold.wire.singles.audio import TRANSCRIPTIONS
from freehold.wire.steering import STEERING

REFUSED = [
    *STEERING,
    "Model", "MODEL", "Messages", "me\u017f\u017fages", "max_to\u212aens", "Max_Tokens", "STREAM", "Options", "Chat_Template", "BASE_URL",
]  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_the_field_is_refused_by_its_name(name: str) -> None:
    for body in ({"model": "m", name: "x"}, {name: None, "model": "m"}):
        with pytest.raises(FaultError) as told:
            split_top(json.dumps(body, ensure_ascii=False).encode())
        assert (told.value.fault.kind, told.value.fault.param) == (Kind.INVALID_REQUEST, name)


@pytest.mark.parametrize(
    "more", [{"temperature": 0}, {"Änderung": 1}, {"X-Trace": "a"}, {"chat_template_kwargs": {"enable_thinking": False}}]
)
def test_others_pass(more: dict[str, Any]) -> None:
    assert split_top(json.dumps({"model": "m", **more}).encode()).keys() == {"model", *more}


def test_template_options_hold_no_template() -> None:
    with pytest.raises(FaultError) as told:
        split_top(b'{"model":"m","chat_template_kwargs":{"enable_thinking":true,"chat_template":"{{ 1 }}"}}')
    assert told.value.fault.param == "chat_template_kwargs.chat_template"


def form(*names: str) -> bytes:
    file = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n'
    fields = (b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\nx\r\n' % name.encode() for name in names)
    return file + b"".join(fields) + b"--b--\r\n"


def test_forms_are_held_to_it_too() -> None:
    content_type = 'multipart/form-data; boundary="b"'
    assert TRANSCRIPTIONS.peek(form("model", "language"), content_type).model == "x"
    assert read_form(form("model"), content_type).fields() == (("model", "x"),)
    for name in ("base_url", "Model"):
        with pytest.raises(FaultError, match=name):
            TRANSCRIPTIONS.peek(form("model", name), content_type)
