"""One small GET to an engine on this machine, to learn whether it answers and what it serves.

The call itself is handed in: sockets are opened by the one connector, for engines of our own too.
"""

from collections.abc import Awaitable, Callable

import msgspec

from freehold.fault import FaultError
from freehold.secret import Secret

Get = Callable[[str, str, Secret, float], Awaitable[bytes]]
"""`(base_url, path, api_key, timeout_s) -> body`. Raises FaultError for anything but a whole answer of status 200."""


class _Meta(msgspec.Struct, frozen=True):
    n_ctx: int | None = None


class _Served(msgspec.Struct, frozen=True):
    id: str
    meta: _Meta | None = None


class _Models(msgspec.Struct, frozen=True):
    data: tuple[_Served, ...]


class NotServingError(Exception):
    """The engine did not answer as it should; the text says how."""


async def served_context(get: Get, base_url: str, api_key: Secret, *, timeout_s: float) -> int | None:
    """Ask `GET /models`: the tokens one request may use, None where the engine does not say.

    Raises NotServingError when there is no proper answer in time.
    """
    try:
        models = msgspec.json.decode(await get(base_url, "/models", api_key, timeout_s), type=_Models)
    except (FaultError, msgspec.DecodeError, ValueError) as error:
        raise NotServingError(f"{base_url}/models gave no proper answer: {type(error).__name__}") from error
    meta = models.data[0].meta if models.data else None
    return None if meta is None else meta.n_ctx
