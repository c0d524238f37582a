"""Telemetry: what the process says about itself while it runs. The durable record is the ledger's."""
