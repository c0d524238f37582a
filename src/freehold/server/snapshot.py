"""What requests are decided by: made from a configuration, replaced as a whole when the configuration changes.

One reference is read once per request, so that no request sees parts of two configurations.
"""

import msgspec

from freehold.config import Config
from freehold.config.checking import is_loopback
from freehold.config.checking_budgets import budgets_of
from freehold.dispatch.reach import Reaches
from freehold.fault import Fault, Kind
from freehold.features import Caller
from freehold.identity.callers import SERVER, KeyTable, Opening, make_key
from freehold.policy.budgets import BudgetTable
from freehold.policy.rates import RateTable
from freehold.policy.snapshot import Policy
from freehold.routing.detectors.scanner import Detectors


class Snapshot(msgspec.Struct, frozen=True):
    """Everything in a configuration that a request looks at."""

    policy: Policy
    keys: KeyTable | None
    """The server's own key; None: who sends none is the local user."""
    reaches: Reaches
    """The runtimes of this configuration; engines write into it while it is the current one."""
    max_body_bytes: int
    budgets: BudgetTable | None
    """None: there are none."""
    detectors: Detectors
    """What prompts are looked through for, made from the policy's labels."""
    windows: tuple[int, ...] = ()
    """The contexts of all deployments, in tokens, each once."""
    rates: RateTable | None = None
    """None: there are no rates."""


def make_snapshot(config: Config, former: Snapshot | None = None, kept_engines: frozenset[str] = frozenset()) -> Snapshot:
    """The snapshot of a configuration. What `former` knows of `kept_engines` still holds: these go on running.

    Raises ValueError for a server key that is too short to be one.
    """
    return Snapshot(
        policy=config.policy,
        keys=_key_table(config),
        reaches=_place_runtimes(config, former, kept_engines),
        max_body_bytes=config.settings.server.max_body_bytes,
        budgets=budgets_of(config.settings, config.policy),
        detectors=_detectors(config.policy, former),
        windows=_windows(config.policy),
        rates=RateTable(config.settings.rates, config.policy.placed.values()) if config.settings.rates else None,
    )


def require_keys_beyond_loopback(snapshot: Snapshot, address: tuple[str, int] | None) -> None:
    """Raise ValueError where a server that others reach would ask for no key."""
    if snapshot.keys is None and address is not None and not is_loopback(address[0]):
        raise ValueError(f"{address[0]} is listened on: keys must be asked for, by server.api_key or server.require_keys")


def _detectors(policy: Policy, former: Snapshot | None) -> Detectors:
    """Made anew only where `[labels]` changed: the tables take tens of milliseconds to make."""
    if former is not None and former.detectors.settings == policy.labels:
        return former.detectors
    return Detectors(policy.labels)


def _windows(policy: Policy) -> tuple[int, ...]:
    known = {placed.deployment.abilities.context for placed in policy.placed.values()}
    return tuple(sorted(window for window in known if window is not None))


def _place_runtimes(config: Config, former: Snapshot | None, kept_engines: frozenset[str]) -> Reaches:
    reaches = Reaches()
    for runtime in config.runtimes.values():
        missing = config.without_credentials.get(runtime.name)
        if missing is not None:
            reaches.lose(runtime.name, Fault(kind=Kind.UPSTREAM_AUTH, message=missing))
        elif runtime.base_url is not None:
            reaches.place(runtime.name, runtime.base_url, config.secrets.get(runtime.name))
        elif former is not None and runtime.name in kept_engines:
            reaches.take_over(runtime.name, former.reaches)
        else:
            reaches.lose(runtime.name, Fault(kind=Kind.ENGINE_NOT_READY, message=f"engine '{runtime.name}' is starting"))
    return reaches


def _key_table(config: Config) -> KeyTable | None:
    if config.server_key is None:
        return KeyTable() if config.settings.server.require_keys else None
    return make_key(config.server_key, Opening(Caller(key=SERVER), administers=True))
