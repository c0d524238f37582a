"""The results of one batch as they come: its output and error files, which are also the journal of what is done.

Promised: a result is appended whole and durable before its line counts as done. After a crash `open` finds every
`custom_id` that has a result and cuts off a half-written last line; such a line is asked again, so each has exactly one
result. Blocking; call it from a thread, one call at a time.
"""

import errno
import os
import threading
from pathlib import Path

from freehold.storage.whole_write import write_whole
from freehold.wire.batches import read_done


class ResultFile:
    """One file of results being written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: set[str] = set()
        """The `custom_id` of each line in it."""
        self.size_bytes = 0
        self._descriptor = -1
        self._hold = threading.Lock()
        """A thread may still write while its batch is let go of: a descriptor is never closed under it."""

    def open(self) -> None:
        """Read what an earlier run left and mend its end. Raises OSError."""
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        whole = 0
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                try:
                    self.done.add(read_done(line))
                except ValueError:
                    break
                whole += len(line)
        os.ftruncate(self._descriptor, whole)
        os.lseek(self._descriptor, 0, os.SEEK_END)
        self.size_bytes = whole

    def append(self, custom_id: str, line: bytes) -> None:
        """Add a result and make it durable. Raises OSError, and then the file is as it was."""
        with self._hold:
            if self._descriptor < 0:
                raise OSError(errno.EBADF, "the file of results is closed")
            try:
                self._write(line)
            except OSError:
                os.ftruncate(self._descriptor, self.size_bytes)
                os.lseek(self._descriptor, 0, os.SEEK_END)
                raise
            self.size_bytes += len(line)
            self.done.add(custom_id)

    def close(self) -> None:
        """Let go of the file."""
        with self._hold:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def _write(self, line: bytes) -> None:
        write_whole(self._descriptor, line)
        os.fsync(self._descriptor)
