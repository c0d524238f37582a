"""The token counter, loaded when the first request needs it.

Its vocabulary takes about 65 MB and 0.3 s: an idle gateway does without. It is loaded in a thread, so that the loop
goes on, and once.
"""

import asyncio
from collections.abc import Callable

from freehold.fit.tokens import Counter


class Counting:
    """Counts tokens of text; `load` must have been awaited once."""

    def __init__(self, load: Callable[[], Counter]) -> None:
        self._load = load
        self._counter: Counter | None = None
        self._loading: asyncio.Future[Counter] | None = None

    @property
    def is_loaded(self) -> bool:
        """Whether `count` may be called."""
        return self._counter is not None

    async def load(self) -> None:
        """Load the vocabulary; callers that come while it loads wait for the same load."""
        if self._counter is not None:
            return
        if self._loading is None:
            self._loading = asyncio.get_running_loop().run_in_executor(None, self._load)
        loading = self._loading
        try:
            self._counter = await asyncio.shield(loading)
        finally:
            if loading.done():
                self._loading = None  # after a failure the next caller tries again

    def count(self, text: str) -> int:
        """Tokens in the text."""
        assert self._counter is not None
        return self._counter.count(text)
