"""How long a client's answers are, so that a short budget is not locked up by lengths that nobody uses.

Agents ask for tens of thousands of tokens and use hundreds. Where a budget is short, what their own answers were lately
decides how much is reserved. Promised: bounded memory; an answer that was cut at a length counts as one twice as long, so
a cap that was too low grows by itself. Not done: keeping it across restarts.
"""

from collections import OrderedDict, deque

UNKNOWN_TOKENS = 4096
"""For a client that was never seen: most answers of agents are shorter."""
SMALLEST_CAP_TOKENS = 1024
MARGIN = 2
"""A cap is so many times the longest of the last answers."""
REMEMBERED = 32
"""Answers of each client."""
CLIENTS_KEPT = 4096

Client = tuple[str, str, str | None, str]
"""Key, user, agent, model."""


class AnswerLengths:
    """The last answers of each client, in tokens."""

    def __init__(self) -> None:
        self._seen: OrderedDict[Client, deque[int]] = OrderedDict()

    def note(self, client: Client, output_tokens: int, *, was_cut: bool) -> None:
        """An answer was that long; `was_cut`: only because it might not be longer."""
        lengths = self._seen.get(client)
        if lengths is None:
            lengths = self._seen[client] = deque(maxlen=REMEMBERED)
            if len(self._seen) > CLIENTS_KEPT:
                self._seen.popitem(last=False)
        else:
            self._seen.move_to_end(client)
        lengths.append(output_tokens * 2 if was_cut else output_tokens)

    def cap(self, client: Client) -> int:
        """How long an answer is to be allowed where there is not enough for any length."""
        lengths = self._seen.get(client)
        if lengths is None:
            return UNKNOWN_TOKENS
        return max(MARGIN * max(lengths), SMALLEST_CAP_TOKENS)
