"""Records as the gateway makes them, for tests: plain ones with changes, and any there can be."""

from typing import Any, get_args

import msgspec
from hypothesis import strategies as st

from freehold.chat import Usage, UsageBasis, WireFormat
from freehold.features import Caller, Features, Label, Task
from freehold.record import (
    AttemptEnd,
    AttemptRecord,
    CostBasis,
    DecisionRecord,
    Outcome,
    PlannedStep,
    Rejected,
    RequestRecord,
    Verdict,
)
from freehold.routing.situation import Health, Situation
from freehold.runtime import Egress

AT_MS = 1_760_000_000_000


def features(**changes: Any) -> Features:
    """Of a small chat."""
    plain: dict[str, Any] = {
        "operation": "chat",
        "wire_format": "openai_chat",
        "asked_model": "auto",
        "caller": Caller(),
        "prompt_tokens": 42,
        "prompt_tokens_exact": False,
        "max_tokens": None,
        "messages": 1,
        "stream": False,
        "tools": 0,
        "images": 0,
        "schema": False,
        "logprobs": False,
        "choices": 1,
        "task": Task.CHAT,
        "task_reason": "nothing more special was recognised",
        "label": Label.INTERNAL,
        "session": None,
    }
    return Features(**(plain | changes))


def decision(request_id: str, **changes: Any) -> DecisionRecord:
    """One step, one rejected deployment."""
    plain: dict[str, Any] = {
        "request_id": request_id,
        "at_ms": AT_MS,
        "policy_version": "v1",
        "features": features(),
        "situation": msgspec.Raw(msgspec.json.encode(Situation(now_ms=AT_MS, hour=3, seed=7))),
        "rule": None,
        "steps": (PlannedStep("box/small", "local first"),),
        "rejected": (Rejected("vendor/large", "over the ceiling", "stay here"),),
    }
    return DecisionRecord(**(plain | changes))


def attempt(request_id: str, number: int = 1, **changes: Any) -> AttemptRecord:
    """Served by the box."""
    plain: dict[str, Any] = {
        "attempt_id": f"{request_id}.{number}",
        "request_id": request_id,
        "number": number,
        "deployment": "box/small",
        "runtime": "box",
        "egress": "local",
        "sent_model": "small-q4",
        "answered_model": "small-q4",
        "mode": "relay",
        "edits": ("model",),
        "started_ms": AT_MS + 1,
        "first_content_ms": 12.5,
        "duration_ms": 80.25,
        "end": "served",
        "status": 200,
        "usage": Usage(input_tokens=42, output_tokens=7),
        "cost_nano_usd": 0,
        "cost_basis": "free",
    }
    return AttemptRecord(**(plain | changes))


def request(request_id: str, **changes: Any) -> RequestRecord:
    """Served by the box."""
    plain: dict[str, Any] = {
        "request_id": request_id,
        "at_ms": AT_MS,
        "operation": "chat",
        "wire_format": "openai_chat",
        "caller_key": "local",
        "caller_user": "local",
        "caller_team": None,
        "session": None,
        "agent": None,
        "asked_model": "auto",
        "task": "chat",
        "label": "internal",
        "stream": False,
        "policy_version": "v1",
        "outcome": "served",
        "status": 200,
        "fault": None,
        "fault_message": None,
        "deployment": "box/small",
        "runtime": "box",
        "egress": "local",
        "reason": "local first",
        "attempts": 1,
        "prompt_tokens_counted": 42,
        "usage": Usage(input_tokens=42, output_tokens=7),
        "cost_nano_usd": 0,
        "cost_basis": "free",
        "first_content_ms": 13.0,
        "duration_ms": 81.5,
        "overhead_ms": 0.4,
    }
    return RequestRecord(**(plain | changes))


