"""What the server that runs at the configured address has, beside what its configuration says.

Promised: nobody but that address is asked; a server that does not answer, or not to us, is told and never waited for long.
"""

from collections.abc import Collection

import msgspec

from freehold.cli.client import Facts, GatewayClient
from freehold.config import Config
from freehold.server.endpoints.health import Readiness

MOST_ASKED = 200
"""Names that are asked for one by one: those which the configuration does not have."""


class Live(msgspec.Struct, frozen=True):
    """A server that answers."""

    url: str
    readiness: Readiness
    names: tuple[str, ...] | None = None
    """What clients may ask for; None: it does not tell us, since it wants a key that the configuration does not have."""
    facts: dict[str, Facts] = {}
    """Of names that are not in the configuration."""

    @property
    def state(self) -> str:
        """In a word."""
        return "stopping" if self.readiness.stopping else "running"

    def states_of(self, deployments: tuple[str, ...]) -> str:
        """How the runtimes of these deployments stand; "" where it has none of them."""
        told = {one: runtime.status for runtime in self.readiness.runtimes for one in runtime.deployments}
        return ", ".join(dict.fromkeys(told[one] for one in deployments if one in told))

    def meant_by(self, name: str) -> tuple[str, ...]:
        """The deployments that a name means by itself: its own, or those of the model."""
        placed = [one for runtime in self.readiness.runtimes for one in runtime.deployments]
        return tuple(one for one in placed if name in {one, one.partition("/")[2]})

    def egress_of(self, deployments: tuple[str, ...]) -> tuple[str, ...]:
        """The classes of these deployments."""
        runtimes = self.readiness.runtimes
        return tuple(sorted({runtime.egress for runtime in runtimes if not set(deployments).isdisjoint(runtime.deployments)}))


async def ask_server(config: Config) -> Live | None:
    """How the running server stands; None: none runs."""
    server = config.settings.server
    client = GatewayClient(server.host, server.port, None)
    try:
        readiness = await client.readiness()
        return None if readiness is None else Live(client.url, readiness)
    finally:
        await client.close()


async def ask_for_names(config: Config, known: Collection[str]) -> Live | None:
    """As `ask_server`; with the names that it serves, and what it tells of those which are not known here."""
    server = config.settings.server
    client = GatewayClient(server.host, server.port, config.server_key)
    try:
        readiness = await client.readiness()
        if readiness is None:
            return None
        names = await client.names()
        strange = [name for name in names or () if name not in known][:MOST_ASKED]
        return Live(client.url, readiness, names, {name: await client.facts_of(name) for name in strange})
    finally:
        await client.close()
