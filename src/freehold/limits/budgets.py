"""Budgets at work: what an attempt may cost is reserved before anything is sent, and settled when it is over.

Promised: nothing that is paid for is sent without a durable reservation of all it can cost, and none while the store is
away; every reservation is settled or let go, by us or, when we die, by the store. Where a budget is short, first the length
of the answer is lowered to what the client's own answers are like, then the request waits its turn for what others have
reserved and will not use, then it takes what is left, and only then it is over. No call here waits but `reserve`.

Not done: which requests are held to which budget (`policy.budgets`), how much they can cost (`costs.bound`), keeping it.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence

import msgspec

from freehold.fault import Fault, FaultError, Kind
from freehold.features import Features
from freehold.limits.alerts import Alerts
from freehold.limits.answer_lengths import AnswerLengths, Client
from freehold.limits.charges import Item, Spans, begun_with, charged
from freehold.limits.over_budget import OverBudgetError, over_budget
from freehold.limits.shortages import Shortages
from freehold.limits.turns import LOOKS_EACH_S, Lines, Turn
from freehold.policy.budgets import BudgetLine, BudgetTable
from freehold.record import AttemptRecord
from freehold.routing.situation import OverBudget
from freehold.storage.reservations import Balance, Begun, BudgetStore, Short
from freehold.storage.store import StoreError

LEASE_S = 60.0
RENEWED_EACH_S = 20.0
TAKES_LEFT = 3
"""How often what is left is tried for, while others take of it."""
FIRST_RETRY_S, LONGEST_RETRY_S = 0.05, 5.0
CLOSES_WITHIN_S = 10.0


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt wants reserved."""

    attempt_id: str
    items: tuple[Item, ...]
    output_tokens: int
    """Of one choice, as it would be sent."""
    lowest: int
    """Below this the answer may not be shortened; as many as `output_tokens`: not at all."""
    until_s: float
    """When there is no point in waiting any more, on the monotonic clock."""
    client: Client
    choices: int = 1
    lease_s: float = LEASE_S
    """How long the reservation stands by itself. One that is longer than usual is not renewed: its attempt is away for hours."""
    begun: Begun | None = None
    """Of the attempt, before it is known what is reserved for it."""


class Held(msgspec.Struct, kw_only=True):
    """A reservation."""

    asking: Asking
    output_tokens: int
    """What each choice may have: never more than was asked for."""
    reserved: dict[str, int]
    """By account."""
    waited_s: float = 0.0


