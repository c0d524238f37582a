"""Migrations: an older schema brought up to date, by Alembic, in this process.

Imported only when a store is behind; a fresh store is made from `schema` and stamped. A test proves that both ways
give the same tables.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config

from freehold.storage.engine import open_engine

_HERE = Path(__file__).parent


def upgrade(url: str, *, to: str = "head", versions: tuple[Path, ...] = ()) -> None:
    """Bring the store at `url` to the schema version `to`, in one transaction: wholly or not at all.

    `versions` are further folders of revisions.
    """
    config = Config()
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    folders = (_HERE / "versions", *versions)
    config.set_main_option("version_locations", "\n".join(str(folder).replace("%", "%%") for folder in folders))
    engine = open_engine(url)
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, to)
    finally:
        engine.dispose()
