import pytest

from freehold.identity.issuing import draw
from freehold.policy.labels import LabelSettings
from freehold.routing.detectors.own_keys import ALPHABET, is_own_key
from freehold.routing.detectors.scanner import Detectors

DRAWN = [draw(0)[0].reveal() for _ in range(200)]


def kinds(text: str) -> list[str]:
    return [spot.kind for spot in Detectors(LabelSettings()).read_texts((text,))]


def test_every_drawn_key_is_one_of_ours_and_no_two_are_the_same():
    assert all(map(is_own_key, DRAWN))
    assert len(set(DRAWN)) == len(DRAWN)
    assert set("".join(DRAWN)) >= set(ALPHABET), "every character is drawn"


def test_a_character_that_changes_makes_it_none_of_ours():
    key = DRAWN[0]
    for at in range(3, len(key)):
        other = ALPHABET[(ALPHABET.index(key[at]) + 1) % len(ALPHABET)]
        assert not is_own_key(key[:at] + other + key[at + 1 :])
    assert not is_own_key(key[:-1])
    assert not is_own_key(f"{key}0")


def test_a_leaked_key_is_found_in_a_prompt():
    assert kinds(f"use {DRAWN[0]} for that") == ["freehold-key"]
    assert kinds(f"KEY={DRAWN[1]}\nnext") == ["freehold-key"]


@pytest.mark.parametrize("text", ["fh_", "fh_" + "a" * 38, "fh_your_key_here", "the fh_ prefix"])
def test_what_only_looks_like_one_is_not(text: str):
    assert kinds(text) == []
