"""A secret in any published format leaves whole or not at all: redaction goes to its first and its last character."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from freehold.policy.labels import LabelSettings
from freehold.routing.detectors.scanner import Detectors
from freehold.routing.redaction import redact
from freehold.wire.formats import CODECS

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "data"))
from published_secrets import PUBLISHED

DETECTORS = Detectors(LabelSettings(redact=("secrets",)))
MAKERS = [(kind, number, make) for kind, makers in PUBLISHED.items() for number, make in enumerate(makers)]
SECRET_PARTS = re.compile("[A-Za-z0-9+_~-]{16,}")
"""What is secret in them; shorter pieces are addresses, names and marks."""
SHORTEST = 12
"""Characters of a secret that must not stand anywhere."""


def redacted(said: str) -> str:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": said}]}).encode()
    left = redact(CODECS["openai_chat"].peek(body), DETECTORS, b"k" * 32, "ann", "ann")
    assert left is not None
    text = json.loads(left.body)["messages"][0]["content"]
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize(("kind", "number", "make"), MAKERS, ids=[f"{kind}-{number}" for kind, number, _ in MAKERS])
def test_nothing_is_left_of_a_secret_but_the_address_it_is_for(kind: str, number: int, make: Callable[[], str]) -> None:
    for _ in range(3):
        secret = make()
        left = redacted(f"look at {secret} please")
        assert "REDACTED_" in left
        parts = SECRET_PARTS.findall(secret.replace("SharedAccessKeyName=all;", ""))
        assert parts
        assert not [part for part in parts for at in range(len(part) - SHORTEST + 1) if part[at : at + SHORTEST] in left]
