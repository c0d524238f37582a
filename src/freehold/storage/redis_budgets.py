"""Budgets in Redis, for many processes and machines; the rows of attempts stay in the ledger's own database.

Promised: every step is one script, atomic on the server, and on its disk before it is acknowledged: a server that does not
write its log with every command (`appendonly yes`, `appendfsync always`), or may evict keys, is refused at the start. An
attempt's row is durable in SQL before its reservation is settled here, and both may be repeated: whatever dies in between,
the row is there once, and the reservation stands until it is settled, or lapses at its upper bound, flagged. Accounts are
common to all who name the same Redis, with one ledger or several; what lapses is settled by any of them, and told (its row, its
flags) in its own ledger, by who has that. A Redis that came back without its data is noticed, because it no longer knows what
ledgers remember of it: nothing that is paid for is sent then.

Not promised: that a replica that takes over knows the last moment; Redis does not wait for its replicas.
"""

import secrets
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

import msgspec
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from freehold.record import AttemptRecord
from freehold.storage import redis_scripts as scripts
from freehold.storage.owners import is_dead, own_name
from freehold.storage.redis_client import close_redis, open_redis
from freehold.storage.reservations import Balance, Begun, Charge, Short
from freehold.storage.sql_budgets import SqlBudgets
from freehold.storage.store import StoreError, StoreUnavailableError

TIMEOUT_S = 5.0
RECOVERS_EACH_S = 5.0
MOST_RECOVERED = 500
_LOST = "it has lost the budgets of this ledger; restore its append-only file, or start them anew with `DELETE FROM meta WHERE name = 'budgets_id'`"
_NEEDED = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


class _Kept(msgspec.Struct):
    """A reservation as Redis keeps it."""

    owner: str
    ledger: str
    """The one that its attempt's row belongs in."""
    charges: dict[str, int]
    attempt: Begun | None = None


