"""What budgets need of the rest of the server: their store, the markers of alerts, and the way alerts leave.

Promised: an alert goes through the one connector, under the server's ceiling, to the one address that the operator named;
nothing is followed, and what comes back is not read.
"""

import hashlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from freehold.config import Config
from freehold.config.load import ALERTS
from freehold.fault import FaultError
from freehold.gateways.connector import read_base_url
from freehold.gateways.http import Call, Upstreams
from freehold.limits.alerts import Alerts
from freehold.limits.budgets import Budgets
from freehold.limits.standings import AccountStanding, lines_of, prefixes_of
from freehold.runtime import Egress
from freehold.server.stores import redis_url, store_url
from freehold.storage.opened_budgets import open_budgets
from freehold.storage.reservations import BudgetStore
from freehold.telemetry.log import Log

TIMEOUT_S = 5.0
FOLDER = "budget-alerts"
KEPT_S = 62 * 86_400
"""The longest window that ends, twice."""


def make_budgets(
    config: Callable[[], Config],
    upstreams: Upstreams,
    log: Log,
    *,
    now: Callable[[], float],
    wall_ms: Callable[[], int],
) -> Budgets:
    """The budgets of this process; nothing is opened yet."""
    folder = config().data_dir / FOLDER
    alerts = Alerts(log.event, lambda name: mark_once(folder, name), Webhook(config, upstreams, log).send)

    def open_store() -> Awaitable[BudgetStore]:
        url, redis = store_url(config()), redis_url(config())
        return open_budgets(url, wall_ms) if redis is None else open_budgets(url, wall_ms, *redis)

    return Budgets(open_store, alerts, now=now, wall_ms=wall_ms, tell=log.event)


async def accounts_now(config: Config, budgets: Budgets, now_ms: int) -> list[AccountStanding]:
    """How the accounts of the present windows stand; a store is opened only where there are budgets. Raises FaultError."""
    held = config.settings.budgets
    found = await budgets.standings(prefixes_of(held, now_ms)) if held else {}
    return [line.told() for line in lines_of(held, found, now_ms)]


def mark_once(folder: Path, name: str) -> bool:
    """Whether this is the first time, ever, that anybody asks for this name. The marker is a file, so it outlives us.

    Where it cannot be made, it counts as the first time: an alert twice is better than none. Those of windows that are long
    over are removed.
    """
    ends = "/total/" not in name
    marker = folder / f"{'ends' if ends else 'stays'}-{hashlib.sha256(name.encode()).hexdigest()[:32]}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(marker, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        made_s = marker.stat().st_mtime
        for old in folder.glob("ends-*"):
            if made_s - old.stat().st_mtime > KEPT_S:
                old.unlink(missing_ok=True)
    except FileExistsError:
        return False
    except OSError:
        return True
    return True


class Webhook:
    """Sends alerts to where `[alerts]` says."""

    def __init__(self, config: Callable[[], Config], upstreams: Upstreams, log: Log) -> None:
        self._config, self._upstreams, self._log = config, upstreams, log

    async def send(self, body: bytes) -> bool:
        """Whether nothing is left to do: it was taken, or there is nobody to send it to."""
        config = self._config()
        alerts = config.settings.alerts
        if alerts.webhook is None:
            return True
        key = config.secrets.get(ALERTS)
        credentials = () if key is None else (("authorization", f"Bearer {key.reveal()}"),)
        try:
            exchange = await self._upstreams.open(
                Call(
                    address=read_base_url(alerts.webhook),
                    path="",
                    headers=(("content-type", "application/json"), *credentials),
                    body=body,
                    egress=Egress(alerts.egress),
                    ceiling=config.policy.server_ceiling,
                    connect_timeout_s=TIMEOUT_S,
                    head_timeout_s=TIMEOUT_S,
                )
            )
        except FaultError as error:
            self._log.event("alert.unsent", level="warning", reason=str(error.fault.message))
            return False
        status = exchange.status
        exchange.abort()
        if status >= 300:
            self._log.event("alert.unsent", level="warning", reason=f"the webhook answered {status}")
        return status < 300
