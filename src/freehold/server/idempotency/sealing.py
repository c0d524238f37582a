"""Keeps an answer so that only who sends the key again can read it.

Prompts and answers are not stored unless somebody asks for it, and a client's key does not ask for that: so what lies in the
store is encrypted under the client's own key, of which the store has a hash only. BLAKE3 in keyed mode is a pseudorandom
function of any output length (O'Connor, Aumasson, Neves, Wilcox-O'Hearn, "BLAKE3", 2020, sections 2.6 and 4): its output is
the key stream, and the tag over what was encrypted (encrypt, then authenticate). Each answer has keys of its own, made with a
fresh salt and the request it belongs to. Not promised: anything against who can guess the client's key.
"""

import hmac
import zlib

import msgspec
from blake3 import blake3

from freehold.fault import Kind
from freehold.record import Outcome

SALT_BYTES = 32
_TAG_BYTES = 32
_encoder, _LEVEL = msgspec.msgpack.Encoder(), 1


class KeptAnswer(msgspec.Struct, frozen=True, array_like=True):
    """What a client was answered."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    streams: bool
    """It was sent piece by piece."""
    is_whole: bool
    """Its end was sent; False: the connection broke off, for want of another way to tell."""
    outcome: Outcome
    fault: Kind | None
    """The kind, where it is one."""


_decoder = msgspec.msgpack.Decoder(KeptAnswer)


def seal(answer: KeptAnswer, root: bytes, request_id: str, salt: bytes) -> bytes:
    """The answer to `request_id` as it may be kept; `salt` is `SALT_BYTES` that were never used before."""
    plain = zlib.compress(_encoder.encode(answer), _LEVEL)
    stream_key, tag_key = _keys(root, request_id, salt)
    hidden = _mix(plain, stream_key)
    return salt + blake3(hidden, key=tag_key).digest(_TAG_BYTES) + hidden


def unseal(sealed: bytes, root: bytes, request_id: str) -> KeptAnswer | None:
    """The answer; None: it was not sealed with this key, or is damaged."""
    salt, tag, hidden = sealed[:SALT_BYTES], sealed[SALT_BYTES : SALT_BYTES + _TAG_BYTES], sealed[SALT_BYTES + _TAG_BYTES :]
    stream_key, tag_key = _keys(root, request_id, salt)
    if not hmac.compare_digest(tag, blake3(hidden, key=tag_key).digest(_TAG_BYTES)):
        return None
    return _decoder.decode(zlib.decompress(_mix(hidden, stream_key)))


def _keys(root: bytes, request_id: str, salt: bytes) -> tuple[bytes, bytes]:
    both = blake3(b"seal" + salt + request_id.encode(), key=root).digest(64)
    return both[:32], both[32:]


def _mix(data: bytes, key: bytes) -> bytes:
    size = len(data)
    stream = blake3(b"stream", key=key).digest(size)
    return (int.from_bytes(data, "little") ^ int.from_bytes(stream, "little")).to_bytes(size, "little")
