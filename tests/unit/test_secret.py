import copy
import pickle

import pytest

from freehold.secret import Secret


@pytest.mark.parametrize("shown", [repr, str, format, "{}".format, "{!r:>9}".format, lambda s: f"{s:40}", lambda s: f"{[s]}"])
def test_a_secret_never_shows_its_value(shown):
    text = shown(Secret("sk-live-42"))
    assert "***" in text
    assert "sk-live" not in text


def test_reveal_gives_the_value_and_equality_compares_it():
    assert Secret("a").reveal() == "a"
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


@pytest.mark.parametrize("serialise", [pickle.dumps, copy.deepcopy])
def test_a_secret_is_not_serialised(serialise):
    with pytest.raises(TypeError, match="not serialised"):
        serialise(Secret("a"))
