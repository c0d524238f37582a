"""Costs: what an attempt cost, in integer nano-USD. Pure."""
