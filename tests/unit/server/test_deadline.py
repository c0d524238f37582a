"""How long a client is ready to wait, as its headers say."""

import pytest

from freehold.fault import FaultError, Kind
from freehold.server.deadline import timeout_of


@pytest.mark.parametrize(
    ("headers", "whole_s", "stream_s"),
    [
        ({}, None, None),
        ({"x-freehold-timeout-s": "30"}, 30, 30),
        ({"x-freehold-timeout-s": " 2.5 "}, 2.5, 2.5),
        ({"x-request-timeout-s": "7"}, 7, 7),
        ({"x-stainless-timeout": "600"}, 600, None),
        ({"x-stainless-timeout": "NOT_GIVEN"}, None, None),
        ({"x-stainless-timeout": "5", "x-freehold-timeout-s": "9"}, 5, 9),
        ({"x-request-timeout-s": "99", "x-freehold-timeout-s": "9"}, 9, 9),
        ({"x-request-timeout-s": "soon", "x-freehold-timeout-s": "9"}, 9, 9),
        ({"x-request-timeout-s": "0"}, None, None),
        ({"x-stainless-timeout": "-1"}, None, None),
    ],
)
def test_the_shortest_wait_said_holds(headers: dict[str, str], whole_s: float | None, stream_s: float | None) -> None:
    assert timeout_of(headers, streams=False) == whole_s
    assert timeout_of(headers, streams=True) == stream_s


@pytest.mark.parametrize("said", ["", "0", "-1", "nan", "inf", "1e3", "5s", "86401", "1" * 400, "\x1d5", "\uff11"])
def test_our_own_header_is_a_number_of_seconds_or_refused(said: str) -> None:
    with pytest.raises(FaultError) as error:
        timeout_of({"x-freehold-timeout-s": said}, streams=True)
    assert error.value.fault.kind is Kind.INVALID_REQUEST
    assert error.value.fault.param == "x-freehold-timeout-s"
