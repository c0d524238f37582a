"""Files on disk: one per id, private (0600), in a folder of their own (0700). Blocking; call it from a thread."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

CHUNK_BYTES = 256 * 1024


class Shelf:
    """The folder. Ids are ours, never a client's, so no id can name another path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def is_used(self) -> bool:
        """Whether anything was ever put here."""
        return self.folder.exists()

    def path(self, file_id: str) -> Path:
        """Where a file lies."""
        if not file_id.replace("-", "").replace("_", "").isalnum():
            raise ValueError("not an id of ours")
        return self.folder / file_id

    def put(self, file_id: str, data: bytes | memoryview) -> None:
        """Keep a new file, whole and durable, or not at all. Raises OSError."""
        self.make_folder()
        path, half = self.path(file_id), self.path(file_id).with_suffix(".part")
        descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            half.replace(path)
        except BaseException:
            half.unlink(missing_ok=True)
            raise
        self.sync_folder()

    def drop(self, file_id: str) -> None:
        """Remove a file; nothing where it is gone already."""
        self.path(file_id).unlink(missing_ok=True)

    def read(self, file_id: str, start: int) -> bytes:
        """The next piece of a file. Raises OSError."""
        with self.path(file_id).open("rb") as file:
            file.seek(start)
            return file.read(CHUNK_BYTES)

    def lines(self, file_id: str, longest_bytes: int) -> Iterator[bytes]:
        """The lines of a file; one that is too long comes cut, one byte over the limit. Raises OSError."""
        with self.path(file_id).open("rb") as file:
            while line := file.readline(longest_bytes + 1):
                whole = line
                while len(line) > longest_bytes and not line.endswith(b"\n"):
                    line = file.readline(longest_bytes + 1)
                yield whole.rstrip(b"\r\n") if whole.endswith(b"\n") else whole

    def sweep(self, is_kept: Callable[[str], bool], before_s: float) -> int:
        """Remove files that were written last before that Unix time, but for those that are kept; how many."""
        swept = 0
        for path in self.folder.glob("file-*"):
            if not is_kept(path.name) and path.stat().st_mtime < before_s:
                path.unlink(missing_ok=True)
                swept += 1
        return swept

    def make_folder(self) -> None:
        """Make the folder where it is missing."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def sync_folder(self) -> None:
        """Make names durable, too."""
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
