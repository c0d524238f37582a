"""Forms: an edit keeps every other byte, and no cut or flip of a body is anything but read or refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.fault import FaultError, Kind
from freehold.wire.multipart import read_form

BOUNDARY = b"x-=boundary"
TYPE = f'multipart/form-data; boundary="{BOUNDARY.decode()}"'
NAMES = st.text("abcdefghij_.[]-0123456789", min_size=1, max_size=20).filter(lambda name: name not in {"model", "_charset_"})
CONTENTS = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from([b"\r\n", b"--", b"\r\n--", b"x-=", b"boundary", b"\r", b"\n", b"-"]), max_size=12).map(b"".join),
).filter(lambda content: b"\r\n--" + BOUNDARY not in b"\r\n" + content)
PARTS = st.lists(st.tuples(NAMES, CONTENTS, st.booleans()), max_size=6)


def write(parts: list[tuple[str, bytes, bool]]) -> bytes:
    lines = [
        b'--%b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
        % (BOUNDARY, name.encode(), b'; filename="f"\r\nContent-Type: audio/wav' if is_file else b"", content)
        for name, content, is_file in parts
    ]
    return b"".join([*lines, b"--%b--\r\n" % BOUNDARY])


@given(PARTS, PARTS, st.text("abc/:-.", min_size=1, max_size=30), st.text("xyz/:-.", min_size=1, max_size=300))
def test_an_edit_keeps_all_bytes_but_the_value(
    before: list[tuple[str, bytes, bool]], after: list[tuple[str, bytes, bool]], old: str, new: str
):
    body = write([*before, ("model", old.encode(), False), *after])
    form = read_form(body, TYPE)
    assert [(part.name, body[part.start : part.end], part.is_file) for part in form.parts] == [
        *before,
        ("model", old.encode(), False),
        *after,
    ]
    assert form.with_text("model", new) == write([*before, ("model", new.encode(), False), *after])
    without = read_form(write([*before, *after]), TYPE)
    assert without.with_text("model", new) == write([("model", new.encode(), False), *before, *after])


@given(PARTS.filter(bool), st.data())
def test_a_form_that_is_cut_off_is_refused(parts: list[tuple[str, bytes, bool]], data: st.DataObject):
    body = write(parts)
    kept = data.draw(st.integers(0, len(body) - 3))  # the last line end may be missing
    with pytest.raises(FaultError) as caught:
        read_form(body[:kept], TYPE)
    assert caught.value.fault.kind is Kind.INVALID_REQUEST


@settings(max_examples=300)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.builds(
            lambda parts, at, put: write(parts)[:at] + put + write(parts)[at:], PARTS, st.integers(0, 400), st.binary(max_size=8)
        ),
    ),
    st.one_of(st.just(TYPE), st.text(max_size=60)),
)
def test_whatever_comes_is_read_or_refused(body: bytes, content_type: str):
    try:
        form = read_form(body, content_type)
    except FaultError as error:
        refused = error.fault.kind
    else:
        refused = Kind.INVALID_REQUEST
        assert all(0 <= part.start <= part.end <= len(body) for part in form.parts)
    assert refused is Kind.INVALID_REQUEST
