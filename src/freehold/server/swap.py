"""What a new configuration changes in a running server, and what it cannot change. Pure.

Listening, storage and the data directory are fixed from start to end: a new value for one of these is told and kept
for the next start.
"""

from collections.abc import Iterable, Mapping

import msgspec

from freehold.config import Config

FIXED = {
    "server": ("host", "port", "keepalive_s", "drain_s", "workers"),
    "storage": ("path", "url", "redis", "redis_password", "egress"),
    "log": ("format",),
    "cache": ("max_mib", "max_entries"),
}
"""By section: settings that hold until the next start."""


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two configurations: names of runtimes and deployments, paths of settings."""

    policy_version: str | None = None
    """The new policy's version; None: it is the same."""
    added: tuple[str, ...] = ()
    """Runtimes."""
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """Runtimes whose address, key, engine or any other setting differs."""
    settings: tuple[str, ...] = ()
    """Settings that hold from now on."""
    waits_for_restart: tuple[str, ...] = ()
    """Settings whose new value holds from the next start on."""

    @property
    def has_effect(self) -> bool:
        """Whether anything differs that holds now."""
        return self != Changes(waits_for_restart=self.waits_for_restart)

    def facts(self) -> dict[str, object]:
        """What differs, for the log."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value}


def compare(old: Config, new: Config) -> Changes:
    """What `new` changes. Secrets are compared, never shown."""
    both = old.runtimes.keys() & new.runtimes.keys()
    different = list(_different_settings(old, new))
    fixed = {f"{section}.{name}" for section, names in FIXED.items() for name in names}
    return Changes(
        policy_version=None if new.policy.version == old.policy.version else new.policy.version,
        added=tuple(name for name in new.runtimes if name not in old.runtimes),
        removed=tuple(name for name in old.runtimes if name not in new.runtimes),
        changed=tuple(name for name in new.runtimes if name in both and not is_same_runtime(old, new, name)),
        settings=tuple(path for path in different if path not in fixed),
        waits_for_restart=(
            *(path for path in different if path in fixed),
            *(["data_dir"] if old.data_dir != new.data_dir else []),
        ),
    )


def keep_fixed(old: Config, new: Config) -> Config:
    """`new` with the values of `old` where these hold until the next start."""
    sections = {
        section: msgspec.structs.replace(
            getattr(new.settings, section), **{name: getattr(getattr(old.settings, section), name) for name in names}
        )
        for section, names in FIXED.items()
    }
    return msgspec.structs.replace(new, settings=msgspec.structs.replace(new.settings, **sections), data_dir=old.data_dir)


def is_same_runtime(old: Config, new: Config, name: str) -> bool:
    """Whether a runtime is what and where it was, and opened by the same key."""
    return (
        old.runtimes.get(name) == new.runtimes.get(name)
        and old.secrets.get(name) == new.secrets.get(name)
        and old.without_credentials.get(name) == new.without_credentials.get(name)
    )


def unchanged_deployments(old: Config, new: Config) -> frozenset[str]:
    """Deployments of both that are the same model at the same place: what was learnt about them still holds."""
    former: Mapping[str, object] = old.policy.placed
    return frozenset(
        placed.id
        for placed in new.policy.placed.values()
        if former.get(placed.id) == placed and is_same_runtime(old, new, placed.runtime.name)
    )


def _different_settings(old: Config, new: Config) -> Iterable[str]:
    for section in old.settings.__struct_fields__:
        before, after = getattr(old.settings, section), getattr(new.settings, section)
        if not isinstance(before, msgspec.Struct) or type(before) is not type(after):
            if before != after:
                yield section
            continue
        for name in before.__struct_fields__:
            if getattr(before, name) != getattr(after, name):
                yield f"{section}.{name}"
    if old.server_key != new.server_key and old.settings.server.api_key == new.settings.server.api_key:
        yield "server.api_key"
