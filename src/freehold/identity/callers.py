"""Identity: who asks, from the headers of a request.

Promised: with keys configured, only a presented key gives an identity, compared in constant time against all of
them; every failure is the same fault. Not done: deciding whether a server may run without keys (the server only
allows that on loopback), and rights finer than a caller's ceiling and label.
"""

from collections.abc import Mapping
from hmac import compare_digest

import msgspec
from blake3 import blake3

from freehold.fault import FaultError, Kind, faulty
from freehold.features import Caller
from freehold.secret import Secret

_REMEDY = "send the server's key as `authorization: Bearer KEY` or `x-api-key: KEY`"


class Key(msgspec.Struct, frozen=True):
    """One key, kept as its digest only."""

    digest: bytes
    caller: Caller


class KeyTable(msgspec.Struct, frozen=True):
    """Every key this server knows. An empty table refuses everybody."""

    keys: tuple[Key, ...]


def make_key(secret: Secret, caller: Caller) -> Key:
    """A row of the table. Raises ValueError for a key too short to be one."""
    value = secret.reveal().strip()
    if len(value) < 8:
        raise ValueError(f"the key {caller.key!r} is shorter than 8 characters; make one with `openssl rand -hex 24`")
    return Key(_digest(value), caller)


def identify(headers: Mapping[str, str], keys: KeyTable | None) -> Caller:
    """The caller. `headers` have lower-case names; `keys` None means a keyless loopback, where everyone is the local user.

    Raises FaultError(UNAUTHENTICATED) when no key was sent, an unknown one, or two that belong to different callers.
    """
    if keys is None:
        return _LOCAL_USER
    found: Caller | None = None
    for presented in _presented(headers):
        caller = _look_up(presented, keys)
        if caller is None:
            continue
        if found is not None and caller != found:
            raise _refusal("two keys of different callers were sent")
        found = caller
    if found is None:
        raise _refusal("no key, or an unknown one, was sent")
    return found


_LOCAL_USER = Caller()


def _presented(headers: Mapping[str, str]) -> list[str]:
    """The keys a request shows: some clients send both headers, of which one may hold a placeholder."""
    presented = []
    authorization = headers.get("authorization", "")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        presented.append(token.strip())
    api_key = headers.get("x-api-key", "").strip()
    if api_key:
        presented.append(api_key)
    return presented


def _look_up(presented: str, keys: KeyTable) -> Caller | None:
    """Whose key it is. Every row is compared, so that the time tells nothing about which one matched."""
    digest = _digest(presented)
    found: Caller | None = None
    for key in keys.keys:
        if compare_digest(digest, key.digest):
            found = key.caller
    return found


def _digest(value: str) -> bytes:
    """Keys are long and random, so one fast hash is enough to keep their text out of memory and dumps."""
    return blake3(value.encode("utf-8", "surrogateescape")).digest()


def _refusal(why: str) -> FaultError:
    return faulty(Kind.UNAUTHENTICATED, f"{why}; {_REMEDY}")
