"""Where this server's records and budgets are kept, as its configuration says."""

from pathlib import Path

from freehold.config import Config
from freehold.config.load import REDIS
from freehold.server.clock import wall_us
from freehold.storage.host_overflows import HostOverflows
from freehold.storage.host_rates import HostRates
from freehold.storage.leftovers import SUFFIX
from freehold.storage.rates import RateStore
from freehold.storage.store import StoreError, sqlite_path, sqlite_url
from freehold.telemetry.log import Log


def store_url(config: Config) -> str:
    """Where the ledger is kept."""
    storage = config.settings.storage
    if storage.url is not None:
        return storage.url
    return sqlite_url(Path(storage.path) if storage.path is not None else config.data_dir / "freehold.db")


def store_place(config: Config) -> Path:
    """The ledger's file; where it is on a server, the name beside which rows wait while that is away."""
    return sqlite_path(store_url(config)) or config.data_dir / "freehold.db"


def journal_place(config: Config) -> Path:
    """Where rows wait while the ledger's database is away."""
    place = store_place(config)
    return place.with_name(place.name + SUFFIX)


def redis_url(config: Config) -> tuple[str, str | None] | None:
    """The Redis that keeps budgets and its password; None: the ledger's own database keeps them."""
    url = config.settings.storage.redis
    if url is None:
        return None
    password = config.secrets.get(REDIS)
    return url, None if password is None else password.reveal()


def shared_overflows(config: Config, log: Log) -> HostOverflows | None:
    """Where overflows are counted for several processes together; None: in this one alone."""
    if config.settings.server.workers == 1:
        return None
    try:
        return HostOverflows(config.data_dir / "overflows")
    except OSError as error:
        log.event("overflows.counted_apart", level="warning", says=str(error))
        return None


def shared_rates(config: Config) -> RateStore | None:
    """Where rates are counted for several processes together; None: in this one alone. Raises StoreError."""
    redis = redis_url(config)
    if redis is None:
        return None if config.settings.server.workers == 1 else HostRates(config.data_dir / "rates.db", wall_us)
    try:
        from freehold.storage.redis_rates import RedisRates  # noqa: PLC0415 - an extra, only where it is used
    except ModuleNotFoundError as error:
        raise StoreError("rates in Redis need its driver: install `freehold[redis]`") from error
    return RedisRates(*redis)
