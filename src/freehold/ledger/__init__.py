"""The ledger: what happened to every request, where, for how much, and why there."""

from freehold.ledger.book import Ledger

__all__ = ["Ledger"]
