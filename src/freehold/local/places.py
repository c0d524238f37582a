"""Where Freehold keeps its data on this machine. Promised: a pure answer from the environment; nothing is created."""

from collections.abc import Mapping
from pathlib import Path


def data_dir(environ: Mapping[str, str]) -> Path:
    """`FREEHOLD_HOME`, else `XDG_DATA_HOME/freehold`, else `~/.local/share/freehold` (XDG Base Directory, 0.8).

    As that specification asks, an `XDG_DATA_HOME` that is not absolute is ignored.
    """
    home = environ.get("FREEHOLD_HOME")
    if home:
        return Path(home).expanduser().absolute()
    xdg = Path(environ.get("XDG_DATA_HOME") or "")
    base = xdg if xdg.is_absolute() else Path(environ.get("HOME") or Path.home()) / ".local" / "share"
    return base / "freehold"
