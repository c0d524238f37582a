"""A small GET to an engine on this machine, through the one connector like every other call."""

from collections.abc import Awaitable, Callable

from freehold.fault import Fault, FaultError, Kind
from freehold.gateways.connector import read_base_url
from freehold.gateways.http import Call, Upstreams
from freehold.runtime import Egress
from freehold.secret import Secret

ANSWER_BYTES = 1 << 20


def make_local_get(upstreams: Upstreams) -> Callable[[str, str, Secret, float], Awaitable[bytes]]:
    """`(base_url, path, api_key, timeout_s) -> body`; raises FaultError for anything but a whole answer of status 200."""

    async def get(base_url: str, path: str, api_key: Secret, timeout_s: float) -> bytes:
        exchange = await upstreams.open(
            Call(
                address=read_base_url(base_url),
                method="GET",
                path=path,
                headers=(("authorization", f"Bearer {api_key.reveal()}"),),
                egress=Egress.LOCAL,
                ceiling=Egress.LOCAL,
                connect_timeout_s=timeout_s,
                head_timeout_s=timeout_s,
            )
        )
        if exchange.status != 200:
            exchange.abort()
            raise FaultError(Fault(kind=Kind.UPSTREAM_ERROR, message=f"status {exchange.status}", status=exchange.status))
        exchange.arm(timeout_s, Kind.TOTAL_TIMEOUT)
        return await exchange.read(ANSWER_BYTES)

    return get
