"""Spells the models a client may ask for, in OpenAI's and in Anthropic's form.

Sources: OpenAI's `Model` and `ListModelsResponse` schemas; Anthropic's models API with its page fields. The caller chooses
the form by the `anthropic-version` header. Nothing is known here of a model but its id.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from freehold.fault import Kind, faulty

OWNER = "freehold"
MOST_LISTED = 1000
"""The largest page Anthropic's API gives."""

_encode = msgspec.json.Encoder().encode


def list_models(
    ids: Sequence[str],
    *,
    anthropic: bool = False,
    created_s: int = 0,
    limit: int | None = None,
    after_id: str | None = None,
    before_id: str | None = None,
) -> bytes:
    """All models in the order given. The page fields exist in Anthropic's form only.

    Raises FaultError(INVALID_REQUEST) for a limit out of 1..1000 and for a cursor that names no model.
    """
    if not anthropic:
        return _encode({"object": "list", "data": [_spell(model_id, created_s) for model_id in ids]})
    page, has_more = _cut(ids, limit, after_id, before_id)
    return _encode(
        {
            "data": [_spell_anthropic(model_id, created_s) for model_id in page],
            "has_more": has_more,
            "first_id": page[0] if page else None,
            "last_id": page[-1] if page else None,
        }
    )


def one_model(model_id: str, *, anthropic: bool = False, created_s: int = 0) -> bytes:
    """One model."""
    return _encode((_spell_anthropic if anthropic else _spell)(model_id, created_s))


def _spell(model_id: str, created_s: int) -> dict[str, Any]:
    return {"id": model_id, "object": "model", "created": created_s, "owned_by": OWNER}


def _spell_anthropic(model_id: str, created_s: int) -> dict[str, Any]:
    created_at = datetime.fromtimestamp(created_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": "model", "id": model_id, "display_name": model_id, "created_at": created_at, "lifecycle": "active"}


def _cut(ids: Sequence[str], limit: int | None, after_id: str | None, before_id: str | None) -> tuple[Sequence[str], bool]:
    """One page, and whether more lies behind it in the direction of reading."""
    if limit is not None and not 1 <= limit <= MOST_LISTED:
        raise faulty(Kind.INVALID_REQUEST, f"limit: must be between 1 and {MOST_LISTED}", param="limit")
    size = MOST_LISTED if limit is None else limit
    if before_id is not None:
        before = ids[: _find(ids, "before_id", before_id)]
        return before[-size:], len(before) > size
    rest = ids if after_id is None else ids[_find(ids, "after_id", after_id) + 1 :]
    return rest[:size], len(rest) > size


def _find(ids: Sequence[str], param: str, cursor: str) -> int:
    if cursor not in ids:
        raise faulty(Kind.INVALID_REQUEST, f"{param}: there is no model of this id", param=param)
    return list(ids).index(cursor)
