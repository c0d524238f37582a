import pytest

from freehold.fit.tokens import load_counter

KNOWN = {
    "o200k_base": [
        ("", 0),
        ("antidisestablishmentarianism", 6),
        ("2 + 2 = 4", 7),
        ("お誕生日おめでとう", 8),
        ("<|endoftext|>", 7),
    ],
    "cl100k_base": [
        ("", 0),
        ("antidisestablishmentarianism", 6),
        ("2 + 2 = 4", 7),
        ("お誕生日おめでとう", 9),
        ("tiktoken is great!", 6),
    ],
}
"""As OpenAI's cookbook prints them; special tokens in a text are ordinary characters."""


@pytest.mark.parametrize("tokenizer", sorted(KNOWN))
def test_known_tokenizers_count_exactly(tokenizer: str):
    counter = load_counter(tokenizer)
    assert counter.exact
    assert [counter.count(text) for text, _ in KNOWN[tokenizer]] == [tokens for _, tokens in KNOWN[tokenizer]]


@pytest.mark.parametrize("tokenizer", [None, "qwen2", "llama3"])
def test_other_tokenizers_are_estimated_and_say_so(tokenizer: str | None):
    counter = load_counter(tokenizer)
    assert not counter.exact
    assert counter.tokenizer == "o200k_base"


@pytest.mark.parametrize("text", ["\ud800 lone", "\x00", "a" * 200_000, " " * 200_000, "\u202e🙂‍↔️"])
def test_no_text_makes_counting_fail(text: str):
    assert load_counter(None).count(text) > 0
