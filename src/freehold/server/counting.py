"""Token counters, each loaded when the first request needs it.

A vocabulary takes about 65 MB and 0.3 s: a gateway does without until it matters (docs/decisions/0002). It is loaded in
a thread, so that the loop goes on, and once. Models whose vocabulary is public are counted exactly, all others are
estimated: by length where the prompt is small and no vocabulary is there yet, otherwise with o200k_base.
"""

import asyncio
from collections.abc import Callable

import msgspec

from freehold.fit.tokens import ESTIMATING_WITH, Counter, estimate_tokens
from freehold.routing.features import FactsCache

SMALL_PROMPT_BYTES = 16 * 1024
"""Of the request's body. So little fits every window that is served, however roughly it is counted."""


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

    def at_hand(self, tokenizer: str | None, prompt_bytes: float) -> Tokens | None:
        """A counter that is good enough and there already. `tokenizer` None: an estimate is wanted."""
        tokens = self._tokens.get(tokenizer or ESTIMATING_WITH)
        if tokens is None and tokenizer is None and prompt_bytes <= SMALL_PROMPT_BYTES:
            return self._rough
        return tokens

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
