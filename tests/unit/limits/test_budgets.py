"""Reservations at work: never more than the budget, room lent to whoever waits first, and nothing forgotten."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from freehold.chat import Usage
from freehold.costs.bound import Most
from freehold.fault import FaultError, Kind
from freehold.features import Caller
from freehold.limits import budgets as module
from freehold.limits.alerts import Alerts
from freehold.limits.answer_lengths import AnswerLengths
from freehold.limits.budgets import Asking, Budgets, Held
from freehold.limits.charges import UnknownPrice, items_of
from freehold.limits.kept_holds import KeptHold, keep_hold, restore_hold
from freehold.limits.over_budget import OverBudgetError
from freehold.policy.budgets import BudgetTable
from freehold.record import SETTLED_AS_RESERVED
from support.budget_store import MemoryStore, tells
from support.priced import AT_MS, PLACED, lines, place
from support.records import attempt, features

CLIENT = ("k", "u", None, "m")


class Desk:
    """Budgets over a store in memory."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.tell, self.told = tells()

        async def sent(_body: bytes) -> bool:
            return True

        alerts = Alerts(self.tell, lambda _name: False, sent)
        loop = asyncio.get_running_loop()
        self.budgets = Budgets(self.store.open, alerts, now=loop.time, wall_ms=lambda: AT_MS, tell=self.tell)
        self.count = 0

    def ask(
        self, table: BudgetTable, *, out: int = 1000, lowest: int = 256, within_s: float = 30.0, most: Most | None = None
    ) -> Asking:
        self.count += 1
        items = items_of(table.lines, PLACED, Caller(), most or Most(input_tokens=1000), AT_MS, self.budgets.spans)
        assert not isinstance(items, UnknownPrice)
        until_s = asyncio.get_running_loop().time() + within_s
        return Asking(
            attempt_id=f"req.{self.count}", items=items, output_tokens=out, lowest=lowest, until_s=until_s, client=CLIENT
        )

    def settle(self, held: Held, nano_usd: int | None = 0, *, out: int = 10, **changes: Any) -> None:
        usage = Usage(input_tokens=10, output_tokens=out)
        self.budgets.settle(held, attempt("req", cost_nano_usd=nano_usd, usage=usage, **changes))

    async def done(self) -> None:
        """Until nothing is settled any more."""
        while self.budgets._tasks:
            await asyncio.wait(self.budgets._tasks)


async def until(holds: Callable[[], bool]) -> None:
    """Let the others run until something holds."""
    while not holds():  # noqa: ASYNC110 - there is no event for it, only what the test looks at
        await asyncio.sleep(0)


@pytest.fixture
async def desk() -> Desk:
    return Desk()


def tokens(limit: int, **more: Any) -> BudgetTable:
    return lines({"tokens": limit, **more})


async def test_a_reservation_is_the_prompt_and_the_longest_answer_at_their_prices(desk: Desk):
    held = await desk.budgets.reserve(desk.ask(lines({"usd": 1.0, "tokens": 5000})))
    assert list(held.reserved.values()) == [1000 * 1000 + 1000 * 10_000, 2000]
    assert held.output_tokens == 1000


async def test_what_it_cost_is_charged_and_the_rest_comes_free(desk: Desk):
    held = await desk.budgets.reserve(desk.ask(lines({"usd": 1.0, "tokens": 5000})))
    desk.settle(held, 77, out=5)
    await desk.done()
    assert sorted(desk.store.spent.values()) == [15, 77]
    assert desk.store.held == {}
    assert desk.budgets.under_way == 0


async def test_an_unknown_cost_is_charged_as_reserved_and_its_row_says_so(desk: Desk):
    held = await desk.budgets.reserve(desk.ask(lines({"usd": 1.0}, {"usd": 2.0, "tokens": 5000})))
    desk.settle(held, None, cost_basis="unknown", edits=("model",))
    await desk.done()
    assert list(desk.store.spent.values()) == [11_000_000, 11_000_000, 20]
    row = desk.store.records["req.1"]
    assert (row.cost_nano_usd, row.cost_basis, row.edits) == (11_000_000, "estimated", ("model", SETTLED_AS_RESERVED))
    assert row.usage == Usage(input_tokens=10, output_tokens=10), "of the tokens enough is known"


