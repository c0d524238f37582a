"""Samples of the wire and the published schema of OpenAI, for every test of a wire format."""

from collections.abc import Callable
from pathlib import Path

import pytest

from support.openai_schema import fits

TESTS = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def read_sample() -> Callable[[str], bytes]:
    """The bytes of a sample under tests/wire_samples."""
    return lambda name: (TESTS / "wire_samples" / name).read_bytes()


@pytest.fixture(scope="session")
def fits_openai() -> Callable[[str, object], None]:
    """Fails where a value is not what OpenAI's published schema of that name allows."""
    return fits
