"""The composition root: builds everything once, wires it together, starts and stops it in order.

Start: ledger, engines (in the background: the server answers at once and says 503 until an engine is ready). Stop:
no new requests (the listener drains), engines, upstream connections, and the ledger last, so that every row is written.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from freehold import __version__
from freehold.config import Config
from freehold.config.checking_storage import class_of_ledger
from freehold.config.demoted import declared_local
from freehold.dispatch.answer_cache import AnswerCache
from freehold.dispatch.attempt import Means
from freehold.dispatch.reach import Reaches
from freehold.dispatch.runner import Dispatch
from freehold.dispatch.singles import Singles
from freehold.fault import Fault, Kind
from freehold.fit.tokens import load_counter
from freehold.gateways.connector import Connector, read_base_url
from freehold.gateways.http import Upstreams
from freehold.gateways.local_get import make_local_get
from freehold.ledger import Ledger
from freehold.limits.breaker import Breakers
from freehold.limits.rates import Rates
from freehold.limits.retry_budget import RetryBudgets
from freehold.local.supervisor import Engines, EngineState
from freehold.routing.facts_cache import FactsCache
from freehold.runtime import Egress, Runtime
from freehold.server.batches.desk import Desk
from freehold.server.batches.lines import LineServer
from freehold.server.batches.relay_files import open_requests
from freehold.server.batches.relaying import Relaying
from freehold.server.batches.runner import Runner
from freehold.server.batches.shelf import Shelf
from freehold.server.budgeting import accounts_now, make_budgets
from freehold.server.clock import Hours, wall_ms
from freehold.server.context import Context
from freehold.server.counting import Counting
from freehold.server.discovering import Discovering
from freehold.server.door import Door, make_door
from freehold.server.endpoints.health import Readiness, RuntimeStatus
from freehold.server.finishing import Finishing, Marked
from freehold.server.gateway import Gateway
from freehold.server.idempotency.desk import IdempotencyDesk
from freehold.server.intake import Intake
from freehold.server.key_desk import KeyDesk
from freehold.server.key_watch import KeyWatch
from freehold.server.redacting import PlaceholderKey
from freehold.server.routes import make_routes, make_tails, speller_of
from freehold.server.snapshot import make_snapshot, require_keys_beyond_loopback
from freehold.server.standing import status_of
from freehold.server.stores import journal_place, shared_overflows, shared_rates, store_place, store_url
from freehold.server.swap import Changes, compare, keep_fixed, unchanged_deployments
from freehold.server.workers.told import ToldEngines
from freehold.sessions.loops import Loops
from freehold.sessions.sticky import Sticky
from freehold.storage.idempotency import IdempotencyStore
from freehold.storage.store import prepare, sqlite_path
from freehold.storage.writer import Bounds, Writer
from freehold.telemetry.log import Log

Overlay = Callable[[Config], Config]
"""Adds to a configuration what no file says: runtimes that were discovered, the demo's."""
LOOKS_WITHIN_S = 1.0
"""Where the file calls something local, it is looked at before the first request, for no longer than this."""
KEEP_ALIVE_S = 10.0
"""Between two SSE comments while a stream waits; proxies and clients give up on silence after 15 to 60 s."""


