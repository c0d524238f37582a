"""Token counters, each loaded when the first request needs it.

A vocabulary takes about 65 MB and 0.3 s: an idle gateway does without (docs/decisions/0002). It is loaded in a thread,
so that the loop goes on, and once. Models whose vocabulary is public are counted exactly, all others are estimated
with o200k_base.
"""

import asyncio
from collections.abc import Callable

import msgspec

from freehold.fit.tokens import ESTIMATING_WITH, Counter
from freehold.routing.features import FactsCache


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
        self._loading: dict[str, asyncio.Future[Counter]] = {}

    def loaded(self, tokenizer: str | None) -> Tokens | None:
        """The counter, if it is there already. None as name: the estimate."""
        return self._tokens.get(tokenizer or ESTIMATING_WITH)

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
