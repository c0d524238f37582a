"""A dry run: exactly the decision a request would get, with no call made and nothing written.

The runtimes are taken to be up, since nobody is asked; everything else is what the server itself would use.
"""

import os
import time
from collections.abc import Mapping

import msgspec

from freehold.config import Config
from freehold.features import Features
from freehold.fit.tokens import load_counter
from freehold.identity.callers import identify
from freehold.routing.detectors.scanner import Detectors
from freehold.routing.features import FactsCache, gather
from freehold.routing.plan import Plan, make_plan
from freehold.routing.situation import Situation
from freehold.server.intake import tokenizer_of
from freehold.wire.codec import Codec


class Rehearsal(msgspec.Struct, frozen=True):
    """What was known, and what was decided."""

    features: Features
    situation: Situation
    plan: Plan


def rehearse(config: Config, codec: Codec, body: bytes, headers: Mapping[str, str]) -> Rehearsal:
    """Decide a body. Raises FaultError as the server would."""
    envelope = codec.peek(body)
    tokenizer = tokenizer_of(config.policy, envelope.model)
    features = gather(
        envelope,
        codec.describe,
        identify(headers, None),
        headers,
        FactsCache(os.urandom(32)),
        load_counter(tokenizer).count,
        Detectors(config.policy.labels),
        exact=tokenizer is not None,
        ceiling=config.policy.server_ceiling,
    )
    now_ms = time.time_ns() // 1_000_000
    situation = Situation(now_ms=now_ms, hour=time.localtime(now_ms / 1000).tm_hour, seed=0)
    return Rehearsal(features, situation, make_plan(features, config.policy, situation))
