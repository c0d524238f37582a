"""Proofs that a user can run on a machine of their own, and what they need."""
