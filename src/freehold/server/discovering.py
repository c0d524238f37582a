"""Engines that come and go: looked for in the background, laid over the configuration when something changed.

Promised: start-up does not wait for it; nothing it meets ends it; a survey that saw what the one before saw changes
nothing. Vendors are not looked for here: their keys are in the environment, and they are never asked anything.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from freehold.config import Config
from freehold.config.demoted import declared_local, demotions
from freehold.config.discovered import with_discovered
from freehold.config.settings import DiscoverySettings
from freehold.gateways.discovery import Known, Sighting, Surveyor, read_known
from freehold.gateways.discovery.processes import ports_of_processes
from freehold.gateways.http import Upstreams

OVERLAY = "discovered"
PROCESSES_EACH = 4
"""Reading the process table costs more than the ports do, so only every so many surveys."""
JITTER = 0.2
"""Of the interval, so that many gateways on one machine do not ask in step."""


class Overlaid(Protocol):
    """As `App.lay_over`."""

    def __call__(self, name: str, overlay: Callable[[Config], Config] | None) -> object:
        """Raises ValueError, and then nothing has changed."""


class Discovering:
    """Looks at loopback again and again while the server runs."""

    def __init__(
        self,
        upstreams: Upstreams,
        *,
        settings: Callable[[], DiscoverySettings],
        own_ports: Callable[[], frozenset[int]],
        base: Callable[[], Config],
        lay_over: Overlaid,
        tell: Callable[..., None],
        chance: Callable[[], float],
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """`tell(event, **facts)` takes what happens; `chance` gives numbers from 0 to 1; `own_ports` are those this gateway listens on;
        `base` is what the file says: what it calls local is looked at too.
        """
        self.sightings: tuple[Sighting, ...] = ()
        """What was seen last."""
        self.has_looked = asyncio.Event()
        """The first survey is done."""
        self._known: Known | None = None
        self._upstreams = upstreams
        self._settings, self._own_ports, self._lay_over = settings, own_ports, lay_over
        self._base = base
        self._tell, self._chance, self._environ = tell, chance, environ
        self._surveyor: Surveyor | None = None
        self._process_ports: tuple[int, ...] = ()
        self._surveys = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, in the background. Call inside a running loop."""
        self._task = asyncio.get_running_loop().create_task(self._go_on())

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def has_looked_within(self, timeout_s: float) -> bool:
        """Wait for the first survey, no longer than this."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.has_looked.wait(), timeout_s)
        return self.has_looked.is_set()

    def is_seen_at(self, base_url: str | None) -> bool:
        """Whether an engine was seen at this address."""
        return base_url is not None and any(base_url == f"{one.origin}/v1" for one in self.sightings)

    async def look(self) -> bool:
        """Survey once, and publish what changed; whether anything did."""
        settings = self._settings()
        seen = await self._survey(settings) if settings.local else ()
        self.has_looked.set()
        if seen == self.sightings:
            return False
        known = self._known = self._known or read_known()
        self._lay_over(OVERLAY, partial(with_discovered, sightings=seen, known=known) if seen else None)
        before, self.sightings = self.sightings, seen
        self._say(before, seen)
        for name, why in demotions(self._base(), seen).items():
            if name not in demotions(self._base(), before):
                self._tell("discovery.not_local", level="warning", named=name, counts_as="vendor", why=why)
        return True

    async def _survey(self, settings: DiscoverySettings) -> tuple[Sighting, ...]:
        known = self._known = self._known or read_known()
        if self._surveyor is None:
            self._surveyor = Surveyor(self._upstreams, known, skip=self._own_ports)
        if self._surveys % PROCESSES_EACH == 0:
            self._process_ports = await asyncio.to_thread(ports_of_processes, known.engines)
        self._surveys += 1
        declared = (port for _, port in declared_local(self._base()))
        return await self._surveyor.survey((*declared, *known.ports(self._environ, settings.ports), *self._process_ports))

    async def _go_on(self) -> None:
        while True:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - what another program answers must not end the looking
                self.has_looked.set()
                self._tell("discovery.failed", level="error", error=type(error).__name__)
            await asyncio.sleep(self._settings().every_s * (1 - JITTER / 2 + JITTER * self._chance()))

    def _say(self, before: Sequence[Sighting], now: Sequence[Sighting]) -> None:
        old, new = ({one.port: one for one in seen} for seen in (before, now))
        for port, one in new.items():
            if one.kind != "engine" and (port not in old or old[port].kind != one.kind):
                self._tell("discovery.not_used", at=one.origin, server=one.name, why=one.why)
            elif one.kind == "engine" and old.get(port) != one:
                self._tell(
                    "discovery.found",
                    at=one.origin,
                    engine=one.name,
                    egress=one.egress.value,
                    models=len(one.models),
                    left_out=len(one.left_out),
                )
        for port, one in old.items():
            if one.kind == "engine" and (port not in new or new[port].kind != "engine"):
                self._tell("discovery.gone", at=one.origin, engine=one.name)
