"""What `freehold explain --request` says of a body is what the server decides when it gets it."""

import json
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from freehold.cli import explaining
from freehold.cli.show import FailedError
from freehold.config import read_config
from freehold.gateways.fake import FakeRuntime
from freehold.server.endpoints.recorded import RecordedEndpoint
from freehold.server.rehearsal import ENDPOINTS, rehearse
from freehold.server.routes import make_routes
from support.gateway import NO_ENGINE, Serve, base_url, deployment_toml, runtime_toml

MEDIA = "{ chat = false, image_generation = true, transcription = true, speech = true, moderation = true, rerank = true }"
NOT_DECIDED = {"/v1/messages/count_tokens"}
"""A count asks no model, unless it is the very engine that would serve the body at /v1/messages."""
FORM = '--{0}\r\nContent-Disposition: form-data; name="{1}"{2}\r\n\r\n{3}\r\n'
SECRET = "AKIAIOSFODNN7EXAMPLE"
HI = [{"role": "user", "content": "Write a docstring for f"}]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "m", "messages": HI},
    "/v1/responses": {"model": "m", "input": "Write a docstring for f", "store": False},
    "/v1/completions": {"model": "m", "prompt": "def f(", "max_tokens": 9},
    "/v1/messages": {"model": "m", "max_tokens": 9, "system": SECRET, "messages": HI},
    "/api/chat": {"model": "m", "messages": HI, "options": {}},
    "/api/generate": {"model": "m", "prompt": "Write a docstring for f", "options": {}},
    "/v1/embeddings": {"model": "embed", "input": ["a text", SECRET], "service_tier": "priority"},
    "/api/embed": {"model": "embed", "input": "a text", "truncate": False},
    "/api/embeddings": {"model": "embed", "prompt": "a text", "options": {}},
    "/v1/images/generations": {"model": "media", "prompt": "a cat"},
    "/v1/images/edits": {"model": "media", "prompt": "a hat", "image": b"png"},
    "/v1/images/variations": {"model": "media", "image": b"png"},
    "/v1/audio/transcriptions": {"model": "media", "file": b"RIFF"},
    "/v1/audio/translations": {"model": "media", "file": b"RIFF"},
    "/v1/audio/speech": {"model": "media", "input": "say it", "voice": "alloy"},
    "/v1/moderations": {"model": "media", "input": ["is it harmful?", SECRET]},
    "/v1/rerank": {"model": "media", "query": "q", "documents": ["a", "b"]},
}
DECISIVE = (
    "operation",
    "asked_model",
    "messages",
    "images",
    "task",
    "label",
    "label_reason",
    "ceiling",
    "hints",
    "fetches",
    "dearer",
)


def config(url: str) -> str:
    return NO_ENGINE + "".join(
        runtime_toml(name, kind, url)
        + deployment_toml(name, "m", "fake-chat")
        + deployment_toml(name, "embed", "fake-embed", abilities="{ embeddings = true, chat = false }")
        + deployment_toml(name, "media", "fake-media", abilities=MEDIA)
        for name, kind in (("far", "vendor"), ("near", "local"))
    )


def encoded(fields: dict[str, Any]) -> tuple[bytes, str]:
    """The body and its content type."""
    if not any(isinstance(value, bytes) for value in fields.values()):
        return json.dumps(fields).encode(), "application/json"
    parts = (
        FORM.format("cut", name, '; filename="x"', value.decode())
        if isinstance(value, bytes)
        else FORM.format("cut", name, "", value)
        for name, value in fields.items()
    )
    return ("".join(parts) + "--cut--\r\n").encode(), 'multipart/form-data; boundary="cut"'


@pytest.mark.parametrize("headers", [{}, {"x-freehold-label": "internal", "x-freehold-hint-speed": "high"}], ids=["bare", "said"])
async def test_a_rehearsal_decides_what_the_server_decides(serve: Serve, fake: FakeRuntime, headers: dict[str, str]):
    served = await serve(config(base_url(fake)))
    loaded = read_config(config(base_url(fake)), {}, None)
    async with httpx.AsyncClient(base_url=served.url, timeout=60, trust_env=False) as client:
        for endpoint in ENDPOINTS:
            body, kind = encoded(BODIES[endpoint])
            said = {"content-type": kind, **headers}
            answer = await client.post(endpoint, content=body, headers=said)
            decision = served.last().decision
            rehearsed = rehearse(loaded, endpoint, body, said)
            for name in DECISIVE:
                assert getattr(rehearsed.features, name) == getattr(decision.features, name), (endpoint, name, answer.text)
            assert [step.placed.id for step in rehearsed.plan.steps] == [step.deployment for step in decision.steps], endpoint
            assert rehearsed.plan.rejected == decision.rejected, endpoint


def test_whatever_is_decided_can_be_rehearsed() -> None:
    nothing: Any = None
    routes = make_routes(nothing, nothing, nothing, nothing)
    decided = {path for (_, path), endpoint in routes.items() if isinstance(endpoint, RecordedEndpoint)}
    assert {f"/v1{path}" if path == "/rerank" else path for path in decided} - NOT_DECIDED == set(ENDPOINTS) == set(BODIES)


def test_a_body_is_explained_by_what_it_looks_like_or_by_where_it_is_said_to_go(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "freehold.toml"
    place.write_text(f"[discovery]\nlocal = false\nvendors = false\n{config('http://127.0.0.1:1/v1')}")
    body = tmp_path / "body"

    def told(*, fails: int | None = None, **options: Any) -> Any:
        asked = {"endpoint": None, "wire_format": None, "headers": [], "as_json": fails is None} | options
        if fails is None:
            explaining.dry_run(place, body, **asked)
            return json.loads(capsys.readouterr().out)
        with pytest.raises(FailedError) as failed:
            explaining.dry_run(place, body, **asked)
        assert failed.value.code == fails
        return str(failed.value)

    for endpoint in ("/v1/embeddings", "/v1/audio/transcriptions"):
        body.write_bytes(encoded(BODIES[endpoint])[0])
        said = told()
        assert (said["endpoint"], said["is_guessed"]) == (endpoint, True)
        assert said["steps"][0]["deployment"].startswith("near/")
    said = told(endpoint="/v1/audio/translations")
    assert (said["endpoint"], said["is_guessed"]) == ("/v1/audio/translations", False)
    assert "it was taken for a request to /v1/audio/transcriptions" in told(fails=1, headers=["content-type: text/plain"])
    body.write_bytes(msgspec.json.encode({"model": "nobody-knows", "input": "hi"}))
    assert "/v1/responses, /v1/embeddings" in told(fails=2)
    body.write_bytes(b'{"model": "m"}')
    assert "looks like no request" in told(fails=2)
    assert "/v1/rerank" in told(fails=2, endpoint="/v1/files")
    assert "give one" in told(fails=2, endpoint="/v1/responses", wire_format="ollama")
    assert "loads a model" in told(fails=1, endpoint="/api/chat")
