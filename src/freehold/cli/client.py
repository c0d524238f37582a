"""Talks to a running gateway on this machine, through the one connector like everything else."""

from collections.abc import AsyncIterator

import msgspec

from freehold.fault import FaultError
from freehold.gateways.connector import Connector, read_base_url
from freehold.gateways.http import Call, Exchange, Upstreams
from freehold.runtime import Egress
from freehold.secret import Secret
from freehold.server.endpoints.health import Readiness
from freehold.wire.sse import SseSplitter


class _Named(msgspec.Struct, frozen=True):
    id: str


class _Listed(msgspec.Struct, frozen=True):
    """`GET /v1/models`. A fault has no `data`."""

    data: tuple[_Named, ...]


class ModelInfo(msgspec.Struct, frozen=True, rename={"context": "freehold.context_length"}):
    """The part of `/api/show` that tells numbers."""

    context: int | None = None


class Facts(msgspec.Struct, frozen=True):
    """What `/api/show` tells of a name, of that which a caller here wants to know."""

    model_info: ModelInfo = ModelInfo()
    capabilities: tuple[str, ...] = ()
    """In Ollama's words."""


class GatewayClient:
    """One running gateway."""

    def __init__(self, host: str, port: int, key: Secret | None) -> None:
        self.url = url_of(host, port)
        self._address = read_base_url(self.url)
        self._key = key
        self._upstreams = Upstreams(Connector(Egress.LOCAL))

    async def close(self) -> None:
        """Close all connections."""
        await self._upstreams.close()

    async def readiness(self) -> Readiness | None:
        """What `/readyz` says; None: nobody answers there."""
        try:
            exchange = await self._open("GET", "/readyz", b"", head_timeout_s=2.0)
            return msgspec.json.decode(await exchange.read(1 << 20), type=Readiness)
        except (FaultError, msgspec.DecodeError):
            return None

    async def names(self) -> tuple[str, ...] | None:
        """What clients may ask for; None: nobody answers, or not to us."""
        try:
            exchange = await self._open("GET", "/v1/models", b"", head_timeout_s=5.0)
            return tuple(one.id for one in msgspec.json.decode(await exchange.read(4 << 20), type=_Listed).data)
        except (FaultError, msgspec.DecodeError):
            return None

    async def facts_of(self, model: str) -> Facts:
        """What is told of a name; nothing where nobody answers, or nobody knows."""
        try:
            exchange = await self._open("POST", "/api/show", msgspec.json.encode({"model": model}), head_timeout_s=5.0)
            return msgspec.json.decode(await exchange.read(1 << 20), type=Facts)
        except (FaultError, msgspec.DecodeError):
            return Facts()

    async def window_of(self, model: str) -> int | None:
        """The tokens that a request for this name may have at most; None: nobody answers, or nobody knows."""
        return (await self.facts_of(model)).model_info.context or None

    async def chat(self, body: bytes) -> Exchange:
        """Post a chat completion. Raises FaultError when nobody answers."""
        return await self._open("POST", "/v1/chat/completions", body, head_timeout_s=600.0)

    async def _open(self, method: str, path: str, body: bytes, *, head_timeout_s: float) -> Exchange:
        headers: list[tuple[str, str]] = [("content-type", "application/json")] if body else []
        if self._key is not None:
            headers.append(("authorization", f"Bearer {self._key.reveal()}"))
        call = Call(
            address=self._address,
            method=method,
            path=path,
            headers=tuple(headers),
            body=body,
            egress=Egress.LOCAL,
            ceiling=Egress.LOCAL,
            connect_timeout_s=2.0,
            head_timeout_s=head_timeout_s,
        )
        return await self._upstreams.open(call)


def url_of(host: str, port: int) -> str:
    """Where a gateway that listens there is reached from this machine."""
    named = "127.0.0.1" if host in {"0.0.0.0", "::", "localhost"} else host  # noqa: S104 - compared, not bound
    return f"http://{f'[{named}]' if ':' in named else named}:{port}"


async def events_of(exchange: Exchange) -> AsyncIterator[bytes]:
    """The data of each event of a stream, without the end mark."""
    splitter = SseSplitter()
    while data := await exchange.chunk():
        for event in splitter.feed(data):
            if event.data and event.data != b"[DONE]":
                yield event.data
