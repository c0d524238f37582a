"""Telemetry: what the process says about itself while it runs. The durable record is the ledger's."""

from freehold.telemetry.counters import Counters, Snapshot
from freehold.telemetry.log import Form, Level, Log, open_log

__all__ = ["Counters", "Form", "Level", "Log", "Snapshot", "open_log"]
