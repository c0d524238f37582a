"""Keeps callers apart in an engine's prompt cache: a salt that is the caller's own is sent with each request.

Engines answer sooner, and say so in `cached_tokens`, where a prompt begins as an earlier one did, whoever sent that. So anybody could
find out, guess by guess, what others asked. vLLM and SGLang look only at prompts with the same `cache_salt`. Pure.
"""

from base64 import urlsafe_b64encode

import msgspec
from blake3 import blake3

from freehold.features import Caller

_CONTEXT = b"freehold prompt caches"
_BYTES = 18
"""24 characters."""


def salt_of(caller: Caller, secret: bytes) -> msgspec.Raw:
    """The salt as JSON: the same for every request of this caller, nobody else's, and not to be worked out without the secret."""
    named = msgspec.json.encode((caller.key, caller.user))
    salt = blake3(_CONTEXT + blake3(secret).digest() + named).digest(_BYTES)
    return msgspec.Raw(b'"%s"' % urlsafe_b64encode(salt))
