"""Faults of Chat Completions: OpenAI's own, shared with its other formats."""

from freehold.wire.openai_faults import read_fault, spell, write_fault

__all__ = ["read_fault", "spell", "write_fault"]
