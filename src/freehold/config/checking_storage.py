"""Where records and budgets may be kept: a file, or servers that the operator named, which answer to the egress ceiling.

Promised: a server's address has one spelling, read by this module alone, so that what is judged is what is connected to;
one above the server's ceiling is refused at load. Drivers open their own connections: these are the only ones that do not
go through the one connector.
"""

import re
from collections.abc import Iterator

from freehold.config.checking import check_reference, is_loopback
from freehold.config.settings import StorageSettings
from freehold.policy.problems import Problem
from freehold.runtime import Egress

_HOST = r"(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+)"
_POSTGRES = re.compile(
    rf"postgresql://(?:[A-Za-z0-9._-]+@)?(?:{_HOST}(?::\d+)?)?/[A-Za-z0-9._-]+"
    r"(?:\?(?:host=(?P<socket>/[^?&\s%]+)|sslmode=(?:disable|prefer|require)))?"
)
_REDIS = re.compile(rf"rediss?://(?:[A-Za-z0-9._-]+@)?{_HOST}(?::\d+)?(?:/\d+)?|unix://(?P<socket>/[^?&\s%]+)")


def check_storage(storage: StorageSettings) -> Iterator[Problem]:
    """Where records go."""
    if storage.path is not None and storage.url is not None:
        yield Problem("storage", "has both `path` and `url`", "give one of them")
    url = storage.url
    if url is not None and not url.startswith("sqlite:") and not _is_one_place(_POSTGRES, url):
        yield Problem(
            *("storage.url", "is neither an SQLite file nor one PostgreSQL database without a password"),
            "sqlite:////path/to/freehold.db, postgresql://user@host:5432/database or postgresql://user@/database?host=/run/postgresql; "
            "a password comes from ~/.pgpass",
        )
    if storage.redis is not None and not _is_one_place(_REDIS, storage.redis):
        remedy = 'redis://host:6379/0, rediss://... or unix:///run/redis/redis.sock; its password as redis_password = "env:NAME"'
        yield Problem("storage.redis", "is not one Redis server without a password", remedy)
    if storage.redis_password is not None and storage.redis is None:
        yield Problem("storage.redis_password", "is for a `redis`, and there is none")
    yield from check_reference(storage.redis_password, "storage.redis_password")


def check_store_reach(storage: StorageSettings, ceiling: Egress) -> Iterator[Problem]:
    """Whether the stores are within the ceiling. For settings that passed `check_storage`."""
    for key, pattern, url in (("url", _POSTGRES, storage.url), ("redis", _REDIS, storage.redis)):
        if _is_here(pattern, url):
            continue
        if storage.egress == "local":
            yield Problem(
                f"storage.{key}", "is not on this machine, and `storage.egress` says local", "a loopback address or a socket"
            )
        elif not Egress(storage.egress).within(ceiling):
            remedy = "raise egress.ceiling, or keep records on this machine"
            yield Problem(f"storage.{key}", f"is {storage.egress}, above the server's ceiling, {ceiling}", remedy)


def class_of_ledger(storage: StorageSettings) -> Egress:
    """Who runs the ledger's database. For settings that passed `check_storage`."""
    return Egress.LOCAL if _is_here(_POSTGRES, storage.url) else Egress(storage.egress)


def _is_here(pattern: re.Pattern[str], url: str | None) -> bool:
    found = None if url is None else pattern.fullmatch(url)
    return found is None or bool(found["socket"]) or (bool(found["host"]) and is_loopback(found["host"].strip("[]")))


def _is_one_place(pattern: re.Pattern[str], url: str) -> bool:
    """Whether it names exactly one place: a host or a socket."""
    found = pattern.fullmatch(url)
    return found is not None and bool(found["host"]) != bool(found["socket"])
