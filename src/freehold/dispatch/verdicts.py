"""Gathers the evidence for a judge and keeps the verdicts on the attempt."""

from freehold.chat import Reply, ToolCallPart
from freehold.dispatch.chat_attempt import ChatAttempt
from freehold.record import Verdict
from freehold.routing.judge import Evidence, judge
from freehold.routing.plan import Escalate

NOT_OF_COMPLETIONS = frozenset({"empty", "refusal"})
"""Nothing to add is a good completion, and the words of a refusal are the words of the text."""


def judge_reply(attempt: ChatAttempt, reply: Reply, escalate: Escalate | None) -> tuple[Verdict, ...]:
    """The verdicts of the checks that escalation names; none where nothing can be escalated."""
    if escalate is None:
        return ()
    flight = attempt.chat
    checks = escalate.checks
    if flight.features.operation == "completion":
        checks = tuple(name for name in checks if name not in NOT_OF_COMPLETIONS)
    calls_tools = any(isinstance(part, ToolCallPart) for choice in reply.choices for part in choice.parts)
    # Reading a whole agent's request costs more than judging; it is needed only for the schemas it holds.
    request = flight.request() if calls_tools or flight.features.schema else None
    attempt.verdicts = judge(
        Evidence(
            reply=reply,
            tools=() if request is None else request.tools,
            output=None if request is None else request.output,
            max_tokens=flight.features.max_tokens,
            calls_left=0 if attempt.calls is None else attempt.calls.left,
            cut=attempt.cut(reply.usage) if "prompt_cut" in checks else "",
        ),
        checks,
    )
    return attempt.verdicts
