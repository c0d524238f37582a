"""The ledger and the accounts say the same: what an account has spent is what the rows of the attempts charged to it cost."""

import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import msgspec
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from freehold.chat import Usage
from freehold.storage.engine import create_tables, open_engine
from freehold.storage.reservations import Begun, Charge, Short
from freehold.storage.sqlite_budgets import SqliteLink
from freehold.storage.store import prepare, sqlite_url
from support.budget_cases import BEGUN, paid

LIMIT = 1000
LEASE_S = 60.0
MONEY, TOKENS = ("team/day/d/usd/", "user/day/d/usd/ann"), ("team/day/d/tokens/",)


def begun(nano_usd: int | None, tokens: int | None) -> Begun:
    return msgspec.structs.replace(
        BEGUN,
        nano_usd=nano_usd,
        input_tokens=None if tokens is None else tokens // 2,
        output_tokens=0 if tokens is None else tokens - tokens // 2,
    )


class Ledger(RuleBasedStateMachine):
    """Attempts that are reserved for, forgotten, settled late, let go, and asked for again, on a real store."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "ledger.db"
        prepare(sqlite_url(path))
        engine = open_engine(sqlite_url(path))
        create_tables(engine, now_ms=1)
        engine.dispose()
        self.now_ms = 1_000_000
        self.link = SqliteLink(path, lambda: self.now_ms, "place:1:1")
        self.reader = sqlite3.connect(path)
        self.charged: dict[str, tuple[str, ...]] = {}
        """By attempt that was reserved for."""
        self.ended: dict[str, tuple[Any, ...]] = {}

    def teardown(self) -> None:
        self.link.close()
        self.reader.close()
        self.folder.cleanup()

    def step(self, work: Any) -> Any:
        """One transaction, undone where there was no room."""
        self.link.begin()
        said = work(self.link.steps)
        if isinstance(said, Short):
            self.link.rollback()
        else:
            self.link.commit()
        return said

    @initialize()
    def open(self) -> None:
        assert self.step(lambda steps: steps.recover()) == 0

    @rule(accounts=st.sets(st.sampled_from(MONEY + TOKENS), min_size=1), nano_usd=st.integers(0, 400), tokens=st.integers(0, 400))
    def reserve(self, accounts: set[str], nano_usd: int, tokens: int) -> None:
        attempt_id = f"req_{len(self.charged)}.1"
        charges = [Charge(one, LIMIT, nano_usd if one in MONEY else tokens) for one in sorted(accounts)]
        known = begun(nano_usd if accounts & set(MONEY) else None, tokens if accounts & set(TOKENS) else None)
        if self.step(lambda steps: steps.reserve(attempt_id, charges, LEASE_S, known)) is None:
            self.charged[attempt_id] = tuple(sorted(accounts))

    @rule(data=st.data(), nano_usd=st.integers(0, 500), tokens=st.integers(0, 500))
    def settle(self, data: st.DataObject, nano_usd: int, tokens: int) -> None:
        open_ones = sorted(set(self.charged) - set(self.ended))
        if not open_ones:
            return
        attempt_id = data.draw(st.sampled_from(open_ones))
        amounts = {one: nano_usd if one in MONEY else tokens for one in self.charged[attempt_id]}
        record = paid(attempt_id, cost_nano_usd=nano_usd, usage=Usage(input_tokens=tokens, output_tokens=0))
        self.ended[attempt_id] = ("settle", amounts, record)
        self.again(attempt_id)

    @rule(data=st.data(), has_row=st.booleans())
    def void(self, data: st.DataObject, has_row: bool) -> None:
        open_ones = sorted(set(self.charged) - set(self.ended))
        if not open_ones:
            return
        attempt_id = data.draw(st.sampled_from(open_ones))
        nothing = Usage(input_tokens=0, output_tokens=0)
        self.ended[attempt_id] = ("void", paid(attempt_id, cost_nano_usd=0, usage=nothing, end="fault") if has_row else None)
        self.again(attempt_id)

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        if self.ended:
            self.again(data.draw(st.sampled_from(sorted(self.ended))))

    def again(self, attempt_id: str) -> None:
        how, *facts = self.ended[attempt_id]
        self.step(lambda steps: getattr(steps, how)(attempt_id, *facts))

    @rule(seconds=st.sampled_from((1, 30, 100)))
    def time_passes(self, seconds: int) -> None:
        self.now_ms += seconds * 1000

    @rule(is_dead=st.booleans())
    def recover(self, is_dead: bool) -> None:
        self.step(lambda steps: steps.recover((lambda _owner: True) if is_dead else None))

    @invariant()
    def rows_and_accounts_agree(self) -> None:
        rows = {
            f"{request_id}.{number}": (cost, tokens)
            for request_id, number, cost, tokens in self.reader.execute(
                "SELECT request_id, number, cost_nano_usd, input_tokens + output_tokens FROM attempts"
            )
        }
        held = {one for (one,) in self.reader.execute("SELECT attempt_id FROM reservations")}
        assert not held & set(rows), "an attempt is under way, or it has a row"
        spent = dict(self.reader.execute("SELECT account, spent FROM accounts"))
        for account in MONEY + TOKENS:
            charged = [rows[one] for one, accounts in self.charged.items() if account in accounts and one in rows]
            assert spent.get(account, 0) == sum(cost if account in MONEY else tokens for cost, tokens in charged)


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
