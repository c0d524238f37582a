"""How accounts of budgets stand in the store, for people. Where budgets are kept in SQL; reads only."""

from collections.abc import Iterable

from sqlalchemy import Engine, select

from freehold.ledger.queries import reading
from freehold.storage.reservations import Balance
from freehold.storage.schema import accounts


def standings(engine: Engine, prefixes: Iterable[str]) -> dict[str, Balance]:
    """The accounts whose names begin with one of these, in their order."""
    with reading(engine) as connection:
        if connection is None:
            return {}
        found: dict[str, Balance] = {}
        for prefix in prefixes:
            wanted = select(accounts).where(accounts.c.account.startswith(prefix, autoescape=True)).order_by(accounts.c.account)
            for row in connection.execute(wanted):
                found[row.account] = Balance(int(row.spent), int(row.reserved))
        return found