class Budgets:
    """One per process. `open_store` is called with the first attempt that has to be paid for."""

    def __init__(
        self,
        open_store: Callable[[], Awaitable[BudgetStore]],
        alerts: Alerts,
        *,
        now: Callable[[], float],
        wall_ms: Callable[[], int],
        tell: Callable[..., None],
    ) -> None:
        """`now` is a monotonic clock in seconds, `wall_ms` Unix milliseconds, `tell(event, **facts)` the log."""
        self._open_store = open_store
        self._alerts = alerts
        self._now, self._wall_ms, self._tell = now, wall_ms, tell
        self.spans = Spans(wall_ms)
        self.answers = AnswerLengths()
        self._store: BudgetStore | None = None
        self._opening = asyncio.Lock()
        self._lines = Lines()
        self._shortages = Shortages(wall_ms, self.spans)
        self._held: dict[str, Held] = {}
        """By attempt: reserved, and not settled yet."""
        self._renewal: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_away = False

    @property
    def under_way(self) -> int:
        """Reservations that are not settled yet."""
        return len(self._held)

    def over(self, table: BudgetTable, lines: Sequence[BudgetLine], features: Features) -> dict[str, OverBudget]:
        """As `Shortages.over`."""
        return self._shortages.over(table, lines, features)

    async def reserve(self, asking: Asking) -> Held:
        """Reserve what the attempt can cost, on all its accounts. Raises OverBudgetError; FaultError while the store is away."""
        since_s = self._now()
        self._refuse_hopeless(asking)
        account = next((item.account for item in asking.items if item.account in self._lines), None)
        short: Short | None = None
        if account is None:
            held, short = await self._try(asking, asking.output_tokens)
            cap = self._cap(asking)
            if held is None and cap < asking.output_tokens:
                held, short = await self._try(asking, cap)
            if held is not None:
                return held
            assert short is not None
            account = short.charge.account
        held = await self._wait(asking, account)
        held.waited_s = self._now() - since_s
        return held

    def _cap(self, asking: Asking) -> int:
        """As long as the client's own answers are, and not shorter than may be."""
        return max(min(asking.output_tokens, self.answers.cap(asking.client)), asking.lowest)

    def _refuse_hopeless(self, asking: Asking) -> None:
        for item in asking.items:
            left = self._shortages.left(item)
            if left is not None and item.bound.cost_of(asking.lowest) > left:
                raise self._over(item, Balance(item.limit - left, 0), asking)

    async def _try(self, asking: Asking, output_tokens: int) -> tuple[Held | None, Short | None]:
        """Reserve for an answer of that length. Somebody who leaves meanwhile leaves nothing reserved."""
        charges = tuple(item.charge(output_tokens) for item in asking.items)
        store = await self._opened()
        begun = None if asking.begun is None else begun_with(asking.begun, asking.items, output_tokens)
        asked = asyncio.ensure_future(store.reserve(asking.attempt_id, charges, asking.lease_s, begun))
        try:
            short = await asyncio.shield(asked)
        except asyncio.CancelledError:
            self._in_background(self._let_go(asked, asking.attempt_id))
            raise
        except StoreError as error:
            raise self._away(error) from error
        self._is_away = False
        if short is not None:
            self._shortages.note(_short_item(asking, short), short)
            return None, short
        held = Held(asking=asking, output_tokens=output_tokens, reserved={charge.account: charge.amount for charge in charges})
        self._held[asking.attempt_id] = held
        if self._renewal is None:
            self._renewal = asyncio.get_running_loop().call_later(RENEWED_EACH_S, self._renew)
        return held, None

    async def _let_go(self, asked: "asyncio.Future[Short | None]", attempt_id: str) -> None:
        with contextlib.suppress(StoreError):
            if await asked is None and self._store is not None:
                await self._store.void(attempt_id, None)

    async def _wait(self, asking: Asking, account: str) -> Held:
        """Stand in the account's line until there is room, or no more hope of it; then maybe in another account's."""
        begun_s = self._now()
        while True:
            item = next(one for one in asking.items if one.account == account)
            until_s = min(asking.until_s, begun_s + item.line.budget.wait_s)
            turn = self._lines.join(account)
            try:
                found = await self._in_line(asking, account, turn, until_s)
            finally:
                self._lines.leave(account, turn)
            if isinstance(found, Held):
                return found
            account = found

    async def _in_line(self, asking: Asking, account: str, turn: Turn, until_s: float) -> Held | str:
        """The reservation, or the other account that has no room."""
        while True:
            is_late = self._now() >= until_s
            if is_late or self._lines.is_head(account, turn):
                held, short = await self._try(asking, self._cap(asking))
                if held is not None:
                    return held
                assert short is not None
                if is_late or short.balance.reserved == 0:
                    held, short = await self._take_left(asking, short)
                    if held is not None:
                        return held
                    item = _short_item(asking, short)
                    least = item.bound.cost_of(asking.lowest)
                    if is_late or (short.balance.reserved == 0 and least > item.limit - short.balance.spent):
                        raise self._over(item, short.balance, asking)
                    # Others were quicker, in this process or another: what they will not use comes free again.
                if short.charge.account != account:
                    return short.charge.account
            left_s = until_s - self._now()
            await turn.wait(min(left_s, LOOKS_EACH_S) if self._lines.is_head(account, turn) else left_s)
            self._refuse_hopeless(asking)

    async def _take_left(self, asking: Asking, short: Short) -> tuple[Held | None, Short]:
        """A shorter answer, if what is left pays for one; and how the account stood that was short last."""
        for _ in range(TAKES_LEFT):
            room = short.charge.limit - short.balance.spent - short.balance.reserved
            affordable = _short_item(asking, short).bound.tokens_for(room)
            if affordable is not None and affordable < asking.lowest:
                break
            longest = asking.output_tokens if affordable is None else min(affordable, asking.output_tokens)
            held, again = await self._try(asking, longest)
            if held is not None:
                return held, short
            assert again is not None
            short = again
        return None, short

    def _over(self, item: Item, balance: Balance, asking: Asking) -> OverBudgetError:
        return over_budget(item, balance, item.bound.cost_of(asking.lowest), self._wall_ms())

    def settle(self, held: Held, record: AttemptRecord) -> AttemptRecord:
        """The attempt is over: charge what it cost, and write its row with that. What is not known is what was reserved.

        Gives the row.
        """
        row, amounts = charged(record, held.asking.items, held.output_tokens)
        usage = record.usage
        if usage is not None and usage.output_tokens and record.end in {"served", "escalated"}:
            each = -(-usage.output_tokens // held.asking.choices)
            self.answers.note(held.asking.client, each, was_cut=each >= held.output_tokens)
        self._in_background(self._finish(held, row, amounts))
        return row

    def void(self, held: Held, record: AttemptRecord) -> None:
        """Nothing was sent, or it was turned down: nothing is charged."""
        self._in_background(self._finish(held, record, None))

    async def conclude(self, held: Held, record: AttemptRecord, *, is_charged: bool) -> AttemptRecord:
        """As `settle`, or as `void` where nothing is charged, and wait until that is durable. Gives the row.

        Also for what an earlier process reserved, and what lapsed with it: then this corrects what that was settled at.
        """
        row, amounts = charged(record, held.asking.items, held.output_tokens) if is_charged else (record, None)
        await self._finish(held, row, amounts)
        return row

    async def forget(self, attempt_id: str) -> None:
        """Let go of what a process that died may have reserved for it. Raises FaultError while the store is away."""
        try:
            await (await self._opened()).void(attempt_id, None)
        except StoreError as error:
            raise self._away(error) from error

    async def _finish(self, held: Held, record: AttemptRecord, amounts: dict[str, int] | None) -> None:
        """Tell the store, however often that takes: until then the reservation stands."""
        store, retry_s = await self._opened(), FIRST_RETRY_S  # it was open when this was reserved
        while not await self._told(store, held, record, amounts):
            await asyncio.sleep(retry_s)
            retry_s = min(retry_s * 2, LONGEST_RETRY_S)
        self._held.pop(held.asking.attempt_id, None)
        for item in held.asking.items:
            if amounts is not None:
                self._shortages.add(item.account, amounts[item.account])
            self._lines.rouse(item.account)
        if amounts is not None:
            self._alerts.spent(held.asking.items, store)

    async def _told(self, store: BudgetStore, held: Held, record: AttemptRecord, amounts: dict[str, int] | None) -> bool:
        try:
            if amounts is None:
                await store.void(held.asking.attempt_id, record)
            else:
                await store.settle(held.asking.attempt_id, amounts, record)
        except StoreError as error:
            self._away(error)
            return False
        self._is_away = False
        return True

    def _renew(self) -> None:
        """One timer for all that is under way."""
        self._renewal = None
        if self._held and self._store is not None:
            short = tuple(name for name, held in self._held.items() if held.asking.lease_s <= LEASE_S)
            self._in_background(self._renew_all(self._store, short))
            self._renewal = asyncio.get_running_loop().call_later(RENEWED_EACH_S, self._renew)

    async def _renew_all(self, store: BudgetStore, attempt_ids: Sequence[str]) -> None:
        try:
            await store.renew(attempt_ids, LEASE_S)
        except StoreError as error:
            self._away(error)  # the next turn of the timer tries again, well before the leases end

    def begin(self) -> None:
        """Open the store now, in the background: what processes that died have left is settled then."""
        self._in_background(self._begin())

    async def _begin(self) -> None:
        with contextlib.suppress(FaultError):  # it is in the log, and the first attempt tries again
            await self._opened()

    async def store(self) -> BudgetStore:
        """The store, opened where it was not yet. Raises FaultError while it is away."""
        return await self._opened()

    async def standings(self, prefixes: Sequence[str]) -> dict[str, Balance]:
        """How the accounts stand whose names begin with one of these. Raises FaultError while the store is away."""
        try:
            return await (await self._opened()).standings(prefixes)
        except StoreError as error:
            raise self._away(error) from error

    async def recover(self) -> None:
        """Settle what processes that died had reserved. Raises StoreError, FaultError while the store is away."""
        await (await self._opened()).recover()

    async def _opened(self) -> BudgetStore:
        if self._store is None:
            async with self._opening:
                if self._store is None:
                    try:
                        self._store = await self._open_store()
                    except StoreError as error:
                        raise self._away(error) from error
        return self._store

    def _away(self, error: StoreError) -> FaultError:
        if not self._is_away:
            self._is_away = True
            self._tell("budgets.away", level="error", reason=str(error), says="nothing that is paid for is sent until it is back")
        message = "the store of budgets cannot be reached, so nothing that is paid for is sent; ask again in a moment"
        return FaultError(Fault(kind=Kind.BUDGETS_AWAY, message=message, retry_after_s=1.0))

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def idle(self) -> None:
        """Wait until nothing is being settled."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Settle what is left, for no longer than a while: what is not settled then, the store settles by its leases."""
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSES_WITHIN_S)
        for task in self._tasks:
            task.cancel()
        await self._alerts.close()
        if self._store is not None:
            await self._store.close()
            self._store = None


def _short_item(asking: Asking, short: Short) -> Item:
    return next(one for one in asking.items if one.account == short.charge.account)
