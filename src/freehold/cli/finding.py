"""The configuration as a server started now would have it: with the engines that answer on this machine's loopback."""

import asyncio
import os

from freehold.config import Config
from freehold.config.demoted import declared_local, demotions
from freehold.config.discovered import with_discovered
from freehold.gateways.connector import Connector
from freehold.gateways.discovery import Sighting, Surveyor, read_known
from freehold.gateways.discovery.processes import ports_of_processes
from freehold.gateways.http import Upstreams
from freehold.runtime import Egress


async def survey(config: Config) -> tuple[Sighting, ...]:
    """What answers at the known ports, our own left out. Empty where the configuration says not to look."""
    settings = config.settings.discovery
    if not settings.local:
        return ()
    known = read_known()
    connector = Connector(Egress.LOCAL)
    upstreams = Upstreams(connector)
    own = frozenset({config.settings.server.port})
    declared = (port for _, port in declared_local(config))
    ports = (*declared, *known.ports(os.environ, settings.ports), *ports_of_processes(known.engines))
    try:
        return await Surveyor(upstreams, known, skip=lambda: own).survey(ports)
    finally:
        await upstreams.close()
        connector.close()


def with_found(config: Config) -> Config:
    """The configuration with what answers now."""
    return with_discovered(config, asyncio.run(survey(config)), read_known())


def with_found_and_why(config: Config) -> tuple[Config, dict[str, str]]:
    """As `with_found`; and what the file calls local and is not, by runtime or deployment, with the reason."""
    sightings = asyncio.run(survey(config))
    return with_discovered(config, sightings, read_known()), demotions(config, sightings)
