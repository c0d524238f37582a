"""The servers that tests of storage keep rows and money in."""

from collections.abc import Iterator

import pytest

from support.budget_servers import Servers


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Started by the first test that needs them, for all; each gets a database of its own."""
    made = Servers()
    yield made
    made.remove()
