"""Whether an answer whose tool calls cannot be used is asked for again, with the model held to its tools.

That is one further call at the same deployment, within its runtime's retry budget, and only where nothing went to the client yet,
nothing usable was called, and the engine is known to constrain its decoding (the ability `json_schema`).
"""

from freehold.chat import WireFormat
from freehold.dispatch.answers import Answer
from freehold.dispatch.chat_attempt import ChatAttempt
from freehold.routing.plan import Escalate
from freehold.runtime import Egress

CONSTRAINS: frozenset[WireFormat] = frozenset({"openai_chat", "ollama"})
"""Formats in which local engines take a schema for their answer."""


def may_ask_by_schema(answer: Answer, escalate: Escalate | None) -> bool:
    """Whether to ask the same deployment once more. A rule that escalates such answers goes first."""
    attempt = answer.attempt
    if escalate is not None and "invalid_tool_arguments" in escalate.checks:
        return False
    if not isinstance(attempt, ChatAttempt) or attempt.calls is None or attempt.is_by_schema:
        return False
    placed = attempt.step.placed
    return (
        attempt.calls.left > 0
        and attempt.calls.made == 0
        and attempt.chat.features.choices == 1
        and not attempt.chat.features.schema
        and placed.deployment.abilities.json_schema
        and placed.egress is not Egress.VENDOR
        and attempt.upstream_codec.FORMAT in CONSTRAINS
    )
