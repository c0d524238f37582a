"""A gateway in front of a priced vendor, asked with one idempotency key."""

from typing import Any

import httpx

from freehold.gateways.fake import Act, FakeRuntime
from support.every_route import MEDIA
from support.gateway import NO_ENGINE, Served, base_url, deployment_toml, runtime_toml

PRICE = (
    "{ input_usd_per_mtok = 1.0, output_usd_per_mtok = 1.0, request_usd = 0.001, "
    "audio_input_usd_per_mtok = 2.0, audio_output_usd_per_mtok = 2.0 }"
)
KEY = {"idempotency-key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}


def config(fake: FakeRuntime, more: str = "", kind: str = "vendor") -> str:
    price = {"price": PRICE} if kind == "vendor" else {"free": "true"}
    return "\n".join(
        [
            NO_ENGINE + "rules = false",
            runtime_toml("cloud", kind, base_url(fake)),
            deployment_toml("cloud", "m", "fake-chat", **price),
            deployment_toml("cloud", "embed", "fake-embed", abilities="{ embeddings = true, chat = false }", **price),
            deployment_toml("cloud", "media", "fake-media", abilities=MEDIA, **price),
            more,
        ]
    )


def numbered(fake: FakeRuntime) -> None:
    """Each call upstream is answered differently, so that an answer given again shows."""
    fake._script = lambda received: Act(say=f"answer {received.number}")


def scripted(fake: FakeRuntime, *acts: Act) -> None:
    """One act for each call, in order; the last one for all that follow."""
    fake._script = lambda received: acts[min(received.number, len(acts)) - 1]


async def post(served: Served, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=served.url, timeout=60, trust_env=False) as client:
        return await client.post(path, json=body, headers={**KEY, **{n.replace("_", "-"): v for n, v in headers.items()}})


def chat(text: str = "hi", **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


async def chats(served: Served, text: str = "hi", **headers: str) -> httpx.Response:
    return await post(served, "/v1/chat/completions", chat(text), **headers)


def is_again(answer: httpx.Response, first: httpx.Response) -> bool:
    """Whether it is the same answer, and says so."""
    told = answer.headers.get("x-freehold-first-request-id") == first.headers["x-freehold-request-id"]
    own = answer.headers["x-freehold-request-id"] != first.headers["x-freehold-request-id"]
    same = (answer.status_code, answer.content, answer.headers["content-type"]) == (
        first.status_code,
        first.content,
        first.headers["content-type"],
    )
    return told and own and same and answer.headers["idempotent-replayed"] == "true"