class RedisBudgets:
    """A `BudgetStore`. `rows` writes the attempts."""

    def __init__(self, url: str, rows: SqlBudgets, password: str | None = None) -> None:
        self._redis = open_redis(url, password, TIMEOUT_S)
        self._where = f"Redis at {url.rpartition('@')[2].partition('?')[0].removeprefix('redis://')}"
        self._rows, self._owner, self._id, self._ledger = rows, own_name(), "", ""
        self._keys: tuple[str, ...] = ()
        texts = (scripts.RESERVE, scripts.SETTLE, scripts.RENEW, scripts.RECOVER, scripts.FORGET)
        self._steps = {text: self._redis.register_script(text) for text in texts}
        self._unsure: list[str] = []
        self._recovered_s = float("-inf")

    async def open(self) -> "RedisBudgets":
        """Check the server, and settle what dead processes left. Raises StoreError."""
        try:
            await self._rows.open()
            await self._check()
            await self._meet()
            await self._recover(looks_for_dead=True)
        except (RedisError, OSError) as error:
            await self.close()
            raise StoreUnavailableError(f"{self._where}: {error}") from error
        except StoreError:
            await self.close()
            raise
        return self

    async def close(self) -> None:
        """Let go of the connections."""
        await close_redis(self._redis)
        await self._rows.close()

    async def reserve(
        self, attempt_id: str, charges: Sequence[Charge], lease_s: float, begun: Begun | None = None
    ) -> Short | None:
        """As `BudgetStore.reserve`."""
        held: dict[str, int] = {}
        for charge in charges:
            if charge.amount < 0 or charge.amount > scripts.LARGEST:
                raise ValueError(f"{charge.account}: {charge.amount} cannot be reserved")
            held[charge.account] = held.get(charge.account, 0) + charge.amount
        kept = msgspec.json.encode(_Kept(self._owner, self._ledger, held, begun)).decode()
        flat = [cell for one in charges for cell in (one.account, min(one.limit, scripts.LARGEST), one.amount)]
        try:
            said = await self._run(scripts.RESERVE, attempt_id, round(lease_s * 1000), kept, *flat)
        except StoreUnavailableError:
            self._unsure.append(attempt_id)
            raise
        return Short(charges[int(said[0])], Balance(int(said[1]), int(said[2]))) if said else None

    async def settle(self, attempt_id: str, amounts: Mapping[str, int], record: AttemptRecord) -> None:
        """As `BudgetStore.settle`."""
        await self._rows.keep(record, amounts)
        spent = [cell for account, amount in amounts.items() for cell in (account, min(max(amount, 0), scripts.LARGEST))]
        await self._pass_on(await self._run(scripts.SETTLE, attempt_id, "settle", *spent))

    async def void(self, attempt_id: str, record: AttemptRecord | None) -> None:
        """As `BudgetStore.void`."""
        if record is not None:
            await self._rows.keep(record, {})
        await self._pass_on(await self._run(scripts.SETTLE, attempt_id, "void"))

    async def renew(self, attempt_ids: Sequence[str], lease_s: float) -> None:
        """As `BudgetStore.renew`."""
        await self._run(scripts.RENEW, round(lease_s * 1000), *attempt_ids)

    async def recover(self) -> None:
        """As `BudgetStore.recover`."""
        try:
            await self._recover(looks_for_dead=True)
        except (RedisError, OSError) as error:
            raise StoreUnavailableError(f"{self._where}: {error}") from error

    async def balances(self, accounts: Sequence[str]) -> dict[str, Balance]:
        """As `BudgetStore.balances`."""
        if not accounts:
            return {}
        try:
            pipe = self._redis.pipeline(transaction=True)
            pipe.hmget(scripts.KEYS[1], *accounts)
            pipe.hmget(scripts.KEYS[2], *accounts)
            spent, reserved = await pipe.execute()
        except (RedisError, OSError) as error:
            raise StoreUnavailableError(f"{self._where}: {error}") from error
        pairs = zip(accounts, spent, reserved, strict=True)
        return {account: Balance(int(one or 0), int(other or 0)) for account, one, other in pairs}

    async def standings(self, prefixes: Sequence[str]) -> dict[str, Balance]:
        """As `BudgetStore.standings`."""
        names: set[str] = set()
        try:
            for key in scripts.KEYS[1:3]:
                names |= {name async for name, _ in self._redis.hscan_iter(key, count=1000) if name.startswith(tuple(prefixes))}
        except (RedisError, OSError) as error:
            raise StoreUnavailableError(f"{self._where}: {error}") from error
        return await self.balances(sorted(names))

    async def _run(self, script: str, *arguments: str | int) -> Any:
        """Run one script, and after what was left undone. Tried twice: every script may be repeated."""
        if self._unsure:
            unsure, self._unsure = self._unsure, []
            for at, attempt_id in enumerate(unsure):
                try:
                    await self._twice(scripts.SETTLE, attempt_id, "void")
                except StoreUnavailableError:
                    self._unsure += unsure[at:]
                    raise
        if monotonic() - self._recovered_s >= RECOVERS_EACH_S:
            await self._recover(looks_for_dead=False)
        return await self._twice(script, *arguments)

    async def _twice(self, script: str, *arguments: str | int) -> Any:
        step = self._steps[script]
        for is_last in (False, True):
            try:
                return await step(keys=self._keys, args=(self._id, *arguments))
            except ResponseError as error:
                why = _LOST if str(error).startswith("LOST") else str(error)
                raise StoreUnavailableError(f"{self._where}: {why}") from error
            except (RedisConnectionError, RedisTimeoutError, OSError) as error:
                if is_last:
                    raise StoreUnavailableError(f"{self._where}: {error}") from error
            except RedisError as error:
                raise StoreUnavailableError(f"{self._where}: {error}") from error
        raise AssertionError  # pragma: no cover - the loop ends by returning or raising

    async def _recover(self, *, looks_for_dead: bool) -> None:
        self._recovered_s = monotonic()
        dead: list[str] = []
        if looks_for_dead:
            held = {attempt: msgspec.json.decode(raw, type=_Kept).owner for attempt, raw in await self._held()}
            gone = {owner for owner in set(held.values()) if is_dead(owner)}
            dead = [attempt for attempt, owner in held.items() if owner in gone]
        await self._pass_on(await self._twice(scripts.RECOVER, MOST_RECOVERED, *dead))

    async def _held(self) -> list[tuple[str, str]]:
        return [pair async for pair in self._redis.hscan_iter(scripts.KEYS[3], count=1000)]

    async def _pass_on(self, waiting: int) -> None:
        """Write the flags of our ledger into it, and then forget them here."""
        if not waiting:
            return
        try:
            for field, cells in [pair async for pair in self._redis.hscan_iter(self._keys[-1], count=1000)]:
                attempt_id, account, flag = field.split("\n")
                reserved, spent = cells.split()
                lapsed = await self._redis.hget(scripts.KEYS[5], attempt_id) if flag == "lapsed" else None
                begun = None if lapsed is None else msgspec.json.decode(lapsed, type=_Kept).attempt
                await self._rows.flag(attempt_id, flag, account, int(reserved), int(spent), begun)
                await self._twice(scripts.FORGET, field, cells)
        except (RedisError, OSError) as error:
            raise StoreUnavailableError(f"{self._where}: {error}") from error

    async def _check(self) -> None:
        """Refuse a server that may forget what it acknowledged."""
        for name, needed in _NEEDED.items():
            try:
                found = (await self._redis.config_get(name)).get(name)
            except ResponseError as error:
                raise StoreError(
                    f"{self._where}: does not say whether it keeps money safe (CONFIG GET {name}: {error})"
                ) from error
            if found != needed:
                raise StoreError(
                    f"{self._where}: has `{name} {found}`, and money needs `{name} {needed}`; set it in redis.conf and restart it"
                )

    async def _meet(self) -> None:
        """Agree on the id that ties these budgets to this ledger, and on the one that tells this ledger from others."""
        known = await self._rows.fact("budgets_id")
        if known is None:
            await self._redis.setnx(scripts.KEYS[0], secrets.token_hex(16))
            known = await self._rows.fact("budgets_id", first=await self._redis.get(scripts.KEYS[0]))
        if await self._redis.get(scripts.KEYS[0]) != known:
            raise StoreError(f"{self._where}: {_LOST}")
        ledger = await self._rows.fact("ledger_id", first=secrets.token_hex(16))
        assert known is not None
        assert ledger is not None
        self._id, self._ledger, self._keys = known, ledger, (*scripts.KEYS, scripts.flags_of(ledger))
