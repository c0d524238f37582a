"""The HTTP status a fault is told with, where a format's clients do not take the one it means.

Clients of OpenAI's formats repeat every 5xx, some of them without an end (Codex also 403 and 404), and only some of them look at
`x-should-retry`. What the same request meets again until an operator mends the configuration is therefore a 400 to them, which no
client repeats, and never a 401, on which a client would throw its user's own login away. The error's `type` and `code` still say
whose fault it is, and the attempt keeps the upstream's own status.
"""

from freehold.fault import LASTING, Fault

NOT_REPEATED = 400


def status_of(fault: Fault, wire_format: str | None) -> int:
    """The status in a wire format. None: OpenAI's, as that of all that is no chat."""
    status = fault.meaning.status
    if status >= 500 and fault.kind in LASTING and wire_format not in {"anthropic_messages", "ollama"}:
        return NOT_REPEATED
    return status
