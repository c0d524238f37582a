"""Token counters, each loaded when the first request needs it.

A vocabulary takes about 65 MB and 0.3 s, in which nothing else runs (the library does not let go of the interpreter): a
gateway does without until it matters (docs/decisions/0002). Models whose vocabulary is public are counted exactly, all
others are estimated: with o200k_base where it is there, else by length, which is enough unless a window is so near that
the estimate's own error could decide. It is loaded once.
"""

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from freehold.fit.tokens import ESTIMATING_WITH, Counter, estimate_tokens
from freehold.routing.facts_cache import FactsCache

SMALL_PROMPT_BYTES = 16 * 1024
SMALL_PROMPT_TOKENS = 5000
"""So little fits every window that is served, however roughly it is counted."""
FEWEST_SHARE, MOST_SHARE = 0.55, 1.8
"""Between these shares of an estimate by length lies the true count: 6.2 to 1.9 bytes a token."""


def is_close(estimated_tokens: int, output_tokens: int, windows: Iterable[int]) -> bool:
    """Whether the error of an estimate by length could decide if a prompt, and its answer, fit one of these windows."""
    if estimated_tokens <= SMALL_PROMPT_TOKENS:
        return False
    fewest, most = estimated_tokens * FEWEST_SHARE, estimated_tokens * MOST_SHARE + output_tokens
    return any(fewest <= window <= most for window in windows)


class Tokens(msgspec.Struct, frozen=True):
    """One vocabulary's counter, and what was counted with it before."""

    counter: Counter
    cache: FactsCache

    def count(self, text: str) -> int:
        """Tokens in the text."""
        return self.counter.count(text)


class Counting:
    """The counters of this process, by vocabulary."""

    def __init__(self, load: Callable[[str], Counter], new_cache: Callable[[], FactsCache]) -> None:
        """`load` blocks; one cache belongs to one counter."""
        self._load = load
        self._new_cache = new_cache
        self._tokens: dict[str, Tokens] = {}
        self._rough = Tokens(Counter("length", False, estimate_tokens), new_cache())
        self._loading: dict[str, asyncio.Future[Counter]] = {}

    def at_hand(self, tokenizer: str | None, prompt_bytes: float = 0) -> Tokens | None:
        """A counter that is there already: by length where an estimate is wanted (`tokenizer` None) of a small prompt."""
        tokens = self._tokens.get(tokenizer or ESTIMATING_WITH)
        if tokens is None and tokenizer is None and prompt_bytes <= SMALL_PROMPT_BYTES:
            return self._rough
        return tokens

    def is_rough(self, tokens: Tokens) -> bool:
        """Whether it counts by length."""
        return tokens is self._rough

    async def load(self, tokenizer: str | None) -> Tokens:
        """The counter; callers that come while it loads wait for the same load."""
        name = tokenizer or ESTIMATING_WITH
        loading = self._loading.get(name)
        if loading is None:
            loading = self._loading[name] = asyncio.get_running_loop().run_in_executor(None, self._load, name)
        try:
            counter = await asyncio.shield(loading)
        finally:
            if loading.done():
                self._loading.pop(name, None)  # after a failure the next caller tries again
        return self._tokens.setdefault(name, Tokens(counter, self._new_cache()))
