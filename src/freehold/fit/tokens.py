"""Counting tokens offline, with vocabularies that ship inside a wheel.

Promised: no download, no network, no failure on any text. Not done: vocabularies of open models (they ship with the
weights, not with us): for those the o200k count stands in as an estimate, and `fit.context` takes a margin.

An encoding takes about 0.1-0.3 s to load and stays in memory for the life of the process (o200k_base about 50 MB,
cl100k_base about 30 MB more), so load those you need at start-up, once.
"""

from collections.abc import Callable

import msgspec

ESTIMATING_WITH = "o200k_base"
EXACT = frozenset({"o200k_base", "cl100k_base"})
BYTES_PER_TOKEN = 3.4
"""Of UTF-8, measured against o200k_base: prose and configuration 3.4-3.6, code 3.1-3.8, German 5.2, Chinese 4.3, hashes 1.9."""


def estimate_tokens(text: str) -> int:
    """Tokens by length alone, where a closer count is not worth a vocabulary."""
    size_bytes = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    return int(size_bytes / BYTES_PER_TOKEN) + 1


class Counter(msgspec.Struct, frozen=True):
    """Counts the tokens of a text. `exact` when the vocabulary is the asked model's own."""

    tokenizer: str
    exact: bool
    count: Callable[[str], int]


def load_counter(tokenizer: str | None) -> Counter:
    """The counter for a model whose facts name this tokenizer; None or an unknown name: an estimate."""
    import toktok  # noqa: PLC0415 - loads a 50 MB vocabulary: only processes that count pay for it

    name = tokenizer if tokenizer in EXACT else ESTIMATING_WITH
    counted: Callable[[str], int] = toktok._encoding(name).count  # noqa: SLF001 - the documented classes lack `count`

    def count(text: str) -> int:
        try:
            return counted(text)
        except UnicodeEncodeError:  # a lone surrogate, legal in JSON; a tokenizer sees the replacement character
            return counted(text.encode("utf-8", "replace").decode())

    return Counter(name, tokenizer == name, count)