_text = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00"), max_size=12)
_maybe = st.none() | _text
_count = st.integers(0, 2**63 - 1)
_ms = st.floats(0, 1e12, allow_nan=False)
_usage = st.none() | st.builds(
    Usage,
    input_tokens=_count,
    output_tokens=_count,
    cached_tokens=_count,
    cache_write_tokens=_count,
    reasoning_tokens=_count,
    cache_write_1h_tokens=_count,
    audio_input_tokens=_count,
    audio_output_tokens=_count,
    image_input_tokens=_count,
    basis=st.sampled_from(get_args(UsageBasis)),
)
_egress = st.sampled_from([str(egress) for egress in Egress])
_situation = st.builds(
    Situation,
    now_ms=_count,
    hour=st.integers(0, 23),
    seed=st.integers(0, 2**64),
    health=st.dictionaries(_text, st.builds(Health, state=st.sampled_from(["open", "half_open"]), reason=_text), max_size=2),
    sticky=_maybe,
).map(lambda situation: msgspec.Raw(msgspec.json.encode(situation)))
_features = st.builds(
    Features,
    operation=_text,
    wire_format=st.none() | st.sampled_from(get_args(WireFormat)),
    asked_model=_text,
    caller=st.builds(Caller, team=_maybe, label=st.none() | st.sampled_from(Label)),
    prompt_tokens=_count,
    max_tokens=st.none() | st.integers(0, 2**63 - 1),
    messages=_count,
    tools=_count,
    images=_count,
    choices=_count,
    task_reason=_text,
    session=_maybe,
    hints=st.dictionaries(_text, _text, max_size=3),
)


def decisions(ids: st.SearchStrategy[str]) -> st.SearchStrategy[DecisionRecord]:
    """Any decision there can be."""
    return st.builds(
        DecisionRecord,
        request_id=ids,
        at_ms=_count,
        policy_version=_text,
        features=_features,
        situation=_situation,
        rule=_maybe,
        steps=st.lists(st.builds(PlannedStep, _text, _text), max_size=3).map(tuple),
        rejected=st.lists(st.builds(Rejected, _text, _text, _maybe), max_size=3).map(tuple),
    )


def attempts(ids: st.SearchStrategy[str]) -> st.SearchStrategy[AttemptRecord]:
    """Any attempt there can be."""
    return st.builds(
        AttemptRecord,
        attempt_id=ids,
        request_id=ids,
        number=st.integers(1, 100),
        deployment=_text,
        runtime=_text,
        egress=_egress,
        sent_model=_text,
        answered_model=_maybe,
        fingerprint=_maybe,
        edits=st.lists(_text, max_size=3).map(tuple),
        started_ms=_count,
        first_content_ms=st.none() | _ms,
        duration_ms=_ms,
        end=st.sampled_from(get_args(AttemptEnd)),
        status=st.none() | st.integers(100, 999),
        fault=_maybe,
        fault_message=_maybe,
        verdicts=st.lists(st.builds(Verdict, _text, st.booleans(), _text), max_size=3).map(tuple),
        usage=_usage,
        cost_nano_usd=st.none() | _count,
        cost_basis=st.sampled_from(get_args(CostBasis)),
    )


def requests(ids: st.SearchStrategy[str]) -> st.SearchStrategy[RequestRecord]:
    """Any final row there can be."""
    return st.builds(
        RequestRecord,
        request_id=ids,
        at_ms=_count,
        **dict.fromkeys(("operation", "caller_key", "caller_user", "asked_model", "task", "policy_version", "reason"), _text),
        **dict.fromkeys(
            ("wire_format", "caller_team", "session", "agent", "fault", "fault_message", "deployment", "runtime"), _maybe
        ),
        label=st.sampled_from([str(label) for label in Label]),
        outcome=st.sampled_from(get_args(Outcome)),
        status=st.integers(100, 999),
        egress=st.none() | _egress,
        attempts=st.integers(0, 100),
        prompt_tokens_counted=_count,
        usage=_usage,
        cost_nano_usd=st.none() | _count,
        cost_basis=st.sampled_from(get_args(CostBasis)),
        first_content_ms=st.none() | _ms,
        duration_ms=_ms,
        overhead_ms=st.none() | _ms,
    )
