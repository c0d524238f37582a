"""One small GET to an engine on this machine, to learn whether it answers and what it serves.

Promised: loopback only, bounded in time and size. Deliberately not done: anything else HTTP can do; requests of clients
go to engines through `gateways`, as to every runtime.
"""

import asyncio
from urllib.parse import urlsplit

import msgspec

from freehold.secret import Secret

LOOPBACK = frozenset({"127.0.0.1", "::1"})
ANSWER_BYTES = 1 << 20


class _Meta(msgspec.Struct, frozen=True):
    n_ctx: int | None = None


class _Served(msgspec.Struct, frozen=True):
    id: str
    meta: _Meta | None = None


class _Models(msgspec.Struct, frozen=True):
    data: tuple[_Served, ...]


class NotServingError(Exception):
    """The engine did not answer as it should; the text says how."""


async def served_context(base_url: str, api_key: Secret, *, timeout_s: float) -> int | None:
    """Ask `GET /models`: the tokens one request may use, None where the engine does not say.

    Raises NotServingError when there is no proper answer in time.
    """
    try:
        async with asyncio.timeout(timeout_s):
            body = await _get(f"{base_url}/models", api_key)
        models = msgspec.json.decode(body, type=_Models)
    except (OSError, TimeoutError, EOFError, msgspec.DecodeError, ValueError) as error:
        raise NotServingError(f"{base_url}/models gave no proper answer: {type(error).__name__}") from error
    meta = models.data[0].meta if models.data else None
    return None if meta is None else meta.n_ctx


async def _get(url: str, api_key: Secret) -> bytes:
    parts = urlsplit(url)
    if parts.hostname not in LOOPBACK or parts.port is None:
        raise ValueError("not a loopback address")
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=ANSWER_BYTES)
    try:
        head = f"GET {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\nconnection: close\r\nauthorization: Bearer {api_key.reveal()}\r\n\r\n"
        writer.write(head.encode())
        status_line, *_ = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        body = await reader.read(ANSWER_BYTES)
        while more := await reader.read(ANSWER_BYTES):
            body += more
            if len(body) > ANSWER_BYTES:
                raise ValueError("the answer is too long")
    finally:
        writer.close()
    if status_line.split(b" ", 2)[1:2] != [b"200"]:
        raise ValueError("the status is not 200")
    return body
