"""Every route that asks a model, with a body for it; a test of the table of routes fails where one is missing here."""

from typing import Any

import httpx

from freehold.gateways.fake.media import draw
from freehold.server.openapi.operations import OPERATIONS
from support.gateway import Served

MEDIA = "{ chat = false, image_generation = true, transcription = true, speech = true, moderation = true, rerank = true }"
BODIES: dict[str, Any] = {
    "/v1/chat/completions": lambda text: {"model": "m", "messages": [{"role": "user", "content": text}]},
    "/v1/messages": lambda text: {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": text}]},
    "/v1/responses": lambda text: {"model": "m", "input": text},
    "/v1/completions": lambda text: {"model": "m", "prompt": text},
    "/api/chat": lambda text: {"model": "m", "stream": False, "messages": [{"role": "user", "content": text}]},
    "/api/generate": lambda text: {"model": "m", "stream": False, "prompt": text},
    "/v1/embeddings": lambda text: {"model": "embed", "input": ["x", text]},
    "/api/embed": lambda text: {
        "model": "embed",
        "input": [text, "a longer text than the other one, which is all that is counted " * 3],
    },
    "/api/embeddings": lambda text: {"model": "embed", "prompt": text},
    "/v1/images/generations": lambda text: {"model": "media", "prompt": text},
    "/v1/audio/speech": lambda text: {"model": "media", "input": "x", "voice": "alloy", "instructions": text},
    "/v1/moderations": lambda text: {"model": "media", "input": [text]},
    # The short document is not the one that counts as the prompt; it must be looked through all the same.
    "/v1/rerank": lambda text: {"model": "media", "query": "x", "documents": [text, "a longer document " * 20]},
    "/rerank": lambda text: {"model": "media", "query": "x", "documents": [{"text": text}, "a longer document " * 20]},
}
FORMS: dict[str, tuple[str, str]] = {
    "/v1/images/edits": ("image", "prompt"),
    "/v1/images/variations": ("image", "user"),
    "/v1/audio/transcriptions": ("file", "prompt"),
    "/v1/audio/translations": ("file", "prompt"),
}
"""The file's field, and one that holds a text."""
DECIDED = sorted(path for (method, path), operation in OPERATIONS.items() if method == "POST" and operation.decides)


async def ask(served: Served, path: str, text: str, headers: dict[str, str] | None = None) -> httpx.Response:
    async with httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False, headers=headers or {}) as client:
        if path in FORMS:
            file, field = FORMS[path]
            said = {"model": "media", field: text, **({"prompt": "x"} if path.endswith("edits") and field != "prompt" else {})}
            return await client.post(path, data=said, files={file: ("a.png", draw(b"a picture"), "image/png")})
        return await client.post(path, json=BODIES[path](text))
