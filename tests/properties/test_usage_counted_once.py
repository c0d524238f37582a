"""Cached, written and reasoning tokens are shares: whatever a runtime reports, each token is counted and charged once."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.chat import Usage
from freehold.costs.price import price
from freehold.runtime import Deployment, Egress, LongPromptRates, Model, Placed, Price, Vendor
from freehold.wire import openai_replies
from freehold.wire.anthropic_messages.spelling import UsageCount
from freehold.wire.anthropic_messages.spelling import WireUsage as MessagesUsage
from freehold.wire.ollama import shapes as ollama
from freehold.wire.openai_responses import shapes as responses
from freehold.wire.singles.shape import read_usage as read_single

COUNT = st.one_of(st.integers(0, 10**6), st.integers(-5, 5), st.none())


def said(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


OPENAI = said(
    prompt_tokens=COUNT, completion_tokens=COUNT, total_tokens=COUNT, prompt_cache_hit_tokens=COUNT,
    prompt_tokens_details=said(cached_tokens=COUNT, cache_write_tokens=COUNT, audio_tokens=COUNT, image_tokens=COUNT),
    completion_tokens_details=said(reasoning_tokens=COUNT, audio_tokens=COUNT),
)  # fmt: skip
RESPONSES = said(
    input_tokens=COUNT, output_tokens=COUNT, input_tokens_details=said(cached_tokens=COUNT, cache_write_tokens=COUNT),
    output_tokens_details=said(reasoning_tokens=COUNT),
)  # fmt: skip
MESSAGES = said(
    input_tokens=COUNT, output_tokens=COUNT, cache_creation_input_tokens=COUNT, cache_read_input_tokens=COUNT,
    cache_creation=said(ephemeral_1h_input_tokens=COUNT), output_tokens_details=said(thinking_tokens=COUNT),
)  # fmt: skip
OLLAMA = said(prompt_eval_count=COUNT, eval_count=COUNT)
SINGLE = said(
    input_tokens=COUNT, output_tokens=COUNT, prompt_tokens=COUNT, total_tokens=COUNT,
    input_tokens_details=said(audio_tokens=COUNT, image_tokens=COUNT),
)  # fmt: skip


def openai(report: dict[str, Any]) -> Usage | None:
    return openai_replies.read_usage(msgspec.convert(report, openai_replies.WireUsage), None)


def openai_responses(report: dict[str, Any]) -> Usage | None:
    return responses.read_usage(msgspec.convert(report, responses.WireUsage))


def messages(report: dict[str, Any]) -> Usage | None:
    return UsageCount().take(msgspec.convert(report, MessagesUsage))


def ollama_chat(report: dict[str, Any]) -> Usage | None:
    return ollama.read_usage(msgspec.convert(report, ollama.Chunk))


def single(report: dict[str, Any]) -> Usage | None:
    return read_single(msgspec.Raw(msgspec.json.encode(report)))


READERS: list[Any] = [
    pytest.param(openai, OPENAI, id="openai_chat and openai_completions"),
    pytest.param(openai_responses, RESPONSES, id="openai_responses"),
    pytest.param(messages, MESSAGES, id="anthropic_messages"),
    pytest.param(ollama_chat, OLLAMA, id="ollama"),
    pytest.param(single, SINGLE, id="singles"),
]
FLAT = Price(input_usd_per_mtok=1.0, output_usd_per_mtok=1.0, cache_write_1h_usd_per_mtok=1.0, audio_input_usd_per_mtok=1.0, audio_output_usd_per_mtok=1.0)  # fmt: skip
DEAR = Price(
    input_usd_per_mtok=3.0, output_usd_per_mtok=15.0, cached_input_usd_per_mtok=0.3, cache_write_usd_per_mtok=3.75,
    cache_write_1h_usd_per_mtok=6.0, audio_input_usd_per_mtok=40.0, audio_output_usd_per_mtok=80.0, image_input_usd_per_mtok=5.0,
    long_prompts=(LongPromptRates(input_usd_per_mtok=6.0, output_usd_per_mtok=22.5, audio_input_usd_per_mtok=80.0,
    audio_output_usd_per_mtok=160.0, cache_write_1h_usd_per_mtok=12.0, above_input_tokens=200_000),),
)  # fmt: skip


def cost(usage: Usage, rates: Price) -> int:
    deployment = Deployment(id="v/m", model="m", runtime="v", served_as="m", price=rates)
    placed = Placed(deployment=deployment, runtime=Vendor(name="v"), model=Model(id="m"), egress=Egress.VENDOR)
    nano_usd, basis = price(usage, placed, 1.0, 0)
    assert nano_usd is not None
    assert basis == "metered"
    return nano_usd


@pytest.mark.parametrize(("read", "reports"), READERS)
def test_every_share_lies_inside_what_it_is_a_share_of(
    read: Callable[[dict[str, Any]], Usage | None], reports: st.SearchStrategy[dict[str, Any]]
) -> None:
    @given(reports)
    def holds(report: dict[str, Any]) -> None:
        usage = read(report)
        if usage is None:
            return
        assert min(usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.cache_write_tokens) >= 0
        assert usage.cached_tokens + usage.cache_write_tokens <= usage.input_tokens
        assert 0 <= usage.cache_write_1h_tokens <= usage.cache_write_tokens
        assert 0 <= usage.reasoning_tokens <= usage.output_tokens
        assert usage.audio_input_tokens + usage.image_input_tokens <= usage.input_tokens
        assert 0 <= usage.audio_output_tokens <= usage.output_tokens
        # At one rate for everything, the cost is every token once, whatever shares were reported.
        assert cost(usage, FLAT) == (usage.input_tokens + usage.output_tokens) * 1000
        # And never beyond the dearest rate for each.
        assert 0 <= cost(usage, DEAR) <= (usage.input_tokens * 80 + usage.output_tokens * 160) * 1000

    holds()


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_reasoning_costs_no_more_than_the_output_it_is_part_of(output: int, reasoning: int) -> None:
    plain = Usage(input_tokens=10, output_tokens=output)
    thought = Usage(input_tokens=10, output_tokens=output, reasoning_tokens=min(reasoning, output))
    assert cost(plain, DEAR) == cost(thought, DEAR)


def test_the_same_tokens_cost_the_same_in_every_format() -> None:
    """900 read from the cache of 1000 in, 40 reasoned of 50 out."""
    told = [
        openai({"prompt_tokens": 1000, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 900}, "completion_tokens_details": {"reasoning_tokens": 40}}),
        openai_responses({"input_tokens": 1000, "output_tokens": 50, "input_tokens_details": {"cached_tokens": 900}, "output_tokens_details": {"reasoning_tokens": 40}}),
        messages({"input_tokens": 100, "cache_read_input_tokens": 900, "output_tokens": 50, "output_tokens_details": {"thinking_tokens": 40}}),
    ]  # fmt: skip
    assert told[0] == told[1] == told[2]
    assert {cost(usage, DEAR) for usage in told if usage} == {100 * 3000 + 900 * 300 + 50 * 15000}
