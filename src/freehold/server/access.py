"""What every route takes of a key: one entry per route, or the server does not start.

Endpoints ask `Intake.identify` for what stands here; generated tests hold the two together (tests/flow/test_access.py).
`"open"` answers anybody, `None` asks for a key and takes nothing of it. A path that ends in an id has its prefix here.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from freehold.features import Right
from freehold.wire.singles.shape import SingleOperation

Access = Right | Literal["open"] | None

_RIGHTS: dict[SingleOperation, Right] = {
    "image_generation": "images",
    "transcription": "audio",
    "speech": "audio",
    "moderation": "moderation",
    "rerank": "rerank",
}

ACCESS: Mapping[str, Access] = {
    "/": "open",
    "/healthz": "open",
    "/readyz": "open",
    "/api/hello": "open",
    "/openapi.json": "open",
    "/v1/chat/completions": "chat",
    "/v1/responses": "chat",
    "/v1/responses/": "chat",
    "/v1/completions": "chat",
    "/v1/messages": "chat",
    "/v1/messages/count_tokens": "chat",
    "/api/chat": "chat",
    "/api/generate": "chat",
    "/v1/embeddings": "embeddings",
    "/api/embed": "embeddings",
    "/api/embeddings": "embeddings",
    "/v1/images/generations": "images",
    "/v1/images/edits": "images",
    "/v1/images/variations": "images",
    "/v1/audio/transcriptions": "audio",
    "/v1/audio/translations": "audio",
    "/v1/audio/speech": "audio",
    "/v1/moderations": "moderation",
    "/v1/rerank": "rerank",
    "/rerank": "rerank",
    "/v1/files": "files",
    "/v1/files/": "files",
    "/v1/batches": "batches",
    "/v1/batches/": "batches",
    "/v1/models": None,
    "/v1/models/": None,
    "/api/tags": None,
    "/api/ps": None,
    "/api/version": None,
    "/api/show": None,
    "/api/pull": None,
    "/api/push": None,
    "/api/create": None,
    "/api/copy": None,
    "/api/delete": None,
    "/admin/budgets": "admin",
    "/admin/keys": "admin",
    "/admin/keys/": "admin",
}

PAID: frozenset[Access] = frozenset(("chat", "embeddings", "images", "audio", "moderation", "rerank", "batches"))
"""What may cost something: a request of such a route is served once under its `Idempotency-Key`."""


def right_of(operation: SingleOperation) -> Right:
    """What an endpoint of this operation takes."""
    return _RIGHTS[operation]


def right_at(path: str) -> Right | None:
    """What the route of this very path takes of a key."""
    access = ACCESS[path]
    assert access != "open"
    return access


def require_rules(paths: Iterable[str]) -> None:
    """Raise ValueError for paths that nobody has said who may ask: such a server must not start."""
    missing = sorted(set(paths) - set(ACCESS))
    if missing:
        raise ValueError(f"server/access.py does not say who may ask {', '.join(missing)}")