async def test_unknown_tokens_are_charged_as_reserved_and_teach_nothing_of_the_clients_answers(desk: Desk):
    held = await desk.budgets.reserve(desk.ask(lines({"usd": 1.0, "tokens": 5000})))
    desk.budgets.settle(held, attempt("req", cost_nano_usd=70, cost_basis="metered", usage=None, edits=()))
    await desk.done()
    assert list(desk.store.spent.values()) == [70, 2000]
    row = desk.store.records["req.1"]
    assert (row.cost_nano_usd, row.cost_basis, row.edits) == (70, "metered", (SETTLED_AS_RESERVED,))
    assert row.usage == Usage(input_tokens=1000, output_tokens=1000, basis="estimated")
    assert desk.budgets.answers.cap(CLIENT) == AnswerLengths().cap(CLIENT)


async def test_what_is_known_is_charged_and_written_as_it_is(desk: Desk):
    held = await desk.budgets.reserve(desk.ask(lines({"usd": 1.0, "tokens": 5000})))
    record = attempt("req", cost_nano_usd=70, cost_basis="metered")
    assert desk.budgets.settle(held, record) is record


async def test_what_was_never_taken_costs_nothing(desk: Desk):
    held = await desk.budgets.reserve(desk.ask(lines({"usd": 1.0})))
    desk.budgets.void(held, attempt("req", end="fault", fault="connect_failed"))
    await desk.done()
    assert desk.store.spent == {}
    assert desk.store.held == {}
    assert "req.1" in desk.store.records


async def test_a_short_budget_lowers_the_answer_to_what_the_clients_answers_are_like(desk: Desk):
    for _ in range(3):
        desk.budgets.answers.note(CLIENT, 700, was_cut=False)
    held = await desk.budgets.reserve(desk.ask(tokens(10_000), out=32_000))
    assert held.output_tokens == 1400


async def test_an_answer_that_was_cut_lets_the_next_one_be_longer(desk: Desk):
    held = await desk.budgets.reserve(desk.ask(tokens(10_000), out=32_000))
    first = held.output_tokens
    desk.settle(held, out=first)
    await desk.done()
    desk.store.spent.clear()
    again = await desk.budgets.reserve(desk.ask(tokens(40_000), out=50_000))
    assert again.output_tokens == 2 * 2 * first


async def test_with_nothing_to_wait_for_what_is_left_is_taken_for_a_shorter_answer(desk: Desk):
    held = await desk.budgets.reserve(desk.ask(tokens(1500), out=32_000))
    assert held.output_tokens == 500
    assert desk.store.most == {"b0/day/2026-11-18/tokens/": 1500}


async def test_below_the_shortest_useful_answer_it_is_over_with_the_reset_and_the_remedy(desk: Desk):
    with pytest.raises(OverBudgetError) as caught:
        await desk.budgets.reserve(desk.ask(tokens(1200), out=32_000))
    fault = caught.value.fault
    assert fault.kind is Kind.BUDGET_SPENT
    assert fault.retry_after_s is None
    assert fault.details["left"] == 1200
    assert fault.details["resets_at"] == "2026-11-19T00:00:00Z"
    assert "2026-11-19T00:00:00Z" in fault.message
    assert "max_tokens" in fault.message


async def test_a_client_that_asked_for_little_is_not_told_that_it_may_not_have_more(desk: Desk):
    held = await desk.budgets.reserve(desk.ask(tokens(1010), out=10, lowest=10))
    assert held.output_tokens == 10


async def test_room_that_comes_free_goes_to_whoever_waits_first(desk: Desk):
    table = tokens(4000)
    first = await desk.budgets.reserve(desk.ask(table, out=2000, lowest=2000))
    served: list[int] = []

    async def wait(number: int) -> None:
        held = await desk.budgets.reserve(desk.ask(table, out=2000, lowest=2000))
        served.append(number)
        desk.settle(held, out=0)

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(wait(number))
        await until(lambda: len(desk.budgets._lines._lines.get(first.asking.items[0].account, ())) == 5)
        desk.budgets.void(first, attempt("req"))
    assert served == [0, 1, 2, 3, 4]


