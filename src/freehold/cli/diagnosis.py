"""One timed question to each local deployment, and what a slow answer or a small context points at."""

import asyncio
import time
from typing import Any

import msgspec

from freehold.cli.asking import gateway
from freehold.cli.client import GatewayClient, events_of
from freehold.config import Config
from freehold.fault import FaultError
from freehold.local.machine import Machine
from freehold.runtime import Egress, Placed
from freehold.storage.store import StoreError

SLOW_S = 10.0
TRIAL_S = 90.0
"""Time enough to load a model from a slow disk."""
TRIAL_TOKENS = 32
AGENT_TOKENS = 32_768
"""The first prompts of coding agents are 12 to 22 thousand tokens, and their work needs room beside them."""
FULL_SWAP = 0.25
LITTLE_MEMORY = 0.05


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """How one deployment answered a short question."""

    deployment: str
    context: int | None
    first_token_s: float | None = None
    total_s: float | None = None
    tokens_per_s: float | None = None
    """After the first token; None: too few came to tell."""
    fault: str | None = None
    """None: it answered."""


async def try_out(base: Config, config: Config) -> tuple[Trial, ...]:
    """Ask every local chat deployment of `config`, one after another, through the running server or one of our own.

    `base` is the configuration without what was found: a server of our own finds it again.
    """
    wanted = [one for one in config.policy.placed.values() if one.egress is Egress.LOCAL and one.deployment.abilities.chat]
    if not wanted:
        return ()
    try:
        async with gateway(base) as client:
            return tuple([await _try(client, one) for one in wanted])
    except (FaultError, StoreError, RuntimeError, OSError, TimeoutError) as error:
        why = error.fault.message if isinstance(error, FaultError) else str(error) or "it did not start in time"
        return tuple(Trial(deployment=one.id, context=one.deployment.abilities.context, fault=why) for one in wanted)


async def _try(client: GatewayClient, placed: Placed) -> Trial:
    context, began = placed.deployment.abilities.context, time.monotonic()
    body = msgspec.json.encode(
        {
            "model": placed.id,
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": TRIAL_TOKENS,
            "temperature": 0,
            "messages": [{"role": "user", "content": "Count from one to twenty in words."}],
        }
    )
    first: float | None = None
    last, pieces, reported = began, 0, 0
    try:
        async with asyncio.timeout(TRIAL_S):
            exchange = await client.chat(body)
            if exchange.status != 200:
                return Trial(deployment=placed.id, context=context, fault=_message(await exchange.read(1 << 20)))
            async for data in events_of(exchange):
                event: dict[str, Any] = msgspec.json.decode(data)
                if "error" in event:
                    return Trial(deployment=placed.id, context=context, fault=str(event["error"].get("message")))
                reported = (event.get("usage") or {}).get("completion_tokens") or reported
                if any(_has_text(choice.get("delta") or {}) for choice in event.get("choices") or ()):
                    last, pieces = time.monotonic(), pieces + 1
                    first = first if first is not None else last
    except TimeoutError:
        return Trial(deployment=placed.id, context=context, total_s=TRIAL_S, fault=f"no whole answer within {TRIAL_S:.0f} s")
    except FaultError as error:
        return Trial(deployment=placed.id, context=context, fault=error.fault.message)
    if first is None:
        return Trial(deployment=placed.id, context=context, fault="its answer was empty")
    tokens = max(reported, pieces) - 1
    return Trial(
        deployment=placed.id,
        context=context,
        first_token_s=first - began,
        total_s=time.monotonic() - began,
        tokens_per_s=tokens / (last - first) if tokens > 1 and last > first else None,
    )


def _has_text(delta: dict[str, Any]) -> bool:
    return bool(delta.get("content") or delta.get("reasoning_content"))


def _message(body: bytes) -> str:
    try:
        told: dict[str, Any] = msgspec.json.decode(body)
        return str(told["error"]["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return "the gateway gave no reason"


def advise(trial: Trial, machine: Machine) -> list[str]:
    """What to look at when an answer took over `SLOW_S`; empty when it did not."""
    if trial.total_s is None or trial.total_s <= SLOW_S:
        return []
    said = [f"{trial.deployment} took {trial.total_s:.0f} s; a second try tells loading the model from generating"]
    if machine.cards_problem:
        said.append(machine.cards_problem)
    elif machine.cards:
        said.append("GPU offload: is the model on the card? (llama-server -ngl, `ollama ps`, and a CUDA driver that fits)")
    else:
        said.append("no NVIDIA card is visible, so it probably runs on the processor: a smaller model or quantisation is faster")
    threads = max(1, machine.cores - 1)
    said.append(
        f"threads: as many as physical cores less one ({threads}); more make small machines slower, most of all under load"
    )
    if machine.load is not None and machine.load > machine.usable_threads:
        said.append(f"other work: {machine.load:.1f} processes want {machine.usable_threads} threads")
    if machine.swap_gib and machine.used_swap_gib > FULL_SWAP * machine.swap_gib:
        said.append(f"swap: {machine.used_swap_gib:.1f} GiB are swapped out; a model that swaps is a hundred times slower")
    if machine.free_memory_gib < LITTLE_MEMORY * machine.memory_gib:
        said.append(f"memory: only {machine.free_memory_gib:.1f} GiB are free; weights that do not fit are read again and again")
    return said


def agent_windows(config: Config) -> tuple[str, ...]:
    """A concern where nothing that may be used takes the prompts of coding agents."""
    ceiling = config.policy.server_ceiling
    chats = [one for one in config.policy.placed.values() if one.deployment.abilities.chat and one.egress.within(ceiling)]
    windows = [one.deployment.abilities.context for one in chats]
    if not chats or any(window is None or window >= AGENT_TOKENS for window in windows):
        return ()
    largest = max(window for window in windows if window is not None)
    says = (
        f"the largest context is {largest} tokens; coding agents such as Claude Code and Codex begin with 12 to 22 thousand "
        f"and need {AGENT_TOKENS}: serve a model with more (llama-server -c, OLLAMA_CONTEXT_LENGTH, --max-model-len)"
    )
    return (says,)
