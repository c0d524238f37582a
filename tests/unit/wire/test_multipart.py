"""What passes as a form can be read in one way only."""

import pytest

from freehold.fault import FaultError, Kind
from freehold.wire.multipart import MOST_PARTS, read_boundary, read_form

TYPE = "multipart/form-data; boundary=b"


def form(*parts: bytes, end: bytes = b"--b--\r\n") -> bytes:
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + end


def field(name: str, value: bytes, more: bytes = b"") -> bytes:
    return b'Content-Disposition: form-data; name="%b"%b\r\n\r\n%b' % (name.encode(), more, value)


def test_fields_and_files_are_found_where_they_stand():
    body = form(
        field("model", b"m"),
        field("file", b"\r\n-\r\n--a", b'; filename="a\\"b.wav"\r\nContent-Type: audio/wav'),
        field("e", b""),
    )
    read = read_form(body, TYPE)
    assert [(part.name, part.is_file) for part in read.parts] == [("model", False), ("file", True), ("e", False)]
    assert body[read.parts[1].start : read.parts[1].end] == b"\r\n-\r\n--a"
    assert (read.text("model"), read.text("e"), read.text("absent")) == ("m", "", None)


def test_an_edit_changes_the_one_value():
    body = form(field("prompt", b"p"), field("model", b"old"), field("file", b"\x00\xff", b'; filename="f"'))
    assert read_form(body, TYPE).with_text("model", "newer") == body.replace(b"old", b"newer")


def test_a_missing_field_is_put_in_front_of_all_others():
    body = form(field("prompt", b"p"))
    edited = read_form(body, TYPE).with_text("model", "m")
    assert edited.endswith(body)
    assert [part.name for part in read_form(edited, TYPE).parts] == ["model", "prompt"]


@pytest.mark.parametrize(
    ("said", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data;charset=utf-8 ; Boundary="a b"', b"a b"),
        ("multipart/form-data; boundary=----WebKitFormBoundary7MA4", b"----WebKitFormBoundary7MA4"),
    ],
)
def test_a_boundary_is_read(said: str, boundary: bytes):
    assert read_boundary(said) == boundary


@pytest.mark.parametrize(
    "said",
    [
        *("", "application/json", "multipart/form-data", "multipart/form-data; boundary=", 'multipart/form-data; boundary=""'),
        *("multipart/form-data; boundary=a; boundary=b", "multipart/form-data; boundary=a b", "multipart/mixed; boundary=a"),
        *(f"multipart/form-data; boundary={'a' * 71}", 'multipart/form-data; boundary="a "', "multipart/form-data; boundary=a{b"),
        "multipart/form-data; boundary*=utf-8''a",
    ],
)
def test_a_boundary_that_could_be_read_in_two_ways_is_refused(said: str):
    with pytest.raises(FaultError) as caught:
        read_boundary(said)
    assert caught.value.fault.param == "content-type"


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"--b", b"--b--x", b"--b\r\n", b"\r\n--b--\r\n", b"preamble\r\n--b--\r\n"),
        form(field("a", b"1"), end=b""),
        form(field("a", b"1"), end=b"--b-"),
        form(field("a", b"1")) + b"epilogue",
        form(field("a", b"1\r\n--bc")),
        form(field("a", b"1")).replace(b"--b\r\n", b"--b \x00\r\n"),
        form(b"Content-Disposition: form-data; name=model*; name*=utf-8''model\r\n\r\nx"),
        form(b'Content-Disposition: form-data; name="model"; name="other"\r\n\r\nx'),
        form(b'Content-Disposition: form-data; name="mo\\del"\r\n\r\nx'),
        form(b'Content-Disposition: attachment; name="model"\r\n\r\nx'),
        form(b'Content-Disposition: form-data;\r\n name="model"\r\n\r\nx'),
        form(b'Content-Disposition: form-data; name="a"\r\nContent-Disposition: form-data; name="model"\r\n\r\nx'),
        form(b'Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64\r\n\r\nbW9kZWw='),
        form(b'Content-Disposition: form-data; name="_charset_"\r\n\r\nutf-16'),
        form(b"\r\nno headers"),
        form(b"X: y\r\n\r\nno disposition"),
        form(b'Content-Disposition: form-data; name="a"\r\nX: ' + b"y" * 5000 + b"\r\n\r\nx"),
        form(b'Content-Disposition: form-data; name="a"\n\nx'),
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n--b--\r\n',
        form(*[field("a", b"")] * (MOST_PARTS + 1)),
    ],
)
def test_what_two_parsers_might_read_differently_is_refused(body: bytes):
    with pytest.raises(FaultError) as caught:
        read_form(body, TYPE)
    assert caught.value.fault.kind is Kind.INVALID_REQUEST


@pytest.mark.parametrize(
    "parts",
    [
        (field("model", b"a"), field("model", b"b")),
        (field("model", b"a", b'; filename="x"'),),
        (field("model", b"\xff"),),
        (field("model", b"m" * (1024 * 1024 + 1)),),
    ],
    ids=["twice", "file", "no text", "long"],
)
def test_a_field_with_two_meanings_is_refused_when_it_is_read(parts: tuple[bytes, ...]):
    with pytest.raises(FaultError) as caught:
        read_form(form(*parts), TYPE).text("model")
    assert caught.value.fault.param == "model"


def test_a_value_may_not_end_the_form():
    with pytest.raises(FaultError):
        read_form(form(field("model", b"a")), TYPE).with_text("model", "x\r\n--b--\r\n")
