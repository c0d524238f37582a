"""Which files a configuration is made of, and whether they are still what was read.

A file is judged by its time, size and inode: editors replace files, and deployment tools turn symbolic links. Nothing is
read here. A secret in the environment cannot change while a process runs; one in the keyring is read again on SIGHUP.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from freehold.config.load import Config
from freehold.config.secrets import parse_reference, secret_path

Stamp = tuple[int, int, int] | None
"""Nanoseconds of the last change, bytes, inode; None: there is no such file, or it may not be seen."""


def watched_files(config: Config, source: Path | None) -> tuple[Path, ...]:
    """The configuration's file and every file that it says a secret is kept in."""
    folder = config.source.parent if config.source is not None else Path()
    references = [config.settings.server.api_key, *(runtime.api_key for runtime in config.runtimes.values())]
    kept = [parse_reference(reference) for reference in references if reference is not None]
    secrets = [secret_path(reference, folder) for reference in kept if reference.kind == "file"]
    return tuple(dict.fromkeys([*([source] if source is not None else []), *secrets]))


def stamps(paths: Iterable[Path]) -> dict[Path, Stamp]:
    """How the files are now."""
    return {path: _stamp(path) for path in paths}


def _stamp(path: Path) -> Stamp:
    try:
        found = os.stat(path)  # noqa: PTH116 - the same, without a second object per look
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
