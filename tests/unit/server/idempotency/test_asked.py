"""A key is the same request's and the same caller's, or it is another one."""

from typing import Any

import msgspec
import pytest

from freehold.fault import FaultError, Kind
from freehold.features import Caller, Label
from freehold.runtime import Egress
from freehold.server.idempotency.asked import Asked, read_asked, read_key

ANN = Caller(key="ann", user="ann", team="blue")
BODY = b'{"model":"m"}'


def asked(key: str = "k", path: str = "/v1/messages", caller: Caller = ANN, body: bytes = BODY, **headers: str) -> Asked:
    return read_asked(
        path, {"idempotency-key": key, **{name.replace("_", "-"): said for name, said in headers.items()}}, caller, body
    )


@pytest.mark.parametrize("said", ["k", "a" * 255, "8e03978e-40d5-43dd-bc93-6894a57f9324", "!~:;,=", '"'])
def test_what_is_printable_is_a_key(said: str) -> None:
    assert read_key({"idempotency-key": said}) == said


def test_quoted_as_the_draft_says_it_is_the_same_key() -> None:
    assert read_key({"idempotency-key": ' "abc" '}) == "abc"
    assert asked('"k"') == asked("k")


@pytest.mark.parametrize("said", ["", " ", '""', "a" * 256, "a b", "a, b", "a\tb", "café", "a\x00", "\x7f"])
def test_what_is_no_key_is_refused_by_name(said: str) -> None:
    with pytest.raises(FaultError) as caught:
        read_key({"idempotency-key": said})
    assert (caught.value.fault.kind, caught.value.fault.param) == (Kind.INVALID_REQUEST, "idempotency-key")


@pytest.mark.parametrize(
    "change",
    [
        {"key": "l"},
        {"path": "/v1/responses"},
        {"caller": Caller(key="bob", user="ann", team="blue")},
        {"caller": Caller(key="ann", user="bob", team="blue")},
        {"caller": Caller(key="ann", user="ann", team="red")},
        {"caller": msgspec.structs.replace(ANN, ceiling=Egress.LOCAL)},
        {"caller": msgspec.structs.replace(ANN, label=Label.RESTRICTED)},
        {"caller": msgspec.structs.replace(ANN, dataset="d")},
        {"caller": msgspec.structs.replace(ANN, project="p")},
        {"x_freehold_label": "restricted"},
        {"x_freehold_ceiling": "local"},
    ],
    ids=str,
)
def test_another_caller_place_ceiling_or_label_is_another_key(change: dict[str, Any]) -> None:
    other, same = asked(**change), asked()
    assert other.digest != same.digest
    assert other.root != same.root
    assert other.fingerprint != same.fingerprint, "nothing tells that the same was asked"


@pytest.mark.parametrize("change", [{"body": b'{"model":"n"}'}, {"anthropic_beta": "x"}, {"anthropic_version": "2"}], ids=str)
def test_another_request_has_the_same_key_and_another_fingerprint(change: dict[str, Any]) -> None:
    other, same = asked(**change), asked()
    assert other.digest == same.digest
    assert other.fingerprint != same.fingerprint


def test_what_changes_with_every_try_is_no_part_of_the_request() -> None:
    assert asked(x_stainless_retry_count="1", user_agent="x", x_stainless_timeout="5") == asked()


def form(boundary: str, text: str) -> tuple[bytes, str]:
    body = f'--{boundary}\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n{text}\r\n--{boundary}--\r\n'
    return body.encode(), f"multipart/form-data; boundary={boundary}"


def test_a_form_is_the_same_under_a_boundary_drawn_anew_and_no_other_one_is() -> None:
    made = {
        (boundary, text): asked(body=body, content_type=kind)
        for boundary in ("abc", "xyz123")
        for text in ("one", "two", "ab")
        for body, kind in [form(boundary, text)]
    }
    assert made["abc", "one"] == made["xyz123", "one"]
    assert len({one.fingerprint for one in made.values()}) == 3


def test_a_form_without_a_boundary_is_taken_as_it_is() -> None:
    assert asked(content_type="multipart/form-data").fingerprint == asked().fingerprint


def test_pieces_cannot_run_together() -> None:
    assert asked(anthropic_beta="ab").fingerprint != asked(anthropic_beta="a", anthropic_version="b").fingerprint
    first, kind = form("b", "x\r\n--b-\r\n")
    other, _ = form("b", "x--b\r\n-\r\n")
    assert asked(body=first, content_type=kind).fingerprint != asked(body=other, content_type=kind).fingerprint
