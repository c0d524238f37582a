"""What one user did shows to no other: answers that are kept, the place a session stays at, limits, rows and files.

Two users with virtual keys of their own send the very same requests, with the same session id. (Files, batches and keys by
id are in `test_access`, from the table of routes; answers under an Idempotency-Key in `test_idempotency`.) And each memory by
itself, asked by somebody whose key or user is another's: `MEMORIES` names them all.
"""

import itertools
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from freehold.config.settings import SessionSettings
from freehold.dispatch.cache_salt import salt_of
from freehold.fault import FaultError, Kind, faulty
from freehold.features import Caller
from freehold.gateways.fake import Act, FakeRuntime
from freehold.limits.answer_lengths import UNKNOWN_TOKENS, AnswerLengths
from freehold.routing.facts_cache import BlockFacts, FactsCache
from freehold.routing.placeholders import Placeholders
from freehold.server.idempotency.asked import read_asked
from freehold.sessions.loops import Loops
from freehold.sessions.sticky import Sticky
from freehold.wire.formats import CODECS
from support.gateway import NO_ENGINE, Serve, Served, base_url, deployment_toml, runtime_toml
from support.records import features

OWN = "the-servers-own-key"
CACHE = '[[rules]]\nname = "cache"\ntry = ["self_hosted", "vendor"]\ncache = { ttl_s = 60 }\n'
SAME: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "the very same question"}]}


def config(fake: FakeRuntime, other: FakeRuntime, more: str) -> str:
    return (
        '[server]\napi_key = "env:KEY"\n'
        + NO_ENGINE
        + runtime_toml("team", "self_hosted", base_url(fake))
        + runtime_toml("cloud", "vendor", base_url(other))
        + deployment_toml("team", "m", "m")
        + deployment_toml("cloud", "m", "m")
        + '[aliases]\nauto = ["team/m", "cloud/m"]\n'
        + more
    )


async def two_users(served: Served) -> tuple[httpx.AsyncClient, httpx.AsyncClient]:
    made = []
    async with httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False, headers={"x-api-key": OWN}) as admin:
        for name in ("ann", "bob"):
            answer = await admin.post("/admin/keys", json={"name": name})
            assert answer.status_code == 200, answer.text
            made.append(
                httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False, headers={"x-api-key": answer.json()["key"]})
            )
    served.clients += [_Closing(client) for client in made]
    return made[0], made[1]


class _Closing:
    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def close(self) -> None:
        await self._client.aclose()


