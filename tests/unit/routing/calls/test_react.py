"""ReAct's text is a call where the whole answer is written so, and words about calls everywhere else."""

import random

import pytest

from freehold.routing.calls.finder import Finder
from support.broken_calls import PROSE
from support.printed_calls import OFFER, cut, find, said

CALL = 'Action: get_weather\nAction Input: {"city": "Rome"}'
ROME = ("get_weather", {"city": "Rome"})
CALLS = {
    "alone": (CALL, ""),
    "behind a thought": (f"Thought: I need the weather.\n{CALL}", "Thought: I need the weather.\n"),
    "behind thoughts of several lines": (f"Thought: one.\nAnd A second.\n\n{CALL}\n", "Thought: one.\nAnd A second.\n\n"),
    "with an observation of its own": (f"Thought: x\n{CALL}\nObservation: 20 degrees\nThought: done", "Thought: x\n"),
    "the input on a line of its own": ('Action: get_weather\nAction Input:\n{\n  "city": "Rome"\n}', ""),
    "broken JSON": ("Action: get_weather\nAction Input: {'city': 'Rome',}", ""),
    "another case": ('Action: Get_Weather\nAction Input: {"city": "Rome"}', ""),
}


@pytest.mark.parametrize(("text", "words"), CALLS.values(), ids=CALLS.keys())
def test_an_answer_that_is_written_so_is_a_call_however_it_is_cut(text: str, words: str) -> None:
    rng = random.Random(7)
    for _ in range(40):
        told, calls, finder = find(cut(rng, text))
        assert said(calls) == [ROME]
        assert told.strip() == words.strip()
        assert "call_from_text" in finder.repairs


@pytest.mark.parametrize("text", [text for text in PROSE if "Action:" in text])
def test_words_about_it_come_out_as_the_very_words_they_were(text: str) -> None:
    rng = random.Random(8)
    for _ in range(40):
        told, calls, _finder = find(cut(rng, text))
        assert calls == []
        assert told == text


def test_a_thought_flows_as_it_comes() -> None:
    finder = Finder(OFFER)
    out = [
        finder.feed(piece)
        for piece in ("Thought: I need ", "the weather. ", "A map ", "would do.\n", "Action: get_", "weather\n")
    ]
    assert out == [["Thought: I need "], ["the weather. "], ["A map "], ["would do.\n"], [], []]