class App:
    """One gateway: everything it is made of."""

    def __init__(
        self, config: Config, log: Log, *, engines: Engines | ToldEngines | None = None, spill: Path | None = None
    ) -> None:
        """`engines`: run elsewhere, None: run here; `spill`: where this process of several keeps rows the store refuses."""
        self.base = config
        """What the configuration file says."""
        self.config = config
        """What serves: `base`, with what was laid over it."""
        self._overlays: dict[str, Overlay] = {}
        self.config_problems: tuple[str, ...] = ()
        """Where the file is wrong now, and was not when it was read into `base`."""
        self.waits_for_restart: tuple[str, ...] = ()
        """Settings whose new value holds from the next start on."""
        self._address: tuple[str, int] | None = None
        self.log = log
        now = time.monotonic
        # Ids must be unique, not secret: a system call for each would cost as much as the whole plan.
        chance = Random(os.urandom(32))  # noqa: S311 - see above
        marked = Marked(chance.randbytes)
        random_bytes = marked.bytes
        self._store = store_url(config)
        # Short transactions, where reservations wait for the same lock.
        bounds = Bounds(batch_rows=256) if config.settings.budgets else None
        self.writer = Writer(self._store, now_ms=wall_ms, tell=log.event, bounds=bounds, spill=spill or journal_place(config))
        self.ledger = Ledger(self.writer, wall_ms)
        self.breakers = Breakers(now)
        self.windows: dict[str, int] = {}
        self._connector = Connector(config.policy.server_ceiling)
        self.upstreams = Upstreams(self._connector)
        self.engines = engines or self._make_engines()
        self.engines.on_change(self._engine_changed)
        self.discovering = self._make_discovering(chance.random)
        self.sticky = Sticky(now)
        self.counting = Counting(load_counter, lambda: FactsCache(os.urandom(32)))
        self.retries = RetryBudgets(now)
        self.rates = Rates(now, log.event, shared_rates(config))
        self.desk = Desk(self._store, Shelf(config.data_dir / "batches"), now_ms=wall_ms, random_bytes=random_bytes)
        self.keys = KeyWatch(self._store, now=now, log=log)
        self.budgets = make_budgets(lambda: self.config, self.upstreams, log, now=now, wall_ms=wall_ms)
        self.finishing = self._make_finishing(marked)
        self._machine_secret = PlaceholderKey(config.data_dir)
        self.idempotency = self._make_idempotency()
        means = self._make_means()
        self.intake = self._make_intake(now, random_bytes)
        context = self._make_context()
        self.batches = self._make_batches(context, means, chance.random)
        self.gateway = self._make_gateway(context, means, random_bytes)

    def _make_finishing(self, marked: Marked) -> Finishing:
        return Finishing(
            self.writer,
            (self._store, store_place(self.config)),
            marked.mark,
            lambda: self.budgets if self.config.settings.budgets else None,
            self.log,
            wall_ms=wall_ms,
            kept_open=lambda: open_requests(self.desk.shelf.folder),
        )

    def _make_engines(self) -> Engines:
        return Engines(
            self.config.launches,
            self.config.data_dir,
            get=make_local_get(self.upstreams),
            log=self.log.event,
            now=time.monotonic,
            is_in_use=lambda base_url: self.upstreams.is_in_use(read_base_url(base_url)),
            retire_s=self.config.settings.server.drain_s,
        )

    def _make_intake(self, now: Callable[[], float], random_bytes: Callable[[int], bytes]) -> Intake:
        return Intake(
            snapshot=make_snapshot(self.config),
            register=self.keys.register,
            counting=self.counting,
            breakers=self.breakers,
            sticky=self.sticky,
            ledger=self.ledger,
            now=now,
            wall_ms=wall_ms,
            hour_of=Hours().hour_of,
            random_bytes=random_bytes,
            windows=self.windows,
            budgets=self.budgets,
            placeholder_key=self._machine_secret,
        )

    def _make_means(self) -> Means:
        return Means(
            self.upstreams,
            self.breakers,
            self.ledger,
            time.monotonic,
            wall_ms,
            self.retries,
            budgets=self.budgets,
            windows=self.windows,
            rates=self.rates,
            cache_secret=self._machine_secret.get,
        )

    def _make_idempotency(self) -> IdempotencyDesk:
        return IdempotencyDesk(
            lambda: IdempotencyStore(self._store, now_ms=wall_ms),
            lambda: self.config.settings.idempotency,
            now=time.monotonic,
            log=self.log,
            # The files of several machines differ.
            secret=bytes if sqlite_path(self._store) is None else self._machine_secret.get,
            store_egress=class_of_ledger(self.config.settings.storage),
        )

    def _make_context(self) -> Context:
        cache = self.config.settings.cache
        return Context(
            intake=self.intake,
            ledger=self.ledger,
            log=self.log,
            now=time.monotonic,
            wall_ms=wall_ms,
            ledger_is_behind=lambda: self.writer.is_behind,
            answers=AnswerCache(
                os.urandom(32),
                time.monotonic,
                max_bytes=round(cache.max_mib * 1024 * 1024),
                max_entries=cache.max_entries,
            ),
            desk=self.desk,
            keys=KeyDesk(self._store, self.keys, now_ms=wall_ms, log=self.log),
            rates=self.rates,
            accounts=lambda: accounts_now(self.config, self.budgets, wall_ms()),
            loops=Loops(
                os.urandom(32), time.monotonic, lambda: self.config.settings.sessions, shared_overflows(self.config, self.log)
            ),
            idempotency=self.idempotency,
        )

    def _make_gateway(self, context: Context, means: Means, random_bytes: Callable[[int], bytes]) -> Gateway:
        return Gateway(
            routes=make_routes(context, Dispatch(means, self.sticky), Singles(means), self.readiness),
            tails=make_tails(context),
            door=Door(frozenset(), frozenset()),
            speller_of=speller_of,
            keep_alive_s=KEEP_ALIVE_S,
            start=self.start,
            stop=self.stop,
            now_ms=wall_ms,
            random_bytes=random_bytes,
            log=self.log,
        )

    def _make_batches(self, context: Context, means: Means, chance: Callable[[], float]) -> Runner:
        """What works through batches. Nothing of it runs before the first file comes."""
        return Runner(
            self.desk,
            LineServer(context, Dispatch(means, self.sticky), Singles(means)),
            means.in_flight,
            Relaying(self.desk, context, means, flush=self.writer.flush, chance=chance),
            policy=lambda: self.intake.policy,
            is_stopping=lambda: self.gateway.is_stopping,
            log=self.log,
        )

    def _make_discovering(self, chance: Callable[[], float]) -> Discovering:
        return Discovering(
            self.upstreams,
            settings=lambda: self.base.settings.discovery,
            base=lambda: self.base,
            own_ports=lambda: frozenset() if self._address is None else frozenset({self._address[1]}),
            lay_over=self.lay_over,
            tell=self.log.event,
            chance=chance,
        )

    def is_local_only(self) -> bool:
        """Whether nothing may leave this machine now."""
        return self.config.policy.server_ceiling is Egress.LOCAL

    @property
    def reaches(self) -> Reaches:
        """Where the runtimes of the current configuration answer."""
        return self.intake.snapshot.reaches

    def apply(self, config: Config) -> Changes:
        """Serve by this configuration from the next request on; those under way keep what they began with.

        Swapped without a wait in between, so that no request sees parts of two. Engines follow in the background. What
        cannot change while running keeps its value: `Changes.waits_for_restart` names it. Raises ValueError, and then
        nothing has changed.
        """
        old, changes = self.config, compare(self.config, config)
        config = keep_fixed(old, config)
        kept = frozenset(name for name, launch in config.launches.items() if old.launches.get(name) == launch)
        snapshot = make_snapshot(config, self.intake.snapshot, kept)
        require_keys_beyond_loopback(snapshot, self._address)
        self.config, self.intake.snapshot = config, snapshot
        self._connector.server_ceiling = config.policy.server_ceiling
        self.breakers.keep(unchanged_deployments(old, config))
        self.retries.keep(config.runtimes)
        self.engines.change(config.launches)
        self._measure_windows()
        if self._address is not None:
            self.open_door(*self._address)
        if "log.level" in changes.settings:
            self.log.set_level(config.settings.log.level)
        if changes.policy_version is not None:
            self.ledger.policy_used(config.policy.version, config.policy.source_json)
        for name in (*changes.removed, *changes.changed):
            base_url = old.runtimes[name].base_url
            if base_url is not None:
                self.upstreams.let_go(read_base_url(base_url))
        return changes

    def rebase(self, base: Config) -> Changes:
        """The file says something else now: serve by it, with what is laid over it. Raises as `apply`, and PolicyError."""
        changes = self.apply(self._laid_over(base))
        self.base = base
        return changes

    def lay_over(self, name: str, overlay: "Overlay | None") -> Changes:
        """Serve `base` with this laid over it, under a name of its own; None takes it off again. Raises as `rebase`."""
        former = self._overlays
        others = {other: kept for other, kept in former.items() if other != name}
        self._overlays = others | ({name: overlay} if overlay else {})
        try:
            return self.apply(self._laid_over(self.base))
        except ValueError:
            self._overlays = former
            raise

    def _laid_over(self, config: Config) -> Config:
        for overlay in self._overlays.values():
            config = overlay(config)
        return config

    def open_door(self, host: str, port: int) -> None:
        """Accept the names of the address that is listened on, and those the configuration adds."""
        self._address = (host, port)
        server = self.config.settings.server
        self.gateway.door = make_door(host, port, server.allowed_hosts, server.allowed_origins)

    def _engine_changed(self, name: str, state: EngineState) -> None:
        if state.status == "ready" and state.base_url is not None:
            self.reaches.place(name, state.base_url, state.api_key)
            self._measure_windows()
        else:
            fault = state.fault or Fault(kind=Kind.ENGINE_NOT_READY, message=f"engine '{name}' is {state.status}")
            self.reaches.lose(name, fault)

    def _measure_windows(self) -> None:
        """What engines said they really serve, by deployment."""
        states = self.engines.states()
        for placed in self.config.policy.placed.values():
            state = states.get(placed.runtime.name)
            if state is not None and state.context is not None:
                self.windows[placed.id] = state.context
        for gone in [one for one in self.windows if one not in self.config.policy.placed]:
            del self.windows[gone]

    async def start(self) -> None:
        """Begin: storage first, then the engines in the background. Raises StoreError."""
        prepare(self._store)
        self.writer.start()
        await self.finishing.start()
        await self.keys.start()
        policy = self.config.policy
        self.ledger.policy_used(policy.version, policy.source_json)
        if self.config.settings.budgets:
            self.budgets.begin()
        self.engines.start()
        self.discovering.start()
        if any(declared_local(self.base)):
            await self.discovering.has_looked_within(LOOKS_WITHIN_S)
        self.batches.start()
        self.idempotency.start()
        self.log.event("server.started", version=__version__, policy=policy.version, ceiling=policy.server_ceiling.value)

    async def stop(self) -> None:
        """End in reverse order; every queued row is written before this returns."""
        try:
            await self.finishing.stop()
            await self.keys.stop()
            await self.batches.stop()
            await self.discovering.stop()
            await self.engines.stop()
            await self.budgets.close()
            await self.idempotency.close()
            await self.upstreams.close()
            self._connector.close()
            await self.rates.close()
        finally:
            self.writer.close()
        self.finishing.leave()
        self.log.event("server.stopped")

    def readiness(self) -> Readiness:
        """The state of every runtime as routing sees it."""
        policy = self.config.policy
        runtimes = tuple(self._status(runtime) for runtime in self.config.runtimes.values())
        up = {status.name for status in runtimes if status.status in {"ready", "configured", "found"}}
        return Readiness(
            ready=not self.gateway.is_stopping
            and any(one.runtime.name in up and one.deployment.abilities.chat for one in policy.placed.values()),
            version=__version__,
            policy_version=policy.version,
            local_only=self.is_local_only(),
            runtimes=runtimes,
            stopping=self.gateway.is_stopping,
            config_problems=self.config_problems,
            waits_for_restart=self.waits_for_restart,
        )

    def _status(self, runtime: Runtime) -> RuntimeStatus:
        is_new = runtime.name not in self.base.runtimes and self.discovering.is_seen_at(runtime.base_url)
        return status_of(
            runtime,
            self.engines.states().get(runtime.name),
            self.reaches.down.get(runtime.name),
            is_found=is_new or runtime.name in self.base.base.vendors,
            deployments=tuple(one.id for one in self.config.policy.placed.values() if one.runtime.name == runtime.name),
        )
