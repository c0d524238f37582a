"""The composition root: builds everything once, wires it together, starts and stops it in order.

Start: ledger, engines (in the background: the server answers at once and says 503 until an engine is ready). Stop:
no new requests (uvicorn drains), engines, upstream connections, and the ledger last, so that every row is written.
"""

import os
import time
from pathlib import Path
from random import Random

from freehold import __version__
from freehold.config import Config
from freehold.dispatch.attempt import Means
from freehold.dispatch.reach import Reaches
from freehold.dispatch.runner import Dispatch
from freehold.dispatch.singles import Singles
from freehold.fault import Fault, Kind
from freehold.features import Caller
from freehold.fit.tokens import load_counter
from freehold.gateways.connector import Connector
from freehold.gateways.http import Upstreams
from freehold.gateways.local_get import make_local_get
from freehold.identity.callers import KeyTable, make_key
from freehold.ledger import Ledger
from freehold.limits.breaker import Breakers
from freehold.local.supervisor import Engines, EngineState
from freehold.routing.features import FactsCache
from freehold.runtime import Egress, Runtime, egress_of
from freehold.server.asgi import Door, Gateway
from freehold.server.context import Context
from freehold.server.counting import Counting
from freehold.server.endpoints.health import Readiness, RuntimeStatus
from freehold.server.intake import Intake
from freehold.server.routes import make_routes, make_tails, speller_of
from freehold.sessions.sticky import Sticky
from freehold.storage.store import prepare, sqlite_url
from freehold.storage.writer import Writer
from freehold.telemetry.log import Log

KEEP_ALIVE_S = 10.0
"""Between two SSE comments while a stream waits; proxies and clients give up on silence after 15 to 60 s."""


