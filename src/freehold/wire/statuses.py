"""The HTTP status a fault is told with, where a format's clients do not take the one it means.

Clients of OpenAI's formats repeat every 5xx, some of them without an end, and only some of them look at `x-should-retry`. What
the same request meets again until an operator mends the configuration is therefore a 400 to them, which no client repeats, and
never a 401, on which a client would throw its user's own login away. Codex repeats every other status five times, refusals too:
to it whatever is final is a 400. The error's `type` and `code` still say whose fault it is, and the attempt keeps the
upstream's own status.
"""

from freehold.fault import LASTING, Fault

NOT_REPEATED = 400
_WORTH_REPEATING = frozenset({408, 409, 429, 499})
"""Of the 4xx. 499 reaches nobody."""
_OTHER_HABITS = frozenset({"anthropic_messages", "ollama"})
_REPEATS_REFUSALS = frozenset({"codex"})
"""Clients, as `features.agent` names them, that take nothing but a 400 as final (codex-rs: `CodexErr::is_retryable`)."""


def is_final(fault: Fault) -> bool:
    """Whether the same request would meet it again, so that there is no use in repeating it."""
    status = fault.meaning.status
    return fault.kind in LASTING or (status < 500 and status not in _WORTH_REPEATING)


def status_of(fault: Fault, wire_format: str | None, agent: str | None = None) -> int:
    """The status in a wire format, to a client program. `wire_format` None: OpenAI's, as that of all that is no chat."""
    status = fault.meaning.status
    if wire_format in _OTHER_HABITS or not is_final(fault):
        return status
    return NOT_REPEATED if status >= 500 or agent in _REPEATS_REFUSALS else status
