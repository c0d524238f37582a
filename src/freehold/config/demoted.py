"""Runtimes that the file calls local and that were seen not to be: counted as what answers there. Pure.

Promised: a class only ever rises, and only for what an answer proves: a gateway or proxy at the address, or a model that the
engine itself says runs elsewhere; such a runtime or deployment counts as a vendor's. Where an engine or a server merely does
not say, the operator's word stands. Rules, aliases and ids stay as they are; ceilings and gates then see the true class.
"""

from collections.abc import Iterator, Sequence

import msgspec

from freehold.config.checking import is_loopback
from freehold.config.load import Config
from freehold.gateways.connector import read_base_url
from freehold.gateways.discovery.sighting import Sighting
from freehold.policy.snapshot import Policy
from freehold.runtime import Egress, Local, Placed, Runtime, Vendor

_SHARED = tuple(field for field in Vendor.__struct_fields__ if field in Local.__struct_fields__)


def declared_local(config: Config) -> Iterator[tuple[Local, int]]:
    """Runtimes on loopback that the file calls local and Freehold does not start, with their ports."""
    for runtime in config.runtimes.values():
        if isinstance(runtime, Local) and runtime.base_url is not None:
            address = read_base_url(runtime.base_url)
            if is_loopback(address.host):
                yield runtime, address.port


def demotions(config: Config, sightings: Sequence[Sighting]) -> dict[str, str]:
    """By deployment, or by runtime where all of it is meant: why it is not local."""
    seen = {sighting.port: sighting for sighting in sightings}
    found: dict[str, str] = {}
    for runtime, port in declared_local(config):
        sighting = seen.get(port)
        if sighting is None:
            continue
        if sighting.kind == "relay":
            found[runtime.name] = sighting.why
            continue
        remote = {one.name: one.why for one in sighting.left_out if one.is_remote} if sighting.kind == "engine" else {}
        for placed in config.policy.placed.values():
            served_as = placed.deployment.served_as
            why = remote.get(served_as) or remote.get(f"{served_as}:latest")  # Ollama's name for a name without a tag
            if placed.runtime.name == runtime.name and why is not None:
                found[placed.id] = why
    return found


def with_demotions(config: Config, sightings: Sequence[Sighting]) -> Config:
    """The configuration with the true class of what answers at addresses that the file calls local."""
    why = demotions(config, sightings)
    if not why:
        return config
    true: dict[str, Runtime] = {runtime.name: _as_vendor(runtime) for runtime, _ in declared_local(config) if runtime.name in why}
    placed = [_placed(one, true, why) for one in config.policy.placed.values()]
    old = config.policy
    policy = Policy(placed, old.aliases, old.rules, old.server_ceiling, old.labels)
    return msgspec.structs.replace(config, runtimes={**config.runtimes, **true}, policy=policy)


def _placed(one: Placed, true: dict[str, Runtime], why: dict[str, str]) -> Placed:
    if one.runtime.name not in true and one.id not in why:
        return one
    return msgspec.structs.replace(one, runtime=_as_vendor(one.runtime), egress=Egress.VENDOR)


def _as_vendor(runtime: Runtime) -> Vendor:
    return Vendor(**{field: getattr(runtime, field) for field in _SHARED})
