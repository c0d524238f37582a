"""The steps of money as SQL: reserve, settle, void, renew, recover. Each is a part of one transaction that its caller holds.

Promised: a step changes all its rows or, by the savepoint around it, none; every step may be repeated and then changes
nothing more; a reservation that was settled because its lease had ended is corrected when its true settlement comes after
all. The text is the same on SQLite and PostgreSQL, but for the mark of a parameter. Not done here: transactions, threads,
connections (`sql_budgets`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from freehold.record import AttemptRecord
from freehold.storage.lapsed import SAYS as LAPSED
from freehold.storage.lapsed import lapsed_attempt
from freehold.storage.reservations import Balance, Begun, Charge, Short
from freehold.storage.rows import COLUMNS, LARGEST, TO_ROW, mended_cell

MOST_RECOVERED = 500
"""Reservations settled in one step: others wait while it lasts."""
_PUT_FLAG = (
    "INSERT INTO money_flags VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (attempt_id, flag, account) DO UPDATE SET reserved = excluded.reserved, spent = excluded.spent "
    "WHERE excluded.flag <> 'lapsed' OR excluded.spent <> excluded.reserved"
)
"""That it lapsed is only ever the first word: a correction is not undone by who comes late with it."""

_LITERAL = str.maketrans({"!": "!!", "%": "!%", "_": "!_"})
_encode = msgspec.json.Encoder().encode
_read_begun = msgspec.json.Decoder(Begun).decode


class Cursor(Protocol):
    """What both drivers give for a statement."""

    @property
    def rowcount(self) -> int:
        """Rows changed."""

    def fetchone(self) -> Any:
        """The next row, or None."""

    def fetchall(self) -> list[Any]:
        """All rows."""


class Steps:
    """The steps on one connection. For one thread only."""

    def __init__(
        self,
        run: Callable[[str, Sequence[object]], Cursor],
        *,
        mark: str,
        now_ms: Callable[[], int],
        owner: str,
        is_refusal: Callable[[Exception], bool],
    ) -> None:
        """`run(text, parameters)` executes one statement; `is_refusal` says whether a row was at fault, not the database."""
        self._run_text, self._mark, self._texts = run, mark, dict[str, str]()
        self._now_ms, self._owner, self.is_refusal = now_ms, owner, is_refusal
        columns = COLUMNS["attempts"]
        names, marks = ", ".join(f'"{name}"' for name in columns), ", ".join("?" * len(columns))
        changed = ", ".join(f'"{name}" = excluded."{name}"' for name in columns if name not in {"request_id", "number"})
        # The true row takes the place of the one that a lapse left, and of no other.
        self._put_attempt = (
            f"INSERT INTO attempts ({names}) VALUES ({marks}) ON CONFLICT (request_id, number) "  # noqa: S608 - the schema's own
            f"DO UPDATE SET {changed} WHERE attempts.fault_message = '{LAPSED}'"
        )

    def run(self, text: str, *parameters: object) -> Cursor:
        """Run one statement, its parameters marked by `?`."""
        if self._mark != "?" and text not in self._texts:
            self._texts[text] = text.replace("?", self._mark)
        return self._run_text(self._texts.get(text, text), parameters)

    def reserve(self, attempt_id: str, charges: Sequence[Charge], lease_s: float, begun: Begun | None) -> Short | None:
        """Reserve all or nothing. Where it is short, the caller must roll this step back."""
        held: dict[str, int] = {}
        for charge in charges:
            held[charge.account] = held.get(charge.account, 0) + charge.amount
        known = None if begun is None else _encode(begun).decode()
        row = (attempt_id, self._owner, self._now_ms() + round(lease_s * 1000), _encode(held).decode(), known)
        if not self.run("INSERT INTO reservations VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", *row).rowcount:
            return None
        for charge in charges:
            if not self._take(charge):
                return Short(charge, Balance())
        return None

    def _take(self, charge: Charge) -> bool:
        amount, limit = charge.amount, min(charge.limit, LARGEST)
        if amount < 0:
            raise ValueError(f"{charge.account}: {amount} cannot be reserved")
        changed = self.run(
            "UPDATE accounts SET reserved = reserved + ? WHERE account = ? AND spent + reserved <= ?",
            *(amount, charge.account, limit - amount),
        )
        if changed.rowcount:
            return True
        made = "INSERT INTO accounts VALUES (?, 0, ?) ON CONFLICT DO NOTHING"
        return amount <= limit and self.run(made, charge.account, amount).rowcount > 0

    def settle(self, attempt_id: str, amounts: Mapping[str, int], record: AttemptRecord) -> None:
        """Turn the reservation into what was spent, and write the row."""
        held = self._let_go(attempt_id)
        if held is None:
            self._correct(attempt_id, amounts)
        else:
            self._spend(
                attempt_id, held, {account: amounts.get(account, held.get(account, 0)) for account in {**held, **amounts}}
            )
        self.write(record, amounts)

    def void(self, attempt_id: str, record: AttemptRecord | None) -> None:
        """Let the reservation go, and write the row where there is one."""
        held = self._let_go(attempt_id)
        if held is None:
            self._correct(attempt_id, None)
        else:
            for account, amount in sorted(held.items()):
                self.run("UPDATE accounts SET reserved = reserved - ? WHERE account = ?", amount, account)
        if record is not None:
            self.write(record, {})

    def renew(self, attempt_ids: Sequence[str], lease_s: float) -> None:
        """Move the end of leases."""
        lapses_ms = self._now_ms() + round(lease_s * 1000)
        for attempt_id in attempt_ids:
            self.run("UPDATE reservations SET lapses_ms = ? WHERE attempt_id = ?", lapses_ms, attempt_id)

    def balances(self, accounts: Sequence[str]) -> dict[str, Balance]:
        """How accounts stand."""
        return {account: self._balance(account) for account in accounts}

    def _balance(self, account: str) -> Balance:
        row = self.run("SELECT spent, reserved FROM accounts WHERE account = ?", account).fetchone()
        return Balance() if row is None else Balance(int(row[0]), int(row[1]))

    def standings(self, prefixes: Sequence[str]) -> dict[str, Balance]:
        """How the accounts stand whose names begin with one of these."""
        found: dict[str, Balance] = {}
        for prefix in prefixes:
            pattern = prefix.translate(_LITERAL) + "%"
            wanted = "SELECT account, spent, reserved FROM accounts WHERE account LIKE ? ESCAPE '!' ORDER BY account"
            for account, spent, reserved in self.run(wanted, pattern).fetchall():
                if account.startswith(prefix):  # LIKE of SQLite takes capitals for small letters
                    found[account] = Balance(int(spent), int(reserved))
        return found

    def recover(self, is_dead: Callable[[str], bool] | None = None) -> int:
        """Settle what has lapsed at what was reserved, flagged, with its row; with `is_dead`, what dead owners left too.

        Gives how many there were.
        """
        now_ms = self._now_ms()
        wanted = "SELECT attempt_id, charges, attempt FROM reservations WHERE lapses_ms <= ? ORDER BY lapses_ms LIMIT ?"
        found = self.run(wanted, now_ms, MOST_RECOVERED).fetchall()
        if is_dead is not None:
            owners = [row[0] for row in self.run("SELECT DISTINCT owner FROM reservations").fetchall()]
            for owner in filter(is_dead, owners):
                left = "SELECT attempt_id, charges, attempt FROM reservations WHERE owner = ? AND lapses_ms > ? LIMIT ?"
                found += self.run(left, owner, now_ms, MOST_RECOVERED).fetchall()
        for attempt_id, charges, known in found:
            held: dict[str, int] = msgspec.json.decode(charges, type=dict[str, int])
            self.run("DELETE FROM reservations WHERE attempt_id = ?", attempt_id)
            for account, amount in sorted(held.items()):
                moved = "UPDATE accounts SET reserved = reserved - ?, spent = spent + ? WHERE account = ?"
                self.run(moved, amount, amount, account)
                self.flag(attempt_id, "lapsed", account, amount, amount)
            if known is not None:
                self.write(lapsed_attempt(attempt_id, _read_begun(known)), {})
        return len(found)

    def fact(self, name: str, first: str | None) -> str | None:
        """A fact about this store; where there is none yet, `first` becomes it."""
        if first is not None:
            self.run("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO NOTHING", name, first)
        row = self.run("SELECT value FROM meta WHERE name = ?", name).fetchone()
        return None if row is None else str(row[0])

    def _let_go(self, attempt_id: str) -> dict[str, int] | None:
        """What was reserved, its row removed; None: there is none any more."""
        row = self.run("DELETE FROM reservations WHERE attempt_id = ? RETURNING charges", attempt_id).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=dict[str, int])

    def _spend(self, attempt_id: str, held: Mapping[str, int], amounts: Mapping[str, int]) -> None:
        for account, amount in sorted(amounts.items()):
            reserved, spent = held.get(account, 0), min(max(amount, 0), LARGEST)
            charged = "UPDATE accounts SET reserved = reserved - ?, spent = spent + ? WHERE account = ?"
            if not self.run(charged, reserved, spent, account).rowcount:
                self.run("INSERT INTO accounts VALUES (?, ?, 0)", account, spent)
            if spent > reserved:
                self.flag(attempt_id, "overrun", account, reserved, spent)

    def _correct(self, attempt_id: str, amounts: Mapping[str, int] | None) -> None:
        """The lease had ended, and it was settled at what was reserved: charge what it truly cost instead; None: nothing."""
        wanted = "SELECT account, reserved, spent FROM money_flags WHERE attempt_id = ? AND flag = 'lapsed'"
        found = self.run(wanted, attempt_id).fetchall()
        if found and amounts is None:
            self.forget_lapsed(attempt_id)
        for account, reserved, charged in found:
            spent = 0 if amounts is None else min(max(amounts.get(account, charged), 0), LARGEST)
            if spent == charged:
                continue
            self.run("UPDATE accounts SET spent = spent + ? WHERE account = ?", spent - charged, account)
            changed = "UPDATE money_flags SET spent = ? WHERE attempt_id = ? AND flag = 'lapsed' AND account = ?"
            self.run(changed, spent, attempt_id, account)
            if spent > reserved:
                self.flag(attempt_id, "overrun", account, reserved, spent)

    def flag(self, attempt_id: str, flag: str, account: str, reserved: int, spent: int) -> bool:
        """Note what did not go as reserved; noted again, the later word holds. Whether it was not known yet."""
        row = (attempt_id, flag, account, self._now_ms(), reserved, spent)
        return self.run(_PUT_FLAG, *row).rowcount > 0

    def forget_lapsed(self, attempt_id: str) -> None:
        """Nothing was spent after all: remove the row that its lapse left."""
        request_id, _, number = attempt_id.rpartition(".")
        if number.isdecimal():
            removed = "DELETE FROM attempts WHERE request_id = ? AND number = ? AND fault_message = ?"
            self.run(removed, request_id, int(number), LAPSED)

    def write(self, record: AttemptRecord, amounts: Mapping[str, int]) -> None:
        """Write the attempt's row, once. One that the database refuses is flagged: the money is settled all the same."""
        cells = tuple(mended_cell(cell) for cell in TO_ROW["attempts"](record))
        cells += (None,) * (len(COLUMNS["attempts"]) - len(cells))
        self.run("SAVEPOINT row")
        try:
            self.run(self._put_attempt, *cells)
        except Exception as error:
            if not self.is_refusal(error):
                raise
            self.run("ROLLBACK TO SAVEPOINT row")
            for account, amount in amounts.items() or (("", 0),):
                self.flag(record.attempt_id, "unwritten", account, amount, amount)
        self.run("RELEASE SAVEPOINT row")
