"""The status a fault is told with: what no use is in repeating is a 400 to whoever repeats all else."""

import pytest

from freehold.fault import LASTING, Fault, Kind
from freehold.wire.statuses import is_final, status_of


@pytest.mark.parametrize("kind", Kind)
def test_codex_is_told_by_a_400_what_is_final_and_what_may_pass_by_its_own_status(kind: Kind) -> None:
    fault = Fault(kind=kind, message="m")
    usual = fault.meaning.status
    to_codex = status_of(fault, "openai_responses", "codex")
    assert to_codex == (400 if is_final(fault) else usual)
    assert (to_codex in {400, 408, 409, 429, 499}) or to_codex >= 500


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("agent", [None, "opencode", "claude-code", "openai-python"])
def test_every_other_client_is_told_the_status_of_the_table_but_for_what_only_an_operator_mends(
    kind: Kind, agent: str | None
) -> None:
    fault = Fault(kind=kind, message="m")
    usual = fault.meaning.status
    for form in ("openai_chat", "openai_responses", "openai_completions", None):
        assert status_of(fault, form, agent) == (400 if kind in LASTING and usual >= 500 else usual)
    for form in ("anthropic_messages", "ollama"):
        assert status_of(fault, form, agent) == status_of(fault, form, "codex") == usual


@pytest.mark.parametrize(
    ("kind", "final"),
    [
        (Kind.REFUSED_BY_POLICY, True), (Kind.BUDGET_SPENT, True), (Kind.UNKNOWN_MODEL, True), (Kind.UNAUTHENTICATED, True),
        (Kind.TOO_LARGE, True), (Kind.UPSTREAM_AUTH, True), (Kind.LOOP_STOPPED, True), (Kind.IDEMPOTENCY_UNKNOWN, True),
        (Kind.RATE_LIMITED, False), (Kind.BUDGET_BUSY, False), (Kind.IDEMPOTENCY_UNDER_WAY, False), (Kind.OVERLOADED, False),
        (Kind.BROKEN_STREAM, False), (Kind.NO_DEPLOYMENT, False), (Kind.REQUEST_TIMEOUT, False),
    ],
)  # fmt: skip
def test_what_may_be_otherwise_in_a_moment_is_not_final(kind: Kind, final: bool) -> None:
    assert is_final(Fault(kind=kind, message="m")) is final
