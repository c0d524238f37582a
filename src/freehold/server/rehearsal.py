"""A dry run: exactly the decision a request would get, with no call made and nothing written.

The runtimes are taken to be up, since nobody is asked; everything else is what the server itself would use.
"""

import os
import time
from collections.abc import Mapping

import msgspec

from freehold.config import Config
from freehold.config.checking_budgets import budgets_of
from freehold.features import Caller, Features
from freehold.fit.tokens import load_counter
from freehold.identity.tags import tag
from freehold.limits.over_budget import told, unknown_prices
from freehold.routing.detectors.scanner import Detectors
from freehold.routing.facts_cache import FactsCache
from freehold.routing.features import gather
from freehold.routing.plan import Plan, make_plan
from freehold.routing.situation import Situation
from freehold.server.intake import tokenizer_of
from freehold.server.redacting import leave_out
from freehold.wire.codec import Codec, Envelope


class Rehearsal(msgspec.Struct, frozen=True):
    """What was known, and what was decided."""

    features: Features
    situation: Situation
    plan: Plan
    budgets: tuple[tuple[str, str], ...] = ()
    """Those that hold for it, by name, and what each says. How much of them is spent is not looked at."""


def rehearse(config: Config, codec: Codec, body: bytes, headers: Mapping[str, str]) -> Rehearsal:
    """Decide a body. Raises FaultError as the server would."""
    envelope = codec.peek(body)
    tokenizer = tokenizer_of(config.policy, envelope.model)
    caller, cache = tag(Caller(), headers, config.policy.ceilings), FactsCache(os.urandom(32))
    detectors, count = Detectors(config.policy.labels), load_counter(tokenizer).count
    exact, ceiling = tokenizer is not None, config.policy.server_ceiling

    def look_at(seen: Envelope) -> Features:
        return gather(seen, codec.describe, caller, headers, cache, count, detectors, exact=exact, ceiling=ceiling)

    rehearsal = _decide(config, look_at(envelope))
    if rehearsal.plan.refusal is not None and config.policy.redacts:
        left = leave_out(codec, envelope, rehearsal.features, detectors, os.urandom(32), look_at)
        redacted = None if left is None else _decide(config, left.features)
        if redacted is not None and redacted.plan.refusal is None:
            return redacted
    return rehearsal


def _decide(config: Config, features: Features) -> Rehearsal:
    now_ms = time.time_ns() // 1_000_000
    table = budgets_of(config.settings, config.policy)
    lines = () if table is None else table.matching(features)
    unknown = {} if table is None else unknown_prices(table, now_ms)
    over = {one: why for line in lines for one, why in unknown.get(line.name, {}).items()}
    situation = Situation(now_ms=now_ms, hour=time.localtime(now_ms / 1000).tm_hour, seed=0, budgets=over)
    said = tuple((line.name, told(line)) for line in lines)
    return Rehearsal(features, situation, make_plan(features, config.policy, situation), said)
