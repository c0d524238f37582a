"""No runtime of ours is sent an address to fetch from, by any route; and what a request says cannot steer an engine.

A vendor is sent addresses as before: it fetches them at home. The local deployment would take every one of these requests.
"""

import itertools
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from freehold.gateways.fake import FakeRuntime
from support.every_route import BODIES, DECIDED, FORMS, MEDIA
from support.gateway import NO_ENGINE, Serve, Served, base_url, deployment_toml, runtime_toml

AWAY = "http://images.example/a.png"
PART = {"type": "image_url", "image_url": {"url": AWAY}}
LOOK = [{"role": "user", "content": [{"type": "text", "text": "look"}, PART]}]
NAMING: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": LOOK},
    "/v1/messages": {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": AWAY}}]}]},
    "/v1/responses": {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": AWAY}]}]},
    "/v1/completions": {"image_url": AWAY},
    "/api/chat": {"messages": [{"role": "user", "content": "look", "images": [AWAY]}]},
    "/api/generate": {"images": [AWAY]},
    "/v1/embeddings": {"messages": LOOK},
    "/v1/images/generations": {"images": [{"image_url": AWAY}]},
    "/v1/audio/speech": {"ref_audio": AWAY},
    "/v1/moderations": {"input": [PART]},
    "/v1/rerank": {"documents": [{"image": AWAY}]},
    "/rerank": {"documents": [{"image": AWAY}]},
}
"""What each route's body has beside, or instead."""
REWRITTEN = {"/api/embed", "/api/embeddings"}
"""What is sent is made anew from a text alone."""


def config(fake: FakeRuntime, kind: str, **more: str) -> str:
    formats = '["openai_chat", "openai_responses", "openai_completions", "anthropic_messages", "ollama"]'
    every = "{ context = 100000, tools = true, images = true, completion = true }"
    return "\n".join(
        [
            NO_ENGINE,
            runtime_toml("box", kind, base_url(fake), formats=formats, **more),
            deployment_toml("box", "m", "fake-chat", abilities=every),
            deployment_toml("box", "embed", "fake-embed", abilities="{ embeddings = true, chat = false }"),
            deployment_toml("box", "media", "fake-media", abilities=MEDIA),
        ]
    )


async def ask(served: Served, path: str, **more: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False) as client:
        if path in FORMS:
            fields = {"model": "media", "prompt": "x", **more}
            return await client.post(path, data=fields, files={FORMS[path][0]: ("a.png", b"a picture", "image/png")})
        return await client.post(path, json={**BODIES[path]("look"), **more})


@pytest.mark.parametrize("kind", ["local", "self_hosted"])
async def test_no_route_sends_an_address_to_a_runtime_of_ours(kind: str, serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake, kind))
    assert sorted([*NAMING, *REWRITTEN, *FORMS]) == DECIDED
    stays = {"/v1/embeddings"} if kind == "self_hosted" else set()  # by a rule that is there unless the file says otherwise
    for path in sorted({*NAMING, *FORMS} - stays):
        refused = await ask(served, path, **NAMING.get(path, {"url": AWAY}))
        assert refused.status_code == 403, f"{path}: {refused.text}"
        assert "data: URL" in refused.text
    assert not fake.journal
    assert served.last().decision.features.fetches == 1


async def test_a_vendor_is_sent_it_and_so_is_an_engine_that_may_fetch_unless_the_request_stays_here(
    serve: Serve, fake: FakeRuntime, tmp_path: Path
) -> None:
    vendor = await serve(config(fake, "vendor"), home=tmp_path / "vendor")
    served = await serve(config(fake, "local", quirks='["fetches"]'), home=tmp_path / "local")
    for one in (vendor, served):
        assert (await ask(one, "/v1/chat/completions", messages=LOOK)).status_code == 200
    assert [AWAY.encode() in received.body for received in fake.journal] == [True, True]
    async with httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False) as client:
        asked = {**BODIES["/v1/chat/completions"]("look"), "messages": LOOK}
        stays = await client.post("/v1/chat/completions", json=asked, headers={"x-freehold-ceiling": "self_hosted"})
    assert (stays.status_code, len(fake.journal)) == (403, 2)


async def test_no_route_passes_on_what_would_steer_an_engine(serve: Serve, fake: FakeRuntime) -> None:
    served = await serve(config(fake, "local"))
    for path, name in zip(DECIDED, itertools.cycle(("kv_transfer_params", "base_url", "MODEL", "models", "Model")), strict=False):
        refused = await ask(served, path, **{name: "gpt-oss:120b-cloud"})
        assert refused.status_code == 400, f"{path} {name}: {refused.text}"
        assert name in refused.text
    assert not fake.journal


async def test_a_runtime_of_ours_is_offered_no_search_that_it_would_run_itself(
    serve: Serve, fake: FakeRuntime, tmp_path: Path
) -> None:
    """Codex offers one in every request, so it is served without; a Messages client asks for a search, so it is told."""
    mine = {"type": "function", "name": "mine", "parameters": {"type": "object"}}
    asked = {"tools": [{"type": "web_search"}, mine], "tool_choice": {"type": "web_search"}}
    for kind, offered in (("local", ["mine"]), ("vendor", [None, "mine"])):
        served = await serve(config(fake, kind), home=tmp_path / kind)
        answer = await ask(served, "/v1/responses", **asked)
        assert answer.status_code == 200, answer.text
        sent = json.loads(fake.journal[-1].body)
        assert [tool.get("name") for tool in sent["tools"]] == offered
        assert (sent["tool_choice"] == "auto") == (kind == "local")
        assert ("search_left_out" in served.last().attempts[0].edits) == (kind == "local")
        search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}
        answer = await ask(served, "/v1/messages", tools=[search])
        assert answer.status_code == (403 if kind == "local" else 200), answer.text
