"""A configuration with the engines that were found laid over it. Pure: same values in, same configuration out.

Promised: what the file says wins, by name and by address; nothing above the server's ceiling is added; found deployments
stand behind the file's own and before the built-in ones. An engine at the address of a runtime in the file that has no
deployments there gives that runtime its models, under the class the file says: never under a lower one.
"""

from collections.abc import Iterable, Sequence
from itertools import chain

import msgspec

from freehold.config.assembly import AUTO, make_place
from freehold.config.checking import check_name, is_loopback
from freehold.config.demoted import with_demotions
from freehold.config.load import Config
from freehold.gateways.connector import read_base_url
from freehold.gateways.discovery.known import Known
from freehold.gateways.discovery.sighting import Sighting
from freehold.policy.snapshot import Policy
from freehold.runtime import Deployment, Egress, Local, Placed, Runtime, SelfHosted, Vendor, egress_of

__all__ = ["with_discovered"]


def with_discovered(config: Config, sightings: Sequence[Sighting], known: Known) -> Config:
    """The configuration with every engine seen that may be used and is not there already."""
    if not config.settings.discovery.local:
        return config
    config = with_demotions(config, sightings)
    runtimes = dict(config.runtimes)
    found: list[Placed] = []
    place = make_place(config.base.models, config.base.prices)
    names = _names(config)
    for sighting in sightings:
        runtime = _runtime(config, sighting, known, names) if sighting.kind == "engine" else None
        if runtime is None or not egress_of(runtime).within(config.policy.server_ceiling):
            continue
        added = [
            place(one, runtime, asked_by_model=one.model not in names)
            for one in _deployments(runtime, sighting)
            if one.id not in names
        ]
        runtimes[runtime.name] = runtime
        names |= {runtime.name, *(one.id for one in added)}
        found += added
    if not found and len(runtimes) == len(config.runtimes):
        return config
    return msgspec.structs.replace(config, runtimes=runtimes, policy=_policy(config, found))


def _policy(config: Config, found: Iterable[Placed]) -> Policy:
    old = config.policy
    behind = {*config.base.built_in, *config.base.vendors}
    placed = [
        *(one for one in old.placed.values() if one.runtime.name not in behind),
        *found,
        *(one for one in old.placed.values() if one.runtime.name in behind),
    ]
    aliases = dict(old.aliases)
    if config.base.widens_auto:
        everything = tuple(one.id for one in placed if one.deployment.abilities.chat)
        if everything:
            aliases |= {AUTO: everything} | dict.fromkeys(config.base.waiting, (AUTO,))
    return Policy(placed, aliases, old.rules, old.server_ceiling, old.labels)


def _names(config: Config) -> set[str]:
    policy = config.policy
    return {
        *config.runtimes,
        *chain.from_iterable((one.id, one.deployment.model) for one in policy.placed.values()),
        *policy.aliases,
    }


def _runtime(config: Config, sighting: Sighting, known: Known, names: set[str]) -> Runtime | None:
    """The runtime an engine is, new or from the file; None: the file has decided about it."""
    there = [runtime for runtime in config.runtimes.values() if _is_at(runtime, sighting)]
    if there:
        used = {one.runtime.name for one in config.policy.placed.values()}
        return None if used & {runtime.name for runtime in there} else there[0]
    engine = known.engine(sighting.name)
    usual = not engine.ports or sighting.port in engine.ports or bool(engine.processes)
    name = _free_name(engine.name if usual else f"{engine.name}-{sighting.port}", names)
    base_url = f"{sighting.origin}/v1"
    match sighting.egress:
        case Egress.LOCAL:
            return Local(name=name, base_url=base_url, formats=engine.formats)
        case Egress.SELF_HOSTED:
            return SelfHosted(name=name, base_url=base_url, formats=engine.formats)
        case Egress.VENDOR:
            return Vendor(name=name, base_url=base_url, formats=engine.formats)


def _is_at(runtime: Runtime, sighting: Sighting) -> bool:
    if runtime.base_url is None:
        return False
    address = read_base_url(runtime.base_url)
    return is_loopback(address.host) and address.port == sighting.port


def _free_name(wanted: str, names: set[str]) -> str:
    number, name = 1, wanted
    while name in names:
        number += 1
        name = f"{wanted}-{number}"
    return name


def _deployments(runtime: Runtime, sighting: Sighting) -> list[Deployment]:
    found: dict[str, Deployment] = {}
    for model in sighting.models:
        one = Deployment(
            id=f"{runtime.name}/{model.model}",
            model=model.model,
            runtime=runtime.name,
            served_as=model.served_as,
            abilities=model.abilities,
            quirks=model.quirks,
        )
        if not any(chain(check_name(one.id, ""), check_name(one.model, ""))):
            found.setdefault(one.id, one)
    return list(found.values())
