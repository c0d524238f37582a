"""Files and results on disk: private, whole or not there, and mended after a crash wherever it cut."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from freehold.server.batches.journal import ResultFile
from freehold.server.batches.shelf import Shelf
from freehold.wire.batches import write_result


def result(custom_id: str) -> bytes:
    return write_result("batch_req_1", custom_id, 200, "req_1", b'{"text": "x"}')


def test_files_are_private_and_come_back_whole(tmp_path: Path):
    shelf = Shelf(tmp_path / "kept")
    assert not shelf.is_used
    shelf.put("file-a", b"one\ntwo\r\n\nlast")
    assert (shelf.folder.stat().st_mode & 0o777, shelf.path("file-a").stat().st_mode & 0o777) == (0o700, 0o600)
    assert list(shelf.lines("file-a", 100)) == [b"one", b"two", b"", b"last"]
    assert shelf.read("file-a", 4) == b"two\r\n\nlast"
    shelf.drop("file-a")
    shelf.drop("file-a")
    assert not list(shelf.folder.iterdir())


def test_a_line_that_is_too_long_comes_cut_and_the_next_one_whole(tmp_path: Path):
    shelf = Shelf(tmp_path)
    shelf.put("file-a", b"x" * 1000 + b"\nnext\n")
    assert [len(line) for line in shelf.lines("file-a", 10)] == [11, 4]


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".lock", "file-a\0"])
def test_no_id_names_another_path(tmp_path: Path, name: str):
    with pytest.raises(ValueError, match="not an id"):
        Shelf(tmp_path).path(name)


def test_a_sweep_takes_old_files_that_nobody_knows(tmp_path: Path):
    shelf = Shelf(tmp_path)
    for name in ("file-kept", "file-old", "file-young"):
        shelf.put(name, b"x")
    hour_ago = time.time() - 3600
    os.utime(shelf.path("file-old"), (hour_ago, hour_ago))
    os.utime(shelf.path("file-kept"), (hour_ago, hour_ago))
    assert shelf.sweep(lambda name: name == "file-kept", hour_ago + 60) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file-kept", "file-young"]


def test_results_cut_at_any_byte_lose_only_the_line_that_was_cut(tmp_path: Path):
    data = result("a") + result("b")
    first = len(result("a"))
    for cut in range(len(data) + 1):
        path = tmp_path / "results"
        path.write_bytes(data[:cut])
        file = ResultFile(path)
        file.open()
        whole = ["a", "b"][: (cut >= first) + (cut == len(data))]
        assert file.done == set(whole)
        file.append("c", result("c"))
        file.close()
        assert path.read_bytes() == b"".join(map(result, [*whole, "c"]))
        path.unlink()


def test_a_disk_that_takes_half_a_line_leaves_none_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = ResultFile(tmp_path / "results")
    file.open()
    file.append("a", result("a"))
    write: Callable[..., int] = os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        file.append("b", result("b"))
    monkeypatch.undo()
    file.append("c", result("c"))
    file.close()
    assert file.path.read_bytes() == result("a") + result("c")
    with pytest.raises(OSError, match="closed"):
        file.append("d", result("d"))
