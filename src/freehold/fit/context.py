"""Whether a prompt fits the window a deployment really serves.

Promised: a request that cannot be answered there is turned away before it is sent, and a long `max_tokens` alone
never is: it is clamped to the room left. Not done: counting (see `fit.tokens`) and finding the window out.
"""

import msgspec

ESTIMATE_MARGIN = 0.15
"""An estimated count may be this share too low. o200k counts of English and code differ from those of the Llama,
Qwen and Claude tokenizers by up to about this much."""
ESTIMATE_MARGIN_FLOOR = 16
"""Tokens; chat templates add a few tokens that no estimate of a short prompt sees."""
ANSWER_FLOOR = 64
"""Tokens of answer that must fit when the client did not say how long an answer it wants."""
ANSWER_CEILING = 256
"""A client that asks for more than this is still served when only this many tokens of answer fit."""


class Fit(msgspec.Struct, frozen=True):
    """Whether it fits, and why not."""

    ok: bool
    reason: str
    """"" where it fits."""
    answer_tokens: int | None
    """Room left for the answer, margin taken off; 0 when the prompt alone is too long; None: the window is unknown."""


_UNKNOWN = Fit(True, "", None)


def with_margin(prompt_tokens: int, exact: bool) -> int:
    """The count to reckon with, in tokens: an exact one as it is, an estimate with its margin."""
    if exact:
        return prompt_tokens
    return prompt_tokens + max(int(prompt_tokens * ESTIMATE_MARGIN), ESTIMATE_MARGIN_FLOOR)


def fits(prompt_tokens: int, exact: bool, max_tokens: int | None, window: int | None) -> Fit:
    """Whether the prompt and a useful answer fit into `window` tokens.

    A useful answer is `max_tokens` where the client wants at most `ANSWER_CEILING`, that ceiling where it wants
    more, and `ANSWER_FLOOR` where it did not say. None for `window` is *not known*: it fits, and the upstream decides.
    """
    if window is None:
        return _UNKNOWN
    needed = with_margin(prompt_tokens, exact)
    room = max(window - needed, 0)
    wanted = ANSWER_FLOOR if max_tokens is None else min(max(max_tokens, 1), ANSWER_CEILING)
    if room >= wanted:
        return Fit(True, "", room)
    about = "" if exact else "about "
    if room == 0:
        return Fit(False, f"the prompt has {about}{needed} tokens, the window {window}", 0)
    return Fit(False, f"{about}{needed} of {window} tokens leave {room} for an answer of {wanted}", room)
