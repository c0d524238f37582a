"""Keeps an answer so that only who sends the key again can read it.

Prompts and answers are not stored unless somebody asks for it, and a client's key does not ask for that: so what lies in the
store is encrypted (ChaCha20-Poly1305, RFC 8439) under the client's own key, of which the store has a hash only. Each answer has
a key of its own, made with a fresh salt and the request it belongs to, so the nonce may always be the same. Not promised:
anything against who can guess the client's key.
"""

import zlib

import msgspec
from blake3 import blake3

from freehold.fault import Kind
from freehold.record import Outcome

SALT_BYTES = 32
_NONCE = bytes(12)
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
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305  # noqa: PLC0415 - 8 MB, and only for who sends a key

    plain = zlib.compress(_encoder.encode(answer), _LEVEL)
    return salt + ChaCha20Poly1305(_key(root, salt)).encrypt(_NONCE, plain, request_id.encode())


def unseal(sealed: bytes, root: bytes, request_id: str) -> KeptAnswer | None:
    """The answer; None: it was not sealed with this key, or is damaged."""
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305  # noqa: PLC0415 - as above

    salt, hidden = sealed[:SALT_BYTES], sealed[SALT_BYTES:]
    try:
        plain = ChaCha20Poly1305(_key(root, salt)).decrypt(_NONCE, hidden, request_id.encode())
    except InvalidTag:
        return None
    return _decoder.decode(zlib.decompress(plain))


def _key(root: bytes, salt: bytes) -> bytes:
    return blake3(b"seal" + salt, key=root).digest()
