"""Identity: who asks, from the headers of a request, and whether their key may do what they ask for.

Promised: where keys are asked for, only a presented key gives an identity; what looks like a key of ours must be one,
also where none is asked for; every failure of a look-up is the same fault. Nothing is read from disk here.

On time: a key is found by the digest of what was presented, in a table by digest. An attacker who measures the look-up
learns about digests of guesses, and a guess with a wanted digest cannot be made (that is a preimage of BLAKE3), so a
comparison in constant time of all rows would hide nothing and cost a microsecond for every ten keys.

Not done: deciding whether a server may run without keys (the configuration allows that on loopback only).
"""

from collections.abc import Mapping

import msgspec
from blake3 import blake3

from freehold.fault import Fault, FaultError, Kind, faulty
from freehold.features import Caller, Right
from freehold.routing.detectors.own_keys import PREFIX
from freehold.secret import Secret

LOCAL, SERVER, NOBODY = "local", "server", "nobody"
"""Names of keys that are none of the store's: of the local user on a keyless loopback, the server's own, and of requests
that were denied before anybody was identified."""
NEVER_ENDS_MS = 2**62
LONGEST_KEY = 1024
"""Characters. Whatever is longer is no key, and is not hashed to find that out."""
SHORTEST_KEY_CHARS = 8
_REMEDY = "send a key as `authorization: Bearer KEY` or `x-api-key: KEY`"


class Opening(msgspec.Struct, frozen=True):
    """What a key opens, and until when."""

    caller: Caller
    ends_ms: int = NEVER_ENDS_MS
    """Unix milliseconds."""
    administers: bool = False
    """May change keys, whatever its rights say."""


class KeyTable(msgspec.Struct, frozen=True):
    """Keys by the digest of their secret. An empty table refuses everybody."""

    by_digest: Mapping[bytes, Opening] = {}
    by_name: Mapping[str, Opening] = {}
    """The same without their secrets: for work that goes on after its request."""


def make_key(secret: Secret, opening: Opening) -> KeyTable:
    """A table of one. Raises ValueError for a key too short to be one."""
    value = secret.reveal().strip()
    if len(value) < SHORTEST_KEY_CHARS:
        raise ValueError(
            f"the key {opening.caller.key!r} is shorter than {SHORTEST_KEY_CHARS} characters; make one with `openssl rand -hex 24`"
        )
    return KeyTable({digest_of(value): opening}, {opening.caller.key: opening})


def digest_of(value: str) -> bytes:
    """What is kept of a secret. Secrets are long and drawn by chance, so one fast hash keeps them: there is nothing to guess."""
    try:
        data = value.encode()
    except UnicodeEncodeError:  # naming an error handler makes every encoding slower than the hash
        data = value.encode("utf-8", "surrogateescape")
    return blake3(data).digest()


class Register:
    """The virtual keys of this process, and who is who. `virtual` is replaced as a whole."""

    def __init__(self) -> None:
        self.virtual = KeyTable()
        self.is_stale = False
        """The store could not be asked for so long that a key in the table may have been revoked."""

    def identify(self, headers: Mapping[str, str], right: Right | None, keys: KeyTable | None, now_ms: int) -> Caller:
        """The caller. `headers` have lower-case names; `keys` are the server's own, None: who sends no key is the local user.

        `right` is what the endpoint takes, None: any key will do. Raises FaultError: UNAUTHENTICATED when no key was sent,
        one that opens nothing (any more), or two that belong to different callers; FORBIDDEN when the key may not do this.
        """
        found: Opening | None = None
        for presented in _presented(headers):
            opening = self._look_up(presented, keys, now_ms)
            if opening is None:
                if PREFIX in presented:
                    raise _refusal("the key is unknown, expired or revoked")
                continue
            if found is not None and opening.caller != found.caller:
                raise _refusal("two keys of different callers were sent")
            found = opening
        return require(found or self._without_key(keys), right)

    def standing(self, caller: Caller, right: Right | None, keys: KeyTable | None, now_ms: int) -> Caller:
        """The caller of an earlier request as its key stands now. Raises FaultError as `identify`."""
        if caller.key == LOCAL:
            return require(self._without_key(keys), right)
        if caller.key == SERVER:
            opening = None if keys is None else keys.by_name.get(SERVER)
        else:
            self._require_fresh()
            opening = self.virtual.by_name.get(caller.key)
        if opening is None or now_ms >= opening.ends_ms or opening.caller.user != caller.user:
            raise _refusal(f"the key {caller.key!r} that this was asked with is no longer valid here")
        return require(opening, right)

    def _without_key(self, keys: KeyTable | None) -> Opening:
        if keys is None:
            return _LOCAL_USER
        raise _refusal("no key, or an unknown one, was sent")

    def _look_up(self, presented: str, keys: KeyTable | None, now_ms: int) -> Opening | None:
        is_virtual = presented.startswith(PREFIX)
        if len(presented) > LONGEST_KEY or (keys is None and not is_virtual):
            return None
        digest = digest_of(presented)
        opening = None if keys is None else keys.by_digest.get(digest)
        if opening is None and is_virtual:
            self._require_fresh()
            opening = self.virtual.by_digest.get(digest)
        return opening if opening is not None and now_ms < opening.ends_ms else None

    def _require_fresh(self) -> None:
        if self.is_stale:
            message = "virtual keys cannot be checked now: their store does not answer; the log says why"
            raise FaultError(Fault(kind=Kind.LEDGER_BEHIND, message=message, retry_after_s=1.0))


_LOCAL_USER = Opening(Caller())


def require(opening: Opening, right: Right | None) -> Caller:
    """The caller, where the key may do this. Raises FaultError(FORBIDDEN)."""
    caller = opening.caller
    named = None if caller.rights is None else caller.rights.operations
    if right is None or (named is None and right != "admin") or (named is not None and right in named):
        return caller
    if right == "admin" and opening.administers:
        return caller
    if caller.key == LOCAL:
        raise _refusal("keys are changed with a key that may do that, also on this machine; `freehold key` needs none")
    may = "everything but admin" if named is None else ", ".join(named) or "nothing"
    raise faulty(Kind.FORBIDDEN, f"the key {caller.key!r} may not do this: it takes {right}, and the key may do {may}")


def _presented(headers: Mapping[str, str]) -> list[str]:
    """The keys a request shows: some clients send both headers, of which one may hold a placeholder."""
    presented = []
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        token = token.strip(" \t")
        if token and scheme.lower() == "bearer":
            presented.append(token)
    api_key = headers.get("x-api-key")
    if api_key is not None and (api_key := api_key.strip(" \t")):
        presented.append(api_key)
    return presented


def _refusal(why: str) -> FaultError:
    return faulty(Kind.UNAUTHENTICATED, f"{why}; {_REMEDY}")
