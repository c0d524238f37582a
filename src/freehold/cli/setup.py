"""What several commands need: the configuration, the ledger, the running server."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from freehold.cli import show

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from freehold.config import Config


def load_config(path: Path | None) -> "Config":
    """The checked configuration; says every problem and ends when there is one."""
    from freehold.config import ConfigError, load

    try:
        return load(path, os.environ)
    except ConfigError as error:
        show.fail(str(error), 2)


@contextmanager
def reading_ledger(path: Path | None) -> "Iterator[Engine]":
    """The ledger, to read from. Ends the command with a clear word when there is none, or it cannot be read."""
    from freehold.server.stores import store_url
    from freehold.storage.engine import open_engine
    from freehold.storage.store import StoreError, sqlite_path

    url = store_url(load_config(path))
    file = sqlite_path(url)
    if file is not None and not file.exists():
        show.fail(f"there is no ledger at {file} yet: nothing was served")
    try:
        yield open_engine(url, read_only=True)
    except StoreError as error:
        show.fail(str(error))
