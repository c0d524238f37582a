"""A refused request tried once more, with placeholders for what detectors found, where the policy prefers that.

Promised: what comes out of here was looked through again as any new request; its label is never below what key, header,
dataset or path said, nor below what a detector said whose finding was not replaced. Not done here: finding and replacing
(`routing.redaction`), putting back (`dispatch.restoring`).
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from freehold.fault import FaultError
from freehold.features import LABEL_ORDER, Features
from freehold.routing.detectors.kinds import ERROR, PATH
from freehold.routing.detectors.scanner import ACROSS, Detectors
from freehold.routing.labels import in_words
from freehold.routing.placeholders import Placeholders
from freehold.routing.redaction import redact
from freehold.wire.codec import Codec, Envelope

KEY_BYTES = 32
KEY_FILE = "placeholders.key"


class Left(msgspec.Struct, frozen=True):
    """What redaction left of a request."""

    envelope: Envelope
    features: Features
    placeholders: Placeholders


def leave_out(
    codec: Codec, envelope: Envelope, features: Features, detectors: Detectors, key: bytes, gather: Callable[[Envelope], Features]
) -> Left | None:
    """The request with placeholders; None: it cannot be redacted, or its label would stay what it is.

    `gather` makes features of a body. `key` is 32 secret bytes.
    """
    if not _may_be_redacted(envelope, features):
        return None
    redaction = redact(envelope, detectors, key, features.caller.key, features.caller.user)
    if redaction is None:
        return None
    try:
        left = codec.peek(redaction.body)
        after = gather(left)
    except FaultError:
        return None  # a placeholder stands where the format takes none
    label, reason = after.label, after.label_reason
    for kind in (*redaction.kept, *(one.kind for one in features.findings if one.kind.startswith(PATH))):
        if detectors.rank_of(kind) > LABEL_ORDER[label]:
            label, reason = detectors.label_of(kind), in_words(kind)
    if LABEL_ORDER[label] >= LABEL_ORDER[features.label]:
        return None
    told = msgspec.structs.replace(
        after,
        label=label,
        label_reason=reason,
        label_before=features.label,
        findings=features.findings,
        redacted=redaction.counts,
        session=features.session,
    )
    return Left(left, told, redaction.placeholders)


def _may_be_redacted(envelope: Envelope, features: Features) -> bool:
    """Log probabilities, echoes and token ids come back in pieces that nothing can be put back into."""
    if features.logprobs or envelope.needs_raw or envelope.needs_echo or not features.findings:
        return False
    return not any(one.part == ACROSS or one.kind == ERROR for one in features.findings)


class PlaceholderKey:
    """The secret that placeholders are made with, and kept answers sealed: a file that this machine's workers share.

    It is read when it is first asked for.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / KEY_FILE
        self._key: bytes | None = None

    def get(self) -> bytes:
        """32 bytes. Where no file can be kept: of this process, so that placeholders change when it starts again."""
        if self._key is None:
            self._key = _kept(self._path) or os.urandom(KEY_BYTES)
        return self._key


def _kept(path: Path) -> bytes | None:
    """What the file holds, made where there is none; whoever comes second takes the first one's."""
    with contextlib.suppress(OSError):
        own = path.with_name(f"{path.name}.{os.getpid()}")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                os.write(handle, os.urandom(KEY_BYTES))
            finally:
                os.close(handle)
            with contextlib.suppress(FileExistsError):
                os.link(own, path)
            own.unlink()
        key = path.read_bytes()
        return key if len(key) == KEY_BYTES else None
    return None
