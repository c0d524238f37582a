"""All ports at once, and what was there before.

Promised: no survey takes longer than `SURVEY_S`, and none raises for what another program answers. An engine is asked
with its own questions once it is known, so that it does not log our others. A closed port means that its engine has
gone; an engine that merely does not answer is kept for `MISSES_KEPT` surveys: it may be busy.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from freehold.gateways.connector import judge_peer, read_literal
from freehold.gateways.discovery.asking import Asker
from freehold.gateways.discovery.engines import make_looks
from freehold.gateways.discovery.known import MAX_PORTS, Known
from freehold.gateways.discovery.ollama import OllamaMemory
from freehold.gateways.discovery.sighting import EngineSeen, Sighting
from freehold.gateways.http import Upstreams
from freehold.runtime import Egress

SURVEY_S = 10.0
MISSES_KEPT = 4
HOSTS = ("127.0.0.1", "::1")


class Surveyor:
    """Looks at ports. Keeps what it saw, to ask less the next time."""

    def __init__(self, upstreams: Upstreams, known: Known, *, skip: Callable[[], frozenset[int]] = frozenset) -> None:
        self._upstreams = upstreams
        self._known = known
        self._skip = skip
        """Ports that are our own."""
        self._looks = make_looks(OllamaMemory())
        self._seen: dict[int, Sighting] = {}
        self._misses: dict[int, int] = {}

    async def survey(self, ports: Sequence[int]) -> tuple[Sighting, ...]:
        """Everything that answers at these ports, in their order."""
        own = self._skip()
        wanted = [port for port in dict.fromkeys(ports) if port not in own][:MAX_PORTS]
        found = await asyncio.gather(*(self._at(port) for port in wanted))
        self._seen = {sighting.port: sighting for sighting in found if sighting is not None}
        self._misses = {port: misses for port, misses in self._misses.items() if port in self._seen}
        return tuple(self._seen.values())

    async def _at(self, port: int) -> Sighting | None:
        try:
            async with asyncio.timeout(SURVEY_S):
                sighting = await self._look_at(port)
        except TimeoutError:
            sighting = _Silent(HOSTS[0])
        if not isinstance(sighting, _Silent):
            self._misses.pop(port, None)
            return sighting
        before, misses = self._seen.get(port), self._misses.get(port, 0) + 1
        if before is not None and before.kind == "engine" and misses < MISSES_KEPT:
            self._misses[port] = misses
            return before
        return _sighting(sighting.host, port, "unknown", why="something listens, and gave no answer that could be read")

    async def _look_at(self, port: int) -> "Sighting | _Silent | None":
        """None: the port is closed."""
        for host in HOSTS:
            ask = Asker(self._upstreams, host, port)
            first = await ask.get("/healthz")
            if not first.nobody_listens:
                return await self._identify(ask) if first.status else _Silent(host)
        return None

    async def _identify(self, ask: Asker) -> "Sighting | _Silent":
        before = self._seen.get(ask.port)
        known = before is not None and before.kind == "engine" and before.host == ask.host
        relay = await self._relay(ask, ("/healthz",) if known else None)
        if relay is not None:
            return relay
        if known and before is not None:
            seen = await self._looks[before.name](ask)
            if seen is not None:
                return self._judged(ask, before.name, seen)
            if 0 in ask.statuses():
                return _Silent(ask.host)
        relay = await self._relay(ask, None)
        if relay is not None:
            return relay
        for name, look in self._looks.items():
            seen = await look(ask)
            if seen is not None:
                return self._judged(ask, name, seen)
        if ask.statuses() & {401, 403}:
            return _sighting(ask.host, ask.port, "locked", why="it asks for a key: declare it in freehold.toml")
        why = "its answers are those of no engine known here, and what is not known is not local"
        return _sighting(ask.host, ask.port, "unknown", why=why)

    def _judged(self, ask: Asker, name: str, seen: EngineSeen) -> Sighting:
        passed_on = ask.headers_seen() & set(self._known.relay_headers.names)
        if passed_on:
            why = f"its answers carry `{min(passed_on)}`, so a proxy or gateway stands in between"
            return _sighting(ask.host, ask.port, "relay", name=name, why=why)
        literal = read_literal(ask.host)
        assert literal is not None
        assert judge_peer(literal, Egress.LOCAL, named=False) is None
        return Sighting(
            host=ask.host,
            port=ask.port,
            kind="engine",
            name=name,
            version=seen.version,
            egress=seen.egress,
            why=seen.why,
            models=seen.models,
            left_out=seen.left_out,
        )

    async def _relay(self, ask: Asker, only: tuple[str, ...] | None) -> Sighting | None:
        for relay in self._known.relays:
            if only is not None and relay.path not in only:
                continue
            reply = await ask.get(relay.path)
            if reply.status == 200 and relay.says.encode() in reply.body:
                why = f"{relay.name} passes requests on, so what it serves is not local"
                return _sighting(ask.host, ask.port, "relay", name=relay.name, why=why)
        return None


class _Silent(msgspec.Struct, frozen=True):
    """Something listens there and gives no answer that can be read."""

    host: str


def _sighting(host: str, port: int, kind: Literal["relay", "locked", "unknown"], *, name: str = "", why: str) -> Sighting:
    return Sighting(host=host, port=port, kind=kind, name=name, egress=Egress.VENDOR, why=why)
