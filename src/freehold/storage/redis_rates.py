"""Rates counted in Redis, for many processes on many machines.

Promised: what `storage.rates` promises, exactly, over all who name the same server: every `take` is one script, atomic there, on the
server's clock. A meter's key lives as long as it says something, so that no caller leaves any behind. A server that does not
answer within `TIMEOUT_S` is away. Not promised: that counts outlive a Redis that keeps nothing, or a change of its clock.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

from redis.exceptions import RedisError

from freehold.policy.gcra import Charge, Denied, Hold, Taken
from freehold.storage.rates import LEASE_S, RatesAwayError
from freehold.storage.redis_client import close_redis, open_redis

TIMEOUT_S = 0.5
"""A request waits for it."""
LARGEST = 2**52
"""Redis reckons in doubles: up to here sums of two are exact. No slack comes near it."""
_LEASE_US = int(LEASE_S * 1_000_000)
_PREFIX = "{freehold}:rate:"
"""One slot, so that a script may touch all of a request's meters."""

_HEAD = """
local function whole(number) return string.format('%.0f', number) end
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
"""
_TAKE = (
    _HEAD
    + """
-- keys: meters, then places. arguments: how many meters, lease, holder; cost and slack of each meter; how many of each place
local meters, lease, holder = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local before, longest, short = {}, 0, 0
for at = 1, meters do
  before[at] = math.max(tonumber(redis.call('GET', KEYS[at]) or '0') - now, 0)
  local wait = before[at] + tonumber(ARGV[2 * at + 2]) - tonumber(ARGV[2 * at + 3])
  if wait > longest then longest, short = wait, at end
end
if short > 0 then return {0, short, whole(longest), before} end
local held = {}
for at = meters + 1, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[at], '-inf', whole(now))
  held[at - meters] = redis.call('ZCARD', KEYS[at]) + 1
end
for at = meters + 1, #KEYS do
  if held[at - meters] > tonumber(ARGV[meters + at + 3]) then return {0, at, '', before} end
end
for at = 1, meters do
  before[at] = before[at] + tonumber(ARGV[2 * at + 2])
  redis.call('SET', KEYS[at], whole(now + before[at]), 'PX', whole(math.ceil(before[at] / 1000) + 1))
end
for at = meters + 1, #KEYS do
  redis.call('ZADD', KEYS[at], whole(now + lease), holder)
  redis.call('PEXPIRE', KEYS[at], whole(math.ceil(lease / 1000)))
end
return {1, before, held}
"""
)
_SETTLE = (
    _HEAD
    + """
-- keys: meters, then places. arguments: how many meters, holder; how far to move each meter
local meters = tonumber(ARGV[1])
for at = 1, meters do
  local ahead = math.max(tonumber(redis.call('GET', KEYS[at]) or '0') - now, 0) + tonumber(ARGV[at + 2])
  if ahead > 0 then
    redis.call('SET', KEYS[at], whole(now + ahead), 'PX', whole(math.ceil(ahead / 1000) + 1))
  else
    redis.call('DEL', KEYS[at])
  end
end
for at = meters + 1, #KEYS do redis.call('ZREM', KEYS[at], ARGV[2]) end
return 0
"""
)
_RENEW = (
    _HEAD
    + """
-- keys: places. arguments: lease; the holder of each
for at = 1, #KEYS do
  redis.call('ZADD', KEYS[at], 'XX', whole(now + ARGV[1]), ARGV[at + 1])
  redis.call('PEXPIRE', KEYS[at], whole(math.ceil(ARGV[1] / 1000)))
end
return 0
"""
)


class RedisRates:
    """A `RateStore` on one Redis server. Connects with the first `take`."""

    def __init__(self, url: str, password: str | None = None) -> None:
        self._redis = open_redis(url, password, TIMEOUT_S)
        self._take, self._settle, self._renew = (self._redis.register_script(text) for text in (_TAKE, _SETTLE, _RENEW))
        self._held: set[tuple[str, str]] = set()
        """Places of this process: (account, holder)."""
        self._after_work: set[asyncio.Task[None]] = set()
        self._renewing: asyncio.TimerHandle | None = None

    async def take(self, charges: Sequence[Charge], holds: Sequence[Hold], holder: str) -> Taken | Denied:
        """As `RateStore.take`."""
        self._held.update((hold.account, holder) for hold in holds)
        if self._held and self._renewing is None:
            self._renew_later(asyncio.get_running_loop())
        keys = [_meter(charge.account) for charge in charges] + [_place(hold.account) for hold in holds]
        limits = [cell for charge in charges for cell in (min(charge.cost_us, LARGEST), min(charge.slack_us, LARGEST))]
        most = [hold.most for hold in holds]
        try:
            said: Any = await self._take(keys=keys, args=[len(charges), _LEASE_US, holder, *limits, *most])
        except BaseException as error:
            # Whether it took them is not known: a place that nobody knows of must not stay taken.
            self.settle((), [hold.account for hold in holds], holder)
            if isinstance(error, RedisError | OSError):
                raise RatesAwayError(f"Redis: {type(error).__name__}") from error
            raise
        if said[0]:
            return Taken(tuple(map(int, said[1])), tuple(map(int, said[2])))
        self._held.difference_update((hold.account, holder) for hold in holds)
        accounts = [*(charge.account for charge in charges), *(hold.account for hold in holds)]
        return Denied(accounts[int(said[1]) - 1], int(said[2]) if said[2] else None, tuple(map(int, said[3])))

    def settle(self, corrections: Sequence[tuple[str, int]], places: Sequence[str], holder: str) -> None:
        """As `RateStore.settle`."""
        self._held.difference_update((account, holder) for account in places)
        if corrections or places:
            keys = [_meter(account) for account, _ in corrections] + [_place(account) for account in places]
            moves = [max(min(moved_us, LARGEST), -LARGEST) for _, moved_us in corrections]
            self._work_after(self._settle(keys=keys, args=[len(corrections), holder, *moves]))

    async def close(self) -> None:
        """As `RateStore.close`."""
        if self._renewing is not None:
            self._renewing.cancel()
        for account, holder in tuple(self._held):
            self.settle((), (account,), holder)
        if self._after_work:
            await asyncio.wait(self._after_work, timeout=2 * TIMEOUT_S)
        await close_redis(self._redis)

    def _renew_later(self, loop: asyncio.AbstractEventLoop) -> None:
        def renew() -> None:
            self._renewing = None
            if self._held:
                held = sorted(self._held)
                keys = [_place(account) for account, _ in held]
                self._work_after(self._renew(keys=keys, args=[_LEASE_US, *(holder for _, holder in held)]))
                self._renew_later(loop)

        self._renewing = loop.call_later(LEASE_S / 3, renew)

    def _work_after(self, work: Awaitable[Any]) -> None:
        """What fails is left: a place comes back when its lease ends, a meter when its time comes."""

        async def do() -> None:
            try:
                await work
            except (RedisError, OSError):
                return

        task = asyncio.ensure_future(do())
        self._after_work.add(task)
        task.add_done_callback(self._after_work.discard)


def _meter(account: str) -> str:
    return f"{_PREFIX}meter:{account}"


def _place(account: str) -> str:
    return f"{_PREFIX}places:{account}"
