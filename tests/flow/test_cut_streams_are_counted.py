"""What a stream said before it was cut is on the bill, however its vendor packs it; and a count says whether it is an estimate."""

import sqlite3
from contextlib import closing

import httpx
import pytest

from freehold.fit.tokens import load_counter
from freehold.gateways.fake import Act, FakeRuntime
from support.gateway import NO_ENGINE, Serve, base_url, deployment_toml, runtime_toml
from support.packed_streams import SAID, one_by_one, spelled


def cut(name: str, said: list[str]) -> Act:
    """A stream that ends there, without a word of usage."""
    kind = "application/x-ndjson" if name == "ollama" else "text/event-stream"
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    body = b"".join(spelled(name, said))
    pieces = [body[at : at + 700] for at in range(0, len(body), 700)]
    return Act(raw=head + b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces))


PATHS = {
    "openai_chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}),
    "anthropic_messages": ("/v1/messages", {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4000}),
    "openai_responses": ("/v1/responses", {"input": "hi"}),
    "ollama": ("/api/chat", {"messages": [{"role": "user", "content": "hi"}]}),
}
ONE_BY_ONE = one_by_one(10)


@pytest.mark.parametrize("upstream", PATHS)
@pytest.mark.parametrize("client", ["openai_chat", "anthropic_messages"])
@pytest.mark.parametrize("said", [SAID, ONE_BY_ONE], ids=["many tokens an event", "one token an event"])
async def test_a_cut_stream_is_charged_by_what_it_said(serve: Serve, upstream: str, client: str, said: list[str]) -> None:
    runtime = FakeRuntime(lambda _received: cut(upstream, said))
    await runtime.start()
    try:
        config = runtime_toml("cloud", "vendor", base_url(runtime), formats=f'["{upstream}"]')
        price = "{ input_usd_per_mtok = 3.0, output_usd_per_mtok = 15.0 }"
        served = await serve(NO_ENGINE + config + deployment_toml("cloud", "m", "m", price=price))
        path, body = PATHS[client]
        async with httpx.AsyncClient(base_url=served.url, timeout=60, trust_env=False) as http:
            answer = await http.post(path, json=body | {"model": "m", "stream": True})
        assert said[-2].strip() in answer.text, "all of it came through"
    finally:
        await runtime.stop()
    attempt = served.last().attempts[0]
    assert (attempt.end, attempt.usage.basis, attempt.cost_basis) == ("cut", "estimated", "estimated")
    true = load_counter("o200k_base").count("".join(said))
    counted = attempt.usage.output_tokens
    if said is ONE_BY_ONE:
        assert abs(counted - len(said)) <= 3
    else:
        assert 0.9 * true <= counted <= 1.6 * true, (counted, true)


async def test_an_estimate_is_never_more_than_was_allowed_and_reserved(serve: Serve) -> None:
    runtime = FakeRuntime(lambda _received: cut("openai_chat", SAID))
    await runtime.start()
    try:
        price = "{ input_usd_per_mtok = 3.0, output_usd_per_mtok = 15.0 }"
        budget = '[[budgets]]\nname = "team"\nwindow = "total"\nusd = 1.0\n'
        config = runtime_toml("cloud", "vendor", base_url(runtime)) + deployment_toml("cloud", "m", "m", price=price)
        served = await serve(NO_ENGINE + config + budget)
        _, body = PATHS["openai_chat"]
        async with httpx.AsyncClient(base_url=served.url, timeout=60, trust_env=False) as http:
            await http.post("/v1/chat/completions", json=body | {"model": "m", "stream": True, "max_tokens": 800})
        await served.app.budgets.idle()
    finally:
        await runtime.stop()
    assert served.last().attempts[0].usage.output_tokens == 800, "by its length alone it would be a third more than it is"
    with closing(sqlite3.connect(served.app._store.removeprefix("sqlite:///"))) as store:
        assert store.execute("SELECT * FROM money_flags").fetchall() == []


async def test_a_count_says_whether_it_is_an_estimate(serve: Serve) -> None:
    runtime = runtime_toml("v", "local", "http://127.0.0.1:9/v1")
    served = await serve(NO_ENGINE + runtime + deployment_toml("v", "gpt-4o", "gpt-4o") + deployment_toml("v", "m", "m"))
    bases = {}
    for model in ("gpt-4o", "m"):
        counted = await served.anthropic().messages.with_raw_response.count_tokens(
            model=model, messages=[{"role": "user", "content": "how many are these?"}]
        )
        bases[model] = counted.headers["x-freehold-usage-basis"]
        assert (await counted.parse()).input_tokens > 4
    assert bases == {"gpt-4o": "measured", "m": "estimated"}
