"""Reads the `Idempotency-Key` of a request: which request it is, and whose.

Promised: a key is found only by the caller it came from (virtual key, user, team), at the same path, and under the same
ceiling, label and tags; what is kept to find it by tells nobody the key, what was asked or who asked, unless he can guess the
client's own key. The form on the wire: draft-ietf-httpapi-idempotency-key-header (a quoted string) and the bare text that
everybody sends; both mean the same.
"""

import re
from collections.abc import Iterable, Mapping

import msgspec
from blake3 import blake3

from freehold.dispatch.chat_attempt import PASSED_ON_HEADERS
from freehold.fault import FaultError, Kind, faulty
from freehold.features import Caller
from freehold.identity.tags import PROJECT_HEADER
from freehold.routing.labels import DATASET_HEADER
from freehold.wire.multipart import read_boundary

HEADER = "idempotency-key"
LONGEST = 255
_KEY = re.compile(rf"[!-~]{{1,{LONGEST}}}")
_CONTEXT = "freehold 2026-11 idempotency keys"
_SCOPE_HEADERS = ("x-freehold-ceiling", "x-freehold-label", DATASET_HEADER, PROJECT_HEADER)
_FORM = "multipart/form-data"


class Asked(msgspec.Struct, frozen=True):
    """A request under a key."""

    root: bytes
    """The secret that everything about this key is made from; never kept."""
    digest: str
    """Where it is kept."""
    fingerprint: str
    """What was asked."""


def read_key(headers: Mapping[str, str]) -> str:
    """The key as the client means it. Raises FaultError(INVALID_REQUEST)."""
    said = headers[HEADER].strip()
    if len(said) > 1 and said[0] == said[-1] == '"':
        said = said[1:-1]
    if _KEY.fullmatch(said) is None:
        message = f"header Idempotency-Key: 1 to {LONGEST} printable ASCII characters without blanks, such as a UUID; sent once"
        raise faulty(Kind.INVALID_REQUEST, message, param=HEADER)
    return said


def read_asked(path: str, headers: Mapping[str, str], caller: Caller, body: bytes) -> Asked:
    """What is asked, and under which key. Raises FaultError(INVALID_REQUEST) for what is no key."""
    words = (
        read_key(headers), path, caller.key, caller.user, caller.team, caller.ceiling, caller.label, caller.dataset, caller.project,
        *(headers.get(name) for name in _SCOPE_HEADERS),
    )  # fmt: skip
    root = blake3(msgspec.json.encode(words), derive_key_context=_CONTEXT).digest()
    hasher = blake3(b"fingerprint", key=root)
    for piece in _pieces(headers, body):
        hasher.update(b"%d:" % len(piece) + piece)  # behind its length: no two requests run together into the same bytes
    return Asked(root, blake3(b"digest", key=root).hexdigest(), hasher.hexdigest())


def _pieces(headers: Mapping[str, str], body: bytes) -> Iterable[bytes]:
    """What makes a request the same. A form's boundary is drawn anew for each try, so it stays out."""
    yield from (headers.get(name, "").encode() for name in PASSED_ON_HEADERS)
    content_type = headers.get("content-type", "")
    if not content_type.lower().startswith(_FORM):
        yield body
        return
    try:
        boundary = read_boundary(content_type)
    except FaultError:
        yield body  # who reads the form says what is wrong with it
        return
    yield from body.split(b"--" + boundary)
