"""Rows of overflows that all processes of a machine see, whatever became of the file."""

import math
import subprocess
import sys
from pathlib import Path

import pytest

from freehold.storage.host_overflows import _SIZE, MOST_KEPT, HostOverflows, OverflowRow

NAMES = ("ann", "ann", "a session", "", "")
ROW = OverflowRow(40_000, 2, 100.0)
OTHER = (
    "import sys; from pathlib import Path; from freehold.storage.host_overflows import HostOverflows, OverflowRow\n"
    f"rows = HostOverflows(Path(sys.argv[1])); assert rows.get({NAMES!r}) == {tuple(ROW)!r}\n"
    f"rows.put({NAMES!r}, OverflowRow(39_000, 3, 101.0))"
)


def test_what_one_process_writes_another_reads_at_once(tmp_path: Path) -> None:
    path = tmp_path / "data" / "overflows"
    rows = HostOverflows(path)
    assert (rows.newest_s, rows.get(NAMES)) == (-math.inf, None)
    rows.put(NAMES, ROW)
    subprocess.run([sys.executable, "-c", OTHER, str(path)], check=True)
    assert (rows.newest_s, rows.get(NAMES)) == (101.0, (39_000, 3, 101.0))
    again = HostOverflows(path)
    again.drop(NAMES)
    assert rows.get(NAMES) is None
    assert path.stat().st_mode & 0o077 == 0
    assert [one.name for one in path.parent.iterdir()] == ["overflows"]


def test_names_are_not_kept_and_never_taken_for_one_another(tmp_path: Path) -> None:
    rows = HostOverflows(tmp_path / "overflows")
    rows.put(NAMES, ROW)
    assert rows.get(("ann", "anna session", "", "", "")) is None
    assert b"session" not in (tmp_path / "overflows").read_bytes()


def test_however_many_there_are_the_file_stays_as_it_is_and_the_newest_are_kept(tmp_path: Path) -> None:
    rows = HostOverflows(tmp_path / "overflows")
    for number in range(3 * MOST_KEPT):
        rows.put((str(number),), OverflowRow(1, 1, float(number)))
    assert all(rows.get((str(number),)) for number in range(3 * MOST_KEPT - 500, 3 * MOST_KEPT))
    assert (tmp_path / "overflows").stat().st_size == _SIZE


def test_numbers_that_do_not_fit_stop_at_the_largest_that_do(tmp_path: Path) -> None:
    rows = HostOverflows(tmp_path / "overflows")
    rows.put(NAMES, OverflowRow(2**40, 2**33, 1.0))
    assert rows.get(NAMES) == (2**32 - 1, 2**32 - 1, 1.0)


@pytest.mark.parametrize("found", [b"", b"something else", b"x" * _SIZE], ids=["empty", "short", "other"])
def test_another_file_in_its_place_is_replaced(tmp_path: Path, found: bytes) -> None:
    (tmp_path / "overflows").write_bytes(found)
    HostOverflows(tmp_path / "overflows").put(NAMES, ROW)
    assert HostOverflows(tmp_path / "overflows").get(NAMES) == ROW


def test_where_no_file_can_be_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no folder")
    with pytest.raises(OSError, match="data"):
        HostOverflows(tmp_path / "data" / "overflows")
