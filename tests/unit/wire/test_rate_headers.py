import pytest

from freehold.wire.rate_headers import anthropic_headers, openai_headers, spell_duration


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0ms"),
        (0.0001, "1ms"),
        (0.12, "120ms"),
        (1, "1s"),
        (8.64, "8.64s"),
        (59.9999, "1m0s"),
        (360, "6m0s"),
        (3605, "1h0m5s"),
    ],
)
def test_durations_are_spelled_as_openai_does(seconds, said) -> None:
    assert spell_duration(seconds) == said


def test_each_family_gets_its_own_names() -> None:
    assert dict(openai_headers("requests", limit=60, remaining=59, reset_s=1.0)) == {
        b"x-ratelimit-limit-requests": b"60",
        b"x-ratelimit-remaining-requests": b"59",
        b"x-ratelimit-reset-requests": b"1s",
    }
    assert dict(anthropic_headers("tokens", limit=9, remaining=0, reset_s=0.5, now_ms=1_700_000_000_000)) == {
        b"anthropic-ratelimit-tokens-limit": b"9",
        b"anthropic-ratelimit-tokens-remaining": b"0",
        b"anthropic-ratelimit-tokens-reset": b"2023-11-14T22:13:21Z",
    }
