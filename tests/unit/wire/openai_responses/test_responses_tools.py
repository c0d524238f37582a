"""Flat names of a namespace's functions: legal, the same each time, never the same for two."""

import re

from hypothesis import given
from hypothesis import strategies as st

from freehold.wire.openai_responses.tools import flatten

names = st.text(min_size=1, max_size=80)


@given(names, names)
def test_a_flat_name_is_legal_everywhere(namespace: str, name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", flatten(name, namespace))
    assert flatten(name, namespace) == flatten(name, namespace)


def test_readable_where_it_can_be_and_told_apart_where_it_cannot() -> None:
    assert flatten("read", None) == "read"
    assert flatten("read", "files") == "files__read"
    assert flatten("read", "mcp__files__") == "mcp__files__read"
    assert flatten("lies", "x" * 80) != flatten("reads", "x" * 80)
    assert flatten("a.b", "n") != flatten("a_b", "n")
