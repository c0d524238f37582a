"""Writing all of something to a descriptor. Blocking."""

import os


def write_whole(descriptor: int, data: bytes) -> None:
    """Write all of it, however many calls that takes. Raises OSError; then some of it may be written."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