async def test_a_newcomer_does_not_overtake_those_who_wait(desk: Desk):
    table = tokens(3000)
    first = await desk.budgets.reserve(desk.ask(table, out=1500, lowest=1500))
    waiting = asyncio.ensure_future(desk.budgets.reserve(desk.ask(table, out=2000, lowest=2000)))
    await until(lambda: first.asking.items[0].account in desk.budgets._lines)
    small = asyncio.ensure_future(desk.budgets.reserve(desk.ask(table, out=10, lowest=10, most=Most(input_tokens=1))))
    for _ in range(50):
        await asyncio.sleep(0)
    assert not small.done()
    desk.budgets.void(first, attempt("req"))
    assert (await waiting).output_tokens == 2000
    await desk.done()
    small.cancel()


async def test_who_waits_in_vain_is_told_to_ask_again_soon(desk: Desk):
    table = tokens(3000, wait_s=0.0)
    await desk.budgets.reserve(desk.ask(table, out=2000, lowest=2000))
    with pytest.raises(OverBudgetError) as caught:
        await desk.budgets.reserve(desk.ask(table, out=2000, lowest=2000))
    assert caught.value.fault.kind is Kind.BUDGET_BUSY
    assert caught.value.fault.retry_after_s == 5.0


async def test_who_may_wait_goes_on_waiting_where_another_process_was_quicker(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "LOOKS_EACH_S", 0.001)
    table, tries, reserve = lines({"usd": 0.008}), 0, desk.store.reserve

    async def quicker(attempt_id: str, charges: Any, lease_s: float, begun: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries == 3:  # we know by now that nothing was reserved, and try to take what is left
            desk.store.held["theirs"] = {charges[0].account: charges[0].limit}
        if tries == 8:
            desk.store.held.clear()
        return await reserve(attempt_id, charges, lease_s, begun)

    monkeypatch.setattr(desk.store, "reserve", quicker)
    held = await desk.budgets.reserve(desk.ask(table))
    assert tries > 8
    assert held.output_tokens == 700, "what is left once theirs came free"


async def test_a_budget_that_is_known_to_be_spent_is_not_asked_again(desk: Desk):
    table = tokens(1200)
    for _ in range(3):
        with pytest.raises(OverBudgetError):
            await desk.budgets.reserve(desk.ask(table, out=300, lowest=300))
    assert [what for what, _ in desk.store.log] == ["reserve"] * 2  # the first one tried, and looked once more in line


async def test_who_leaves_while_it_is_reserved_leaves_nothing_reserved(desk: Desk):
    desk.store.gate = asyncio.Event()
    asking = asyncio.ensure_future(desk.budgets.reserve(desk.ask(tokens(9000))))
    for _ in range(10):
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    desk.store.gate.set()
    await desk.done()
    assert desk.store.held == {}
    assert desk.budgets.under_way == 0


async def test_who_leaves_the_line_lets_the_next_one_step_up(desk: Desk):
    table = tokens(3000)
    held = await desk.budgets.reserve(desk.ask(table, out=2000, lowest=2000))
    waits = [asyncio.ensure_future(desk.budgets.reserve(desk.ask(table, out=2000, lowest=2000))) for _ in range(2)]
    for _ in range(20):
        await asyncio.sleep(0)
    waits[0].cancel()
    desk.budgets.void(held, attempt("req"))
    assert (await waits[1]).output_tokens == 2000
    assert waits[0].cancelled()
    assert desk.budgets._lines._lines == {}


async def test_while_the_store_is_away_nothing_is_reserved_and_the_log_says_so_once(desk: Desk):
    desk.store.is_away = True
    for _ in range(2):
        with pytest.raises(FaultError) as caught:
            await desk.budgets.reserve(desk.ask(tokens(9000)))
        assert caught.value.fault.kind is Kind.BUDGETS_AWAY
        assert caught.value.fault.meaning.falls_back
    assert [event for event, _ in desk.told] == ["budgets.away"]
    desk.store.is_away = False
    assert (await desk.budgets.reserve(desk.ask(tokens(9000)))).output_tokens == 1000


async def test_what_cannot_be_settled_now_is_settled_when_the_store_is_back(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "FIRST_RETRY_S", 0.0)
    held = await desk.budgets.reserve(desk.ask(tokens(9000)))
    desk.store.is_away = True
    desk.settle(held)
    for _ in range(20):
        await asyncio.sleep(0)
    assert desk.budgets.under_way == 1
    desk.store.is_away = False
    await desk.done()
    assert desk.store.spent == {"b0/day/2026-11-18/tokens/": 20}


async def test_one_timer_renews_all_that_is_under_way_and_stops_with_the_last(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "RENEWED_EACH_S", 0.0)
    held = [await desk.budgets.reserve(desk.ask(tokens(90_000))) for _ in range(3)]
    await until(lambda: {"req.1", "req.2", "req.3"} in map(set, desk.store.renewed))
    for one in held:
        desk.settle(one)
    await until(lambda: desk.budgets._renewal is None)
    await desk.done()
    assert desk.store.held == {}


async def test_many_at_once_never_reserve_more_than_there_is(desk: Desk):
    table = lines({"usd": 1.0}, {"tokens": 30_000})
    over: list[Kind] = []

    async def one(number: int) -> None:
        try:
            held = await desk.budgets.reserve(desk.ask(table, out=4000, lowest=256))
        except OverBudgetError as error:
            over.append(error.fault.kind)
            return
        await asyncio.sleep(0)
        desk.settle(held, 3_000_000, out=200)

    async with asyncio.TaskGroup() as group:
        for number in range(400):
            group.create_task(one(number))
    await desk.done()
    limits = {"b0": 1_000_000_000, "b1": 30_000}
    assert all(most <= limits[account[:2]] for account, most in desk.store.most.items())
    assert desk.store.held == {}
    served = sum(what == "settle" for what, _ in desk.store.log)
    # the price pays for 333, the tokens for 142: what is left at the end is less than one more answer may take
    assert 142 - 6 <= served <= 142
    assert len(over) == 400 - served


async def test_a_plan_passes_over_what_a_spent_budget_does_not_pay_for(desk: Desk):
    table = tokens(1200)
    assert desk.budgets.over(table, table.lines, features()) == {}
    with pytest.raises(OverBudgetError):
        await desk.budgets.reserve(desk.ask(table, out=300, lowest=300))
    desk.store.spent["b0/day/2026-11-18/tokens/"] = 1100
    desk.budgets._shortages._known["b0/day/2026-11-18/tokens/"].spent = 1100
    over = desk.budgets.over(table, table.lines, features(max_tokens=None))
    assert "100 tokens of 1200 tokens are left" in over["v/m"].why
    assert desk.budgets.over(table, table.lines, features(max_tokens=50)) == {}


async def test_a_plan_passes_over_an_unknown_price_that_a_budget_holds(desk: Desk):
    unknown = place(price=None)
    table = lines({"usd": 1.0}, placed=unknown)
    assert "its price is not known" in desk.budgets.over(table, table.lines, features())["v/m"].why


async def test_a_reservation_that_is_written_down_is_settled_by_who_reads_it(desk: Desk):
    table = lines({"usd": 1.0, "tokens": 5000})
    for charged, spent in ((True, [11_000_000, 2000]), (False, [11_000_000, 2000])):
        held = await desk.budgets.reserve(desk.ask(table, within_s=0))
        again = restore_hold(msgspec.json.decode(msgspec.json.encode(keep_hold(held)), type=KeptHold))
        assert (again.reserved, again.output_tokens) == (held.reserved, held.output_tokens)
        unknown = attempt("req", cost_nano_usd=None, usage=None, edits=())
        row = await desk.budgets.conclude(again, unknown, is_charged=charged)
        assert (SETTLED_AS_RESERVED in row.edits) == charged, "what is not known is what was reserved"
        assert list(desk.store.spent.values()) == spent
        assert (desk.store.held, desk.budgets.under_way) == ({}, 0)


async def test_a_long_lease_is_not_renewed(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "RENEWED_EACH_S", 0.0)
    renewed: list[str] = []

    async def renew(attempt_ids: Sequence[str], _lease_s: float) -> None:
        renewed.extend(attempt_ids)

    monkeypatch.setattr(desk.store, "renew", renew)
    table = lines({"usd": 1.0})
    await desk.budgets.reserve(msgspec.structs.replace(desk.ask(table), lease_s=90_000.0))
    usual = await desk.budgets.reserve(desk.ask(table))
    await until(lambda: len(renewed) > 2)
    assert set(renewed) == {usual.asking.attempt_id}
    await desk.budgets.close()
