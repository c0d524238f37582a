import pytest

from freehold.wire.retry_after import LONGEST_S, read_retry_after

NOW = "Fri, 31 Dec 1999 23:59:49 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT", "date": NOW}, 10.0),
        ({"retry-after": "Fri, 31 Dec 1999 23:59:09 GMT", "date": NOW}, 0.0),
        ({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}, None),
        ({"retry-after": "Fri, 31 Foo 1999 23:59:59 GMT", "date": NOW}, None),
        ({"retry-after": "Fri, 32 Dec 1999 23:59:59 GMT", "date": NOW}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "\x1d5"}, None),
        ({"retry-after": "\x1f5"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after-ms": "x", "retry-after": "2"}, 2.0),
        ({"retry-after": "99999999999"}, LONGEST_S),
    ],
)
def test_seconds_milliseconds_and_dates_are_read(headers: dict[str, str], seconds: float | None):
    assert read_retry_after(headers) == seconds
