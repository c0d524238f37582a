import pytest

from freehold.fit.context import ANSWER_CEILING, ANSWER_FLOOR, fits, with_margin


@pytest.mark.parametrize(
    ("prompt", "exact", "max_tokens", "window", "ok", "room"),
    [
        (1000, True, None, 2048, True, 1048),
        (1000, True, 128_000, 2048, True, 1048),  # a long max_tokens is clamped, never refused
        (1984, True, None, 2048, True, ANSWER_FLOOR),
        (1985, True, None, 2048, False, ANSWER_FLOOR - 1),
        (1985, True, 10, 2048, True, 63),  # the client wants no more than fits
        (2000, True, 128_000, 2048, False, 48),
        (1800, True, 128_000, 2048, False, 248),
        (1792, True, 128_000, 2048, True, ANSWER_CEILING),
        (5000, True, None, 2048, False, 0),
        (5000, True, 1, 2048, False, 0),
        (1000, False, None, 2048, True, 898),
        (100, False, None, 2048, True, 1932),
        (1000, False, None, 1200, False, 50),
    ],
)
def test_a_prompt_fits_when_a_useful_answer_fits_behind_it(
    prompt: int, exact: bool, max_tokens: int | None, window: int, ok: bool, room: int
):
    fit = fits(prompt, exact, max_tokens, window)
    assert (fit.ok, fit.answer_tokens) == (ok, room)


def test_an_unknown_window_leaves_it_to_the_upstream():
    fit = fits(10_000_000, True, None, None)
    assert fit.ok
    assert fit.answer_tokens is None


def test_an_estimate_is_never_taken_for_less_than_it_says():
    for tokens in (0, 1, 50, 107, 10_000):
        assert with_margin(tokens, False) >= tokens + 16
        assert with_margin(tokens, True) == tokens


def test_the_reason_names_the_numbers():
    assert fits(5000, True, None, 2048).reason == "the prompt has 5000 tokens, the window 2048"
    assert "about" in fits(5000, False, None, 2048).reason
