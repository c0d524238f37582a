"""A dry run: exactly the decision a request would get, with no call made and nothing written.

The runtimes are taken to be up, since nobody is asked; everything else is what the server itself would use.
"""

import os
import time
from collections.abc import Callable, Mapping

import msgspec

from freehold.config import Config
from freehold.config.checking_budgets import budgets_of
from freehold.fault import Kind, faulty
from freehold.features import Caller, Features
from freehold.fit.tokens import load_counter
from freehold.identity.tags import tag
from freehold.limits.over_budget import told, unknown_prices
from freehold.routing.detectors.scanner import Detectors, Spot
from freehold.routing.facts_cache import FactsCache
from freehold.routing.features import gather, gather_embeddings
from freehold.routing.labels import Labelled, as_findings, label_request
from freehold.routing.plan import Plan, make_plan
from freehold.routing.single_features import gather_single
from freehold.routing.situation import Situation
from freehold.server.intake import look_through, tokenizer_of
from freehold.server.redacting import leave_out
from freehold.wire import embeddings
from freehold.wire.codec import Codec, Envelope
from freehold.wire.embeddings import EmbeddingsEnvelope
from freehold.wire.formats import CODECS
from freehold.wire.ollama import embed, generate
from freehold.wire.singles import SINGLE_SHOTS, SingleShot

CHATS: Mapping[str, Codec] = {
    "/v1/chat/completions": CODECS["openai_chat"],
    "/v1/responses": CODECS["openai_responses"],
    "/v1/completions": CODECS["openai_completions"],
    "/v1/messages": CODECS["anthropic_messages"],
    "/api/chat": CODECS["ollama"],
    "/api/generate": generate,
}
EMBEDDINGS: Mapping[str, Callable[[bytes], EmbeddingsEnvelope]] = {
    "/v1/embeddings": embeddings.peek,
    "/api/embed": embed.peek,
    "/api/embeddings": embed.peek_old,
}
SINGLES: Mapping[str, SingleShot] = {f"/v1{shot.path}": shot for shot in SINGLE_SHOTS}
ENDPOINTS = (*CHATS, *EMBEDDINGS, *SINGLES)
"""Every one whose requests are decided."""


class Rehearsal(msgspec.Struct, frozen=True):
    """What was known, and what was decided."""

    features: Features
    situation: Situation
    plan: Plan
    budgets: tuple[tuple[str, str], ...] = ()
    """Those that hold for it, by name, and what each says. How much of them is spent is not looked at."""


def rehearse(config: Config, endpoint: str, body: bytes, headers: Mapping[str, str]) -> Rehearsal:
    """Decide a body sent to one of `ENDPOINTS`; `content-type` among the headers tells where a form has its boundary.

    Raises FaultError as the server would.
    """
    caller = tag(Caller(), headers, config.policy.ceilings)
    codec = CHATS.get(endpoint)
    if codec is not None:
        return _rehearse_chat(config, codec, body, headers, caller)
    peek = EMBEDDINGS.get(endpoint)
    if peek is not None:
        return _decide(config, _embeddings_features(config, peek(body), headers, caller))
    shot = SINGLES[endpoint]
    envelope = shot.peek(body, headers.get("content-type", ""))
    tokenizer, detectors = tokenizer_of(config.policy, envelope.model), Detectors(config.policy.labels)
    features = gather_single(
        shot.operation,
        envelope,
        caller,
        headers,
        load_counter(tokenizer).count,
        _labelled(detectors, caller, headers, look_through(detectors, envelope)),
        exact=tokenizer is not None,
        ceiling=config.policy.server_ceiling,
    )
    return _decide(config, features)


def _rehearse_chat(config: Config, codec: Codec, body: bytes, headers: Mapping[str, str], caller: Caller) -> Rehearsal:
    envelope = codec.peek(body)
    if envelope.format == "ollama" and not envelope.blocks:
        raise faulty(Kind.INVALID_REQUEST, "a request of Ollama's without a prompt loads a model: nothing is decided for it")
    tokenizer, cache = tokenizer_of(config.policy, envelope.model), FactsCache(os.urandom(32))
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


def _embeddings_features(config: Config, envelope: EmbeddingsEnvelope, headers: Mapping[str, str], caller: Caller) -> Features:
    tokenizer, detectors = tokenizer_of(config.policy, envelope.model), Detectors(config.policy.labels)
    return gather_embeddings(
        envelope.model,
        envelope.texts,
        caller,
        headers,
        load_counter(tokenizer).count,
        _labelled(detectors, caller, headers, detectors.read_json(envelope.body, envelope.texts)),
        exact=tokenizer is not None,
        ceiling=config.policy.server_ceiling,
        token_inputs=max(map(len, envelope.token_arrays), default=0),
        top=envelope.top,
    )


def _labelled(detectors: Detectors, caller: Caller, headers: Mapping[str, str], spots: tuple[Spot, ...]) -> Labelled:
    return label_request(detectors, caller, headers, as_findings(spots, 0))


def _decide(config: Config, features: Features) -> Rehearsal:
    now_ms = time.time_ns() // 1_000_000
    table = budgets_of(config.settings, config.policy)
    lines = () if table is None else table.matching(features)
    unknown = {} if table is None else unknown_prices(table, now_ms)
    over = {one: why for line in lines for one, why in unknown.get(line.name, {}).items()}
    situation = Situation(now_ms=now_ms, hour=time.localtime(now_ms / 1000).tm_hour, seed=0, budgets=over)
    said = tuple((line.name, told(line)) for line in lines)
    return Rehearsal(features, situation, make_plan(features, config.policy, situation), said)
