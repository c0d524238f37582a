"""Whose signature is whose."""

import pytest

from freehold.wire.signatures import mark, unmark


@pytest.mark.parametrize("wire_format", ["anthropic_messages", "openai_responses"])
def test_a_signature_goes_back_to_its_vendor_and_to_no_other(wire_format: str) -> None:
    marked = mark("c2ln+/=", wire_format)  # type: ignore[arg-type]  # both are formats
    for other in ("anthropic_messages", "openai_responses", "ollama"):
        assert unmark(marked, other) == ("c2ln+/=" if other == wire_format else None)  # type: ignore[arg-type]  # formats


def test_nothing_is_nobodys() -> None:
    assert unmark(None, "openai_responses") is unmark("", "openai_responses") is unmark("", "anthropic_messages") is None
