"""The shape of `freehold.toml`. Names here are the names there; docs/config.md is generated from this file.

Not done here: reading (`config.decoding`), checks across sections (`config.checking`), defaults that depend on the
machine (`config.load`).
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from freehold.policy.budgets import AlertSettings, Budget
from freehold.policy.labels import Dataset, LabelSettings
from freehold.policy.rates import Rate
from freehold.policy.rules import Rule
from freehold.runtime import Deployment, Egress, Model, Price, Runtime


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where Freehold listens, and to whom."""

    host: str = "127.0.0.1"
    """An address of this machine. Anything but loopback needs `api_key` or `require_keys`."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 8840
    """0 takes any free port."""
    api_key: str | None = None
    """`env:NAME`, `file:PATH` or `keyring:NAME`: a key that may do everything. None: no key is asked for, on loopback only."""
    require_keys: bool = False
    """True: a virtual key is asked for (`freehold key`), also on loopback and without `api_key`."""
    max_body_bytes: Annotated[int, Meta(ge=1024)] = 32 * 1024 * 1024
    allowed_hosts: tuple[str, ...] = ()
    """Host headers accepted beside `localhost`, `127.0.0.1`, `::1` and, off loopback, any address: `name`, or `name:port` for one port."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of web pages that may call, such as `http://localhost:3000`. None by default."""
    keepalive_s: Annotated[float, Meta(gt=0, le=3600)] = 75.0
    """How long an idle client connection stays open."""
    drain_s: Annotated[float, Meta(ge=0, le=3600)] = 30.0
    """How long running answers may take to end once the server is told to stop."""
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    """Processes that serve. More than one share the address, the engines and the ledger, and nothing else: docs/operations.md."""


class StorageSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where requests, attempts and decisions are recorded. At most one of the two is given."""

    path: str | None = None
    """An SQLite file; None: `freehold.db` in the data directory."""
    url: str | None = None
    """`sqlite:////path/to/file` or `postgresql://user@host/database` (with `freehold[postgres]`); its password in `~/.pgpass`."""
    redis: str | None = None
    """Keeps budgets, for many processes and machines: `redis://host:6379/0`, `rediss://`, `unix://` (with `freehold[redis]`)."""
    redis_password: str | None = None
    """`env:NAME`, `file:PATH` or `keyring:NAME`."""
    egress: Literal["local", "self_hosted", "vendor"] = "self_hosted"
    """Who runs a server named here that is not on this machine. Above the server's ceiling it is refused."""


class LogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes to standard error. Never a prompt, an answer or a secret."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class EgressSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far any call of this server may travel, whatever a rule, a key or a header says."""

    ceiling: Egress = Egress.VENDOR
    """`FREEHOLD_LOCAL_ONLY=1` in the environment means `local` and beats this."""


class CacheSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much memory the response cache may take. Nothing is kept unless a rule says `cache`."""

    max_mib: Annotated[float, Meta(gt=0, le=65536)] = 64.0
    """Of answers, over all callers."""
    max_entries: Annotated[int, Meta(ge=1, le=10_000_000)] = 10_000


class SessionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When an agent's session is stopped because it runs in circles (docs/agents.md). Requests without a session never are."""

    same_request_most: Annotated[int, Meta(ge=0, le=1_000_000)] = 30
    """How often the same request of a session may come, each within a minute of the one before. 0: as often as it likes."""
    requests_per_minute: Annotated[int, Meta(ge=0, le=1_000_000)] = 600
    """Requests of one session within a minute, whatever they ask. 0: any number."""
    overflows_most: Annotated[int, Meta(ge=0, le=1_000_000)] = 3
    """How often in a row a session is told that its prompt is too long, where it gets no shorter; then it is told to stop. 0: always."""


class IdempotencySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of requests that come with an `Idempotency-Key` (docs/idempotency.md). Without the header nothing is."""

    keep_s: Annotated[int, Meta(ge=60, le=30 * 86_400)] = 86_400
    """How long a key is remembered, with its answer."""
    wait_s: Annotated[float, Meta(ge=0, le=3600)] = 60.0
    """How long a repeat waits for the request under way before it is told 409. 0: not at all."""
    max_answer_mib: Annotated[float, Meta(ge=0, le=256)] = 8.0
    """A longer answer is not kept: a repeat of its request is told 409 instead of asking again."""
    max_mib: Annotated[float, Meta(ge=0, le=1_048_576)] = 1024.0
    """Of answers in the store, compressed. Beyond it none are kept until older ones have ended."""


class DefaultsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which parts of the built-in policy stand beside what this file says."""

    embedded: bool = True
    """The embedded runtimes and their deployments."""
    aliases: bool = True
    """The built-in aliases (`claude-*`, `gpt-*` ...), each unless this file defines it."""
    rules: bool = True
    """The built-in rules, as long as this file has none of its own."""


class DiscoverySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What Freehold finds by itself. Nothing here makes a call to a vendor."""

    local: bool = True
    """Engines that answer on this machine's loopback: Ollama, LM Studio, llama-server, vLLM and others."""
    ports: Annotated[tuple[Annotated[int, Meta(ge=1, le=65535)], ...], Meta(max_length=32)] = ()
    """Loopback ports to look at beside the well-known ones."""
    every_s: Annotated[float, Meta(ge=1, le=3600)] = 15.0
    """How often loopback is looked at again."""
    vendors: bool = True
    """Vendors whose keys are in the environment, where this file configures no vendor."""


class PriceEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model costs on one runtime, over the list that comes with Freehold: a contract's price, a new model's."""

    runtime: str
    served_as: str
    """The model's name there, or a glob."""
    price: Price | tuple[Price, ...]
    """One price, or several with `since` and `until`."""


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of `freehold.toml`. Everything may be left out."""

    server: ServerSettings = ServerSettings()
    storage: StorageSettings = StorageSettings()
    log: LogSettings = LogSettings()
    egress: EgressSettings = EgressSettings()
    defaults: DefaultsSettings = DefaultsSettings()
    cache: CacheSettings = CacheSettings()
    sessions: SessionSettings = SessionSettings()
    idempotency: IdempotencySettings = IdempotencySettings()
    discovery: DiscoverySettings = DiscoverySettings()
    labels: LabelSettings = LabelSettings()
    datasets: dict[str, Dataset] = {}
    """What holds for requests tagged with a dataset, by its key or by `x-freehold-dataset`: `[datasets.NAME]`."""
    runtimes: tuple[Runtime, ...] = ()
    """Places that run models: `[[runtimes]]`."""
    deployments: tuple[Deployment, ...] = ()
    """Models at those places: `[[deployments]]`. Their order is the order among equals."""
    prices: tuple[PriceEntry, ...] = ()
    """Prices by runtime and name, for deployments without a `price` of their own: `[[prices]]`. The first that fits counts."""
    models: tuple[Model, ...] = ()
    """Facts of models, by id or glob, over the built-in ones: `[[models]]`."""
    budgets: tuple[Budget, ...] = ()
    """What may be spent, by whom, on what: `[[budgets]]`. All that fit a request hold for it."""
    alerts: AlertSettings = AlertSettings()
    aliases: dict[str, str | tuple[str, ...]] = {}
    """Names clients ask for, by what they stand for: deployment ids, model ids or other aliases."""
    rules: tuple[Rule, ...] = ()
    """Gates and preferences: `[[rules]]`."""
    rates: tuple[Rate, ...] = ()
    """How fast requests and tokens may come, and how many may be under way: `[[rates]]`. All that fit hold."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of the file once policy is made from the rest."""

    server: ServerSettings
    storage: StorageSettings
    log: LogSettings
    egress: EgressSettings
    rates: tuple[Rate, ...] = ()
    cache: CacheSettings = CacheSettings()
    sessions: SessionSettings = SessionSettings()
    idempotency: IdempotencySettings = IdempotencySettings()
    discovery: DiscoverySettings = DiscoverySettings()
    budgets: tuple[Budget, ...] = ()
    alerts: AlertSettings = AlertSettings()