async def ask(client: httpx.AsyncClient, **headers: str) -> httpx.Response:
    answer = await client.post("/v1/chat/completions", json=SAME, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


async def test_an_answer_kept_for_one_user_is_given_to_no_other(serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime) -> None:
    served = await serve(config(fake, other_fake, CACHE), environ={"KEY": OWN})
    ann, bob = await two_users(served)
    assert "x-freehold-cache" not in (await ask(ann)).headers
    assert (await ask(ann)).headers["x-freehold-cache"] == "hit"
    assert "x-freehold-cache" not in (await ask(bob)).headers
    assert len(fake.journal) == 2


async def test_a_session_id_of_another_user_moves_nobody(serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime) -> None:
    act = [Act(status=503)]
    fake._script = lambda _: act[0]
    order = '[[rules]]\nname = "in order"\ntry = ["self_hosted", "vendor"]\n'
    served = await serve(config(fake, other_fake, order), environ={"KEY": OWN})
    ann, bob = await two_users(served)
    session = {"x-freehold-session": "s-1"}
    assert (await ask(ann, **session)).headers["x-freehold-deployment"] == "cloud/m"
    act[0] = Act()
    assert (await ask(ann, **session)).headers["x-freehold-deployment"] == "cloud/m", "it stays where it was"
    assert (await ask(bob, **session)).headers["x-freehold-deployment"] == "team/m", "and the other's does not follow"


async def test_one_user_over_a_rate_stops_no_other_and_sees_only_his_own(
    serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime
) -> None:
    rate = '[[rates]]\nname = "each"\nper = "user"\nrequests = 2\n'
    served = await serve(config(fake, other_fake, rate), environ={"KEY": OWN})
    ann, bob = await two_users(served)
    left = [(await ask(ann)).headers["x-ratelimit-remaining-requests"] for _ in range(2)]
    assert left == ["1", "0"]
    assert (await ann.post("/v1/chat/completions", json=SAME)).status_code == 429
    assert (await ask(bob)).headers["x-ratelimit-remaining-requests"] == "1"


async def test_every_row_names_the_user_whose_it_is(serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime) -> None:
    served = await serve(config(fake, other_fake, ""), environ={"KEY": OWN})
    ann, bob = await two_users(served)
    await ask(ann, **{"x-freehold-session": "s-1"})
    await ask(bob, **{"x-freehold-session": "s-1"})
    assert [row.caller_user for row in served.rows() if row.operation == "chat"] == ["bob", "ann"]


@pytest.mark.parametrize("path", ["/v1/models", "/readyz", "/healthz", "/openapi.json", "/api/tags", "/api/ps", "/api/version"])
async def test_what_is_told_to_everybody_tells_nothing_of_users(
    path: str, serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime
) -> None:
    served = await serve(config(fake, other_fake, CACHE), environ={"KEY": OWN})
    ann, bob = await two_users(served)
    before = (await bob.get(path)).text
    await ask(ann, **{"x-freehold-session": "a-session-of-ann"})
    after = (await bob.get(path)).text
    assert "a-session-of-ann" not in after
    assert before == after


ANN = Caller(key="ann's laptop", user="ann")
KEY, SECRET = b"k" * 32, "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6"
Look = Callable[[Caller], object]


def sticky() -> Look:
    memory = Sticky(lambda: 0.0)
    memory.set(ANN, "s-1", "team/m")
    return lambda caller: memory.get(caller, "s-1")


def loops() -> Look:
    memory = Loops(KEY, lambda: 0.0, lambda: SessionSettings(same_request_most=2, requests_per_minute=0))
    asked = CODECS["openai_chat"].peek(json.dumps(SAME).encode())

    def is_stopped(caller: Caller) -> bool:
        try:
            memory.admit(features(caller=caller, session="s-1"), asked)
        except FaultError:
            return True
        return False

    while not is_stopped(ANN):
        pass
    return is_stopped


def overflows() -> Look:
    memory = Loops(KEY, lambda: 0.0, lambda: SessionSettings(overflows_most=2)).overflows
    too_long = faulty(Kind.CONTEXT_OVERFLOW, "too long").fault

    def is_stopped(caller: Caller) -> bool:
        return memory.tell(too_long, features(caller=caller, session="s-1"), {}) is not too_long

    while not is_stopped(ANN):
        pass
    return is_stopped


def facts() -> Look:
    memory = FactsCache(KEY)
    block = json.dumps(SAME["messages"][0]).encode()
    facts = BlockFacts(tokens=5, role="user", images=0, tool_calls=0, tool_results=0, tool_errors=0)
    memory.put(memory.digest(block) ^ memory.scope(ANN, "openai_chat"), facts)
    return lambda caller: memory.get(memory.digest(block) ^ memory.scope(caller, "openai_chat"))


def answer_lengths() -> Look:
    memory = AnswerLengths()
    memory.note((ANN.key, ANN.user, None, "m"), 77, was_cut=False)
    return lambda caller: memory.cap((caller.key, caller.user, None, "m")) != UNKNOWN_TOKENS


def kept_answers() -> Look:
    def under_a_key(caller: Caller) -> tuple[str, str]:
        asked = read_asked("/v1/chat/completions", {"idempotency-key": "once"}, caller, json.dumps(SAME).encode())
        return asked.digest, asked.fingerprint

    digest, fingerprint = under_a_key(ANN)
    return lambda caller: digest in under_a_key(caller) or fingerprint in under_a_key(caller)


def placeholders() -> Look:
    def stand_in(caller: Caller) -> str:
        return Placeholders(KEY, caller.key, caller.user, lambda _: False).stand_in("github-token", SECRET)

    made = stand_in(ANN)
    return lambda caller: stand_in(caller) == made


def prompt_caches() -> Look:
    made = salt_of(ANN, KEY)
    return lambda caller: bytes(salt_of(caller, KEY)) == bytes(made)


MEMORIES: dict[str, Callable[[], Look]] = {
    "where a session stays": sticky,
    "what a session asks again and again": loops,
    "what a session sends that does not fit": overflows,
    "what was read and detected in a prompt": facts,
    "how long answers were": answer_lengths,
    "answers under an Idempotency-Key": kept_answers,
    "placeholders of redacted texts": placeholders,
    "the salt of an engine's prompt cache": prompt_caches,
}
"""Each makes a memory of something of Ann's, and gives how to look for it as anybody. (`AnswerCache`: test_answer_cache.)"""
OTHERS = [
    Caller(key="ann's laptop", user="bob"),
    Caller(key="bob's laptop", user="ann"),
    Caller(key="ann's", user=" laptopann"),
    Caller(key="ann's laptopann", user=""),
    Caller(),
]


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("other", OTHERS, ids=lambda caller: f"{caller.key}-{caller.user}")
def test_a_memory_of_one_caller_is_none_of_another_whose_key_or_user_differs(memory: str, other: Caller) -> None:
    look = MEMORIES[memory]()
    assert look(ANN), "it is remembered for whose it is"
    assert not look(other)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/completions"])
async def test_each_user_has_a_salt_of_an_engines_prompt_cache_and_cannot_choose_it(
    path: str, serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime
) -> None:
    runtimes = (
        NO_ENGINE
        + runtime_toml(
            "team", "self_hosted", base_url(fake), formats='["openai_chat", "openai_completions"]', quirks='["cache_salt"]'
        )
        + deployment_toml("team", "m", "m")
        + runtime_toml("cloud", "vendor", base_url(other_fake), formats='["openai_chat", "openai_completions"]')
        + deployment_toml("cloud", "m", "m")
    )
    served = await serve('[server]\napi_key = "env:KEY"\n' + runtimes, environ={"KEY": OWN})
    ann, bob = await two_users(served)
    body = {**SAME, "input": "the very same question", "prompt": "the very same question", "max_tokens": 9}
    body = {name: value for name, value in body.items() if name in FIELDS[path]}
    for client in (ann, ann, bob):
        for stream in (False, True):
            answer = await client.post(path, json={**body, "model": "team/m", "stream": stream})
            assert answer.status_code == 200, answer.text
    salts = [json.loads(one.body)["cache_salt"] for one in fake.journal]
    assert len(set(salts[:4])) == len(set(salts[4:])) == 1
    assert salts[0] != salts[4]
    assert len(salts[0]) == 24
    if path in {"/v1/chat/completions", "/v1/completions"}:
        await bob.post(path, json={**body, "model": "team/m", "cache_salt": salts[0]})
        assert json.loads(fake.journal[-1].body)["cache_salt"] == salts[4]
    await ann.post(path, json={**body, "model": "cloud/m"})
    assert "cache_salt" not in json.loads(other_fake.journal[-1].body)


FIELDS = {
    "/v1/chat/completions": {"messages"},
    "/v1/messages": {"messages", "max_tokens"},
    "/v1/responses": {"input"},
    "/v1/completions": {"prompt"},
}


async def test_what_was_read_of_one_users_prompt_is_read_again_for_another(
    serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime
) -> None:
    served = await serve(config(fake, other_fake, ""), environ={"KEY": OWN})
    ann, bob = await two_users(served)
    cache = served.app.counting.at_hand(None).cache  # type: ignore[union-attr]  # a small prompt has one
    sizes = [len(cache)]
    for client in (ann, ann, bob, bob):
        await ask(client)
        sizes.append(len(cache))
    new = [after - before for before, after in itertools.pairwise(sizes)]
    assert new[0] > 0
    assert new == [new[0], 0, new[0], 0]


async def test_the_same_secret_of_two_users_leaves_as_two_placeholders(
    serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime
) -> None:
    gate = '[[rules]]\nname = "stay"\nwhen = { label = "restricted" }\nallow = { egress = "local" }\nredact = true\n'
    served = await serve(config(fake, other_fake, f'[labels]\nredact = ["secrets"]\n{gate}'), environ={"KEY": OWN})
    ann, bob = await two_users(served)
    fake._script = lambda _: Act(say="done")
    for client in (ann, ann, bob):
        said = {"model": "auto", "messages": [{"role": "user", "content": f"use {SECRET}"}]}
        assert (await client.post("/v1/chat/completions", json=said)).status_code == 200
    left = [json.loads(one.body)["messages"][0]["content"] for one in fake.journal]
    assert left[0] == left[1] != left[2]
    assert not any(SECRET in one for one in left)
