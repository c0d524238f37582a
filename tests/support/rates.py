"""Features and rates for tests of limits."""

from typing import Any

from freehold.features import Caller, Features, Label, Task
from freehold.policy.rates import Rate, RateLine, RateTable


def asked(tokens: int = 0, *, operation: str = "embeddings", max_tokens: int | None = None, **caller: Any) -> Features:
    return Features(
        operation=operation,
        wire_format="openai_chat",
        asked_model="m",
        caller=Caller(**caller),
        prompt_tokens=tokens,
        prompt_tokens_exact=True,
        max_tokens=max_tokens,
        messages=1,
        stream=False,
        tools=0,
        images=0,
        schema=False,
        logprobs=False,
        choices=1,
        task=Task.CHAT,
        task_reason="",
        label=Label.INTERNAL,
        session=None,
    )


def lines(*rates: Rate) -> tuple[RateLine, ...]:
    return RateTable(rates, ()).of_requests
