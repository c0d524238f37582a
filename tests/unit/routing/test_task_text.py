"""How a user's text is cut into words."""

import re

from hypothesis import given
from hypothesis import strategies as st

from freehold.routing.task_text import Text, ascii_words

PLAIN = re.compile(r"[a-z0-9]+(?:[+#]{1,2}|(?:['-][a-z0-9]+){1,3})?")


@given(st.text(st.characters(max_codepoint=127), max_size=60), st.text(st.sampled_from("abz019 _.,\t\n"), max_size=40))
def test_the_fast_way_finds_the_words_that_the_pattern_finds(any_text: str, plain_text: str) -> None:
    for text in (any_text.lower(), plain_text):
        assert ascii_words(text) == PLAIN.findall(text)


def test_words_keep_what_joins_them() -> None:
    assert ascii_words("don't re-run c++ or c#, on_disk") == ["don't", "re-run", "c++", "or", "c#", "on", "disk"]


def test_clauses_are_the_same_in_any_alphabet() -> None:
    assert Text("Fix the parser. It fails.").clauses == [["fix", "the", "parser"], ["it", "fails"]]
    assert Text("Fix the parser. It fails \u2014 badly.").clauses == [["fix", "the", "parser"], ["it", "fails", "badly"]]
