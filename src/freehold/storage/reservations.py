"""What a store of budgets does, whichever database keeps it.

Promised of every store: `reserve`, `settle` and `void` are one atomic step each; spent + reserved never exceeds the limit
a charge names, whoever else charges the same account at that moment, from this process or another; what was reserved
when a process died comes back by itself, settled and flagged, never forgotten. Not done here: deciding which accounts a
request charges, how much, and what happens when there is no room (`limits`).
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from freehold.record import AttemptRecord


class Charge(msgspec.Struct, frozen=True):
    """One account to be charged. Amounts are in the account's own unit: nano-USD or tokens."""

    account: str
    """A budget in one of its windows, such as `team-ml/day/2026-11-21`. Opaque to the store."""
    limit: int
    """What spent + reserved of the account may not exceed."""
    amount: int


class Begun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of an attempt when it is reserved for: its row is made from this if nobody comes back to settle it."""

    deployment: str
    runtime: str
    egress: str
    sent_model: str
    mode: Literal["relay", "translate"]
    started_ms: int
    price_version: str | None = None
    nano_usd: int | None = None
    """What is reserved of money; None: no account of money is charged, so what it cost is not known."""
    input_tokens: int | None = None
    """The most it can use, where an account of tokens is charged."""
    output_tokens: int = 0


class Balance(msgspec.Struct, frozen=True):
    """How an account stands."""

    spent: int = 0
    reserved: int = 0


class Short(msgspec.Struct, frozen=True):
    """The first account that had no room, as it stood."""

    charge: Charge
    balance: Balance


class BudgetStore(Protocol):
    """Keeps accounts and reservations. Raises StoreError when the database cannot be reached: nothing is admitted then."""

    async def reserve(
        self, attempt_id: str, charges: Sequence[Charge], lease_s: float, begun: Begun | None = None
    ) -> Short | None:
        """Reserve all charges or none, durably, before this returns. None: reserved.

        The reservation lapses `lease_s` after this or the last `renew`; then it is settled at what was reserved, flagged, and
        the attempt's row written from what had `begun`, both at once; where that is None, there is no row.
        """

    async def settle(self, attempt_id: str, amounts: Mapping[str, int], record: AttemptRecord) -> None:
        """Turn the reservation into what was spent, by account, and write the attempt's row: one transaction, once.

        An amount above what was reserved is charged too, and leaves a flagged row of its own. Repeating it changes nothing.
        """

    async def void(self, attempt_id: str, record: AttemptRecord | None) -> None:
        """Nothing was spent: let the reservation go, and write the attempt's row where there is one."""

    async def renew(self, attempt_ids: Sequence[str], lease_s: float) -> None:
        """These are still under way."""

    async def recover(self) -> None:
        """Settle all that processes which are certainly dead have left, and what has lapsed. It happens by itself too, later."""

    async def balances(self, accounts: Sequence[str]) -> dict[str, Balance]:
        """How accounts stand; one that was never charged is zero."""

    async def standings(self, prefixes: Sequence[str]) -> dict[str, Balance]:
        """How the accounts stand whose names begin with one of these."""

    async def close(self) -> None:
        """Finish what was asked for, and let go of everything held. What is under way then, the next process settles."""