class App:
    """One gateway: everything it is made of."""

    def __init__(self, config: Config, log: Log) -> None:
        self.config = config
        self.log = log
        now = time.monotonic
        # Ids must be unique, not secret: a system call for each would cost as much as the whole plan.
        random_bytes = Random(os.urandom(32)).randbytes  # noqa: S311 - see above
        self._store = store_url(config)
        self.writer = Writer(self._store, now_ms=wall_ms, tell=log.event)
        self.ledger = Ledger(self.writer, wall_ms)
        self.breakers = Breakers(now)
        self.reaches = Reaches()
        self.windows: dict[str, int] = {}
        self._connector = Connector(config.policy.server_ceiling)
        self.upstreams = Upstreams(self._connector)
        self.engines = Engines(config.launches, config.data_dir, get=make_local_get(self.upstreams), log=log.event, now=now)
        self.engines.on_change(self._engine_changed)
        self.sticky = Sticky(now)
        self.counting = Counting(load_counter, lambda: FactsCache(os.urandom(32)))
        means = Means(self.upstreams, self.reaches, self.breakers, self.ledger, now, wall_ms, self.windows)
        self.intake = Intake(
            policy=config.policy,
            keys=_key_table(config),
            counting=self.counting,
            breakers=self.breakers,
            reaches=self.reaches,
            sticky=self.sticky,
            ledger=self.ledger,
            now=now,
            wall_ms=wall_ms,
            hour_of=Hours().hour_of,
            random_bytes=random_bytes,
            windows=self.windows,
        )
        context = Context(
            intake=self.intake,
            ledger=self.ledger,
            log=log,
            now=now,
            wall_ms=wall_ms,
            max_body_bytes=config.settings.server.max_body_bytes,
            ledger_is_behind=lambda: self.writer.is_behind,
        )
        self.gateway = Gateway(
            routes=make_routes(context, Dispatch(means, self.sticky), Singles(means), self.readiness),
            tails=make_tails(context),
            door=Door(frozenset(), frozenset()),
            speller_of=speller_of,
            keep_alive_s=KEEP_ALIVE_S,
            start=self.start,
            stop=self.stop,
            now_ms=wall_ms,
            random_bytes=random_bytes,
            log=log,
        )
        self._place_runtimes()

    def open_door(self, host: str, port: int) -> None:
        """Accept the names of the address that is listened on, and those the configuration adds."""
        names = {"localhost", "127.0.0.1", "[::1]", f"[{host}]" if ":" in host else host}
        hosts = {f"{name}:{port}" for name in names} | {*self.config.settings.server.allowed_hosts}
        self.gateway.door = Door(
            frozenset(name.lower() for name in (hosts | names if port in {80, 443} else hosts)),
            frozenset(origin.lower() for origin in self.config.settings.server.allowed_origins),
        )

    def _place_runtimes(self) -> None:
        for runtime in self.config.runtimes.values():
            missing = self.config.without_credentials.get(runtime.name)
            if missing is not None:
                self.reaches.lose(runtime.name, Fault(kind=Kind.UPSTREAM_AUTH, message=missing))
            elif runtime.base_url is not None:
                self.reaches.place(runtime.name, runtime.base_url, self.config.secrets.get(runtime.name))
            else:
                self.reaches.lose(runtime.name, Fault(kind=Kind.ENGINE_NOT_READY, message=f"engine '{runtime.name}' is starting"))

    def _engine_changed(self, name: str, state: EngineState) -> None:
        if state.status == "ready" and state.base_url is not None:
            self.reaches.place(name, state.base_url, state.api_key)
            if state.context is not None:
                for placed in self.config.policy.placed.values():
                    if placed.runtime.name == name:
                        self.windows[placed.id] = state.context
        else:
            fault = state.fault or Fault(kind=Kind.ENGINE_NOT_READY, message=f"engine '{name}' is {state.status}")
            self.reaches.lose(name, fault)

    async def start(self) -> None:
        """Begin: storage first, then the engines in the background. Raises StoreError."""
        prepare(self._store)
        self.writer.start()
        policy = self.config.policy
        self.ledger.policy_used(policy.version, policy.source_json)
        self.engines.start()
        self.log.event("server.started", version=__version__, policy=policy.version, ceiling=policy.server_ceiling.value)

    async def stop(self) -> None:
        """End in reverse order; every queued row is written before this returns."""
        try:
            await self.engines.stop()
            await self.upstreams.close()
            self._connector.close()
        finally:
            self.writer.close()
        self.log.event("server.stopped")

    def readiness(self) -> Readiness:
        """The state of every runtime as routing sees it."""
        policy = self.config.policy
        runtimes = tuple(self._status(runtime) for runtime in self.config.runtimes.values())
        up = {status.name for status in runtimes if status.status in {"ready", "configured"}}
        return Readiness(
            ready=any(one.runtime.name in up and one.deployment.abilities.chat for one in policy.placed.values()),
            version=__version__,
            policy_version=policy.version,
            local_only=policy.server_ceiling is Egress.LOCAL,
            runtimes=runtimes,
        )

    def _status(self, runtime: Runtime) -> RuntimeStatus:
        state = self.engines.states().get(runtime.name)
        down = self.reaches.down.get(runtime.name)
        if state is not None:
            status: str = state.status
            detail = "" if status == "ready" else (down or "")
        else:
            status, detail = ("configured", runtime.base_url or "") if down is None else ("down", down)
        return RuntimeStatus(
            name=runtime.name,
            egress=egress_of(runtime).value,
            status=status,
            detail=detail,
            context=state.context if state is not None else None,
            deployments=tuple(one.id for one in self.config.policy.placed.values() if one.runtime.name == runtime.name),
        )


def store_url(config: Config) -> str:
    """Where the ledger is kept."""
    storage = config.settings.storage
    if storage.url is not None:
        return storage.url
    return sqlite_url(Path(storage.path) if storage.path is not None else config.data_dir / "freehold.db")


def _key_table(config: Config) -> KeyTable | None:
    if config.server_key is None:
        return None
    return KeyTable((make_key(config.server_key, Caller(key="server")),))


def wall_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


class Hours:
    """The local hour of a moment, worked out once per minute."""

    def __init__(self) -> None:
        self._minute = -1
        self._hour = 0

    def hour_of(self, now_ms: int) -> int:
        """0-23."""
        minute = now_ms // 60_000
        if minute != self._minute:
            self._minute, self._hour = minute, time.localtime(now_ms / 1000).tm_hour
        return self._hour
