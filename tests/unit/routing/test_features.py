import json
from typing import Any

import msgspec
import pytest

from freehold.fault import FaultError, Kind
from freehold.features import Caller, Features, Label, Task
from freehold.policy.labels import LabelSettings
from freehold.routing import features as subject
from freehold.routing.detectors.scanner import Detectors
from freehold.routing.facts_cache import FactsCache
from freehold.routing.features import gather, gather_embeddings
from freehold.routing.labels import Labelled
from freehold.runtime import Egress
from freehold.wire import openai_chat
from freehold.wire.codec import Block

KEY = bytes(range(32))
ANN, BOB = Caller(key="ann", user="ann"), Caller(key="bob", user="bob")


class Described:
    """The codec's `describe`, counted."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, block: msgspec.Raw) -> Block:
        self.times += 1
        return openai_chat.describe(block)


def words(text: str) -> int:
    return len(text.split())


def gathered(body: dict[str, Any], *, headers: dict[str, str] | None = None, caller: Caller = ANN, **more: Any) -> Features:
    envelope = openai_chat.peek(json.dumps({"model": "auto", **body}).encode())
    describe = more.pop("describe", openai_chat.describe)
    cache = more.pop("cache") if "cache" in more else FactsCache(KEY)
    detectors = more.pop("detectors", None) or Detectors(LabelSettings(default=more.pop("label", Label.INTERNAL)))
    return gather(envelope, describe, caller, headers or {}, cache, words, detectors, exact=more.pop("exact", True), **more)


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


TOOL = {"type": "function", "function": {"name": "f", "description": "reads one file", "parameters": {"type": "object"}}}


def test_tokens_are_those_of_the_texts_and_of_what_templates_put_around_them():
    found = gathered({"messages": [{"role": "system", "content": "be brief"}, user("one two three")]})
    assert found.prompt_tokens == 5 + 2 * subject.MESSAGE_TOKENS + subject.REPLY_TOKENS
    assert found.prompt_tokens_exact
    assert found.messages == 2


def test_tools_and_images_count_and_make_the_total_an_estimate():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    plain = gathered({"messages": [user("look")]})
    seen = gathered({"messages": [{"role": "user", "content": [{"type": "text", "text": "look"}, image]}]})
    armed = gathered({"messages": [user("look")], "tools": [TOOL]})
    assert seen.prompt_tokens == plain.prompt_tokens + subject.IMAGE_TOKENS
    assert (seen.images, seen.prompt_tokens_exact) == (1, False)
    assert armed.prompt_tokens > plain.prompt_tokens + subject.TOOLS_TOKENS
    assert (armed.tools, armed.messages, armed.prompt_tokens_exact) == (1, 1, False)


def test_what_the_body_asks_for_is_carried_over():
    found = gathered({"messages": [user("hi")], "stream": True, "max_tokens": 7, "n": 2, "logprobs": True})
    assert (found.stream, found.max_tokens, found.choices, found.logprobs) == (True, 7, 2, True)
    assert (found.operation, found.wire_format, found.asked_model, found.caller) == ("chat", "openai_chat", "auto", ANN)


def test_a_history_is_read_once_and_only_what_is_new_costs():
    cache, describe = FactsCache(KEY), Described()
    history = [user("first question"), {"role": "assistant", "content": "an answer"}]
    before = gathered({"messages": history}, cache=cache, describe=describe)
    times = describe.times
    assert gathered({"messages": history}, cache=cache, describe=describe) == before
    assert describe.times == times
    gathered({"messages": [*history, user("more")]}, cache=cache, describe=describe)
    assert describe.times == times + 1


def test_another_caller_never_meets_the_cached_facts():
    cache, describe = FactsCache(KEY), Described()
    gathered({"messages": [user("mine")]}, cache=cache, describe=describe)
    times = describe.times
    gathered({"messages": [user("mine")]}, cache=cache, describe=describe, caller=BOB)
    assert describe.times == 2 * times


@pytest.mark.parametrize("randomised", [True, False])
def test_the_cache_keeps_no_text(randomised: bool):
    cache = FactsCache(KEY)
    if not randomised:
        cache.digest = cache._blake3
    gathered({"messages": [user("sesame7351 is the word")]}, cache=cache)
    assert len(cache) == 1
    assert "sesame" not in repr([cache._young, cache._old, cache._scopes])


def test_the_cache_is_bounded_and_keeps_what_is_used():
    cache = FactsCache(KEY, entries=10)
    facts = subject.BlockFacts(1, "user", 0, 0, 0, 0)
    cache.put(0, facts)
    for place in range(1, 100):
        cache.put(place, facts)
        assert cache.get(0) is facts
        assert len(cache) <= 10
    assert cache.get(1) is None


def test_keys_of_the_cache_differ_between_processes_and_formats():
    one, other = FactsCache(KEY), FactsCache(bytes(32))
    assert one.scope(ANN, "openai_chat") != other.scope(ANN, "openai_chat")
    assert one.scope(ANN, "openai_chat") != one.scope(ANN, "anthropic_messages")
    assert one._blake3(b"x") != other._blake3(b"x")
    with pytest.raises(ValueError, match="32 random bytes"):
        FactsCache(b"short")


def test_the_last_text_of_the_user_names_the_task():
    messages = [user("Translate this to French: hi"), {"role": "assistant", "content": "salut"}, user("Write unit tests for it")]
    found = gathered({"messages": messages})
    assert (found.task, found.task_reason) == (Task.TEST, "asks-for-tests")


def test_a_tool_result_at_the_end_is_an_agents_turn():
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        user("Write unit tests for it"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "the file"},
    ]
    assert gathered({"messages": messages, "tools": [TOOL]}).task is Task.AGENT_TURN


def test_a_recognised_client_brings_its_session_and_class():
    headers = {"x-claude-code-session-id": "s-1", "x-claude-code-request-class": "auxiliary"}
    found = gathered({"messages": [user("hi")]}, headers=headers)
    assert (found.agent, found.session, found.request_class, found.task) == ("claude-code", "s-1", "auxiliary", Task.AUXILIARY)


def test_a_count_of_tokens_is_a_side_job():
    assert gathered({"messages": [user("Write tests")]}, operation="count_tokens").task is Task.AUXILIARY


@pytest.mark.parametrize(
    ("server", "caller", "header", "effective"),
    [
        (Label.PUBLIC, None, None, Label.PUBLIC),
        (Label.PUBLIC, Label.CONFIDENTIAL, None, Label.CONFIDENTIAL),
        (Label.RESTRICTED, Label.PUBLIC, "public", Label.RESTRICTED),
        (Label.INTERNAL, Label.CONFIDENTIAL, "Restricted", Label.RESTRICTED),
    ],
)
def test_the_highest_label_holds(server: Label, caller: Label | None, header: str | None, effective: Label):
    headers = {} if header is None else {"x-freehold-label": header}
    assert gathered({"messages": [user("hi")]}, headers=headers, caller=Caller(label=caller), label=server).label is effective


@pytest.mark.parametrize(
    ("server", "caller", "header", "effective"),
    [
        (Egress.VENDOR, Egress.VENDOR, None, Egress.VENDOR),
        (Egress.LOCAL, Egress.VENDOR, "vendor", Egress.LOCAL),
        (Egress.VENDOR, Egress.SELF_HOSTED, None, Egress.SELF_HOSTED),
        (Egress.VENDOR, Egress.SELF_HOSTED, "local", Egress.LOCAL),
    ],
)
def test_the_tightest_ceiling_holds(server: Egress, caller: Egress, header: str | None, effective: Egress):
    headers = {} if header is None else {"x-freehold-ceiling": header}
    found = gathered({"messages": [user("hi")]}, headers=headers, caller=Caller(ceiling=caller), ceiling=server)
    assert found.ceiling is effective


@pytest.mark.parametrize("headers", [{"x-freehold-label": "secret"}, {"x-freehold-ceiling": "moon"}, {"x-freehold-label": ""}])
def test_an_unknown_label_or_ceiling_is_refused_rather_than_ignored(headers: dict[str, str]):
    with pytest.raises(FaultError) as caught:
        gathered({"messages": [user("hi")]}, headers=headers)
    assert caught.value.fault.kind is Kind.INVALID_REQUEST
    assert caught.value.fault.param in headers


def test_hints_are_read_from_headers_within_bounds():
    headers = {f"x-freehold-hint-h{number}": "V" * 300 for number in range(30)} | {"x-other": "no"}
    hints = gathered({"messages": [user("hi")]}, headers=headers).hints
    assert len(hints) == 16
    assert set(hints.values()) == {"v" * 200}


def test_embeddings_are_as_long_as_their_longest_input():
    plain = Labelled(Label.INTERNAL, "server")
    found = gather_embeddings("minilm", ["a b c", "d"], ANN, {}, words, plain, exact=True, top={})
    assert (found.prompt_tokens, found.messages, found.operation, found.task) == (3, 2, "embeddings", Task.EMBEDDING)
    assert gather_embeddings("minilm", [], ANN, {}, words, plain, exact=True, top={}, token_inputs=9).prompt_tokens == 9


def test_features_survive_a_round_trip_through_json():
    found = gathered({"messages": [user("hi")]}, headers={"x-freehold-hint-a": "b"})
    assert msgspec.json.decode(msgspec.json.encode(found), type=Features) == found
