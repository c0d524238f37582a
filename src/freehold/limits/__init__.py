"""Limits: what holds requests back from a deployment."""
