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
        call = Call(
            address=read_base_url(base_url),
            method="GET",
            path=path,
            headers=(("authorization", f"Bearer {api_key.reveal()}"),),
            egress=Egress.LOCAL,
            ceiling=Egress.LOCAL,
            connect_timeout_s=timeout_s,
            head_timeout_s=timeout_s,
        )
        return await read_answer(upstreams, call, timeout_s, ANSWER_BYTES)

    return get


async def read_answer(upstreams: Upstreams, call: Call, within_s: float, most_bytes: int) -> bytes:
    """The whole body, `within_s` seconds after its head. Raises FaultError for any status but 200."""
    exchange = await upstreams.open(call)
    if exchange.status != 200:
        exchange.abort()
        raise FaultError(Fault(kind=Kind.UPSTREAM_ERROR, message=f"status {exchange.status}", status=exchange.status))
    exchange.arm(within_s, Kind.TOTAL_TIMEOUT)
    return await exchange.read(most_bytes)
