"""What is written down of lines that a vendor has."""

from pathlib import Path

from freehold.server.batches.relay_files import RelayFiles, SentLine, left_behind, open_requests
from freehold.server.batches.shelf import Shelf
from support.priced import PLACED
from support.records import attempt, request


def files(folder: Path, number: int = 0) -> RelayFiles:
    shelf = Shelf(folder)
    shelf.make_folder()
    return RelayFiles(shelf, f"relay_batch_1-{number}")


def sent(request_id: str, custom_id: str) -> SentLine:
    return SentLine(request_id, custom_id, request(request_id), attempt(request_id), None)


def test_what_was_written_is_read_back_by_who_comes_after(tmp_path: Path):
    kept = files(tmp_path)
    kept.begin(PLACED)
    for request_id in ("req_1", "req_2"):
        kept.claim(request_id, f"{request_id}.1")
        kept.add(sent(request_id, f"own-{request_id}"), b'{"a":1}\n')
    kept.seal()
    again = files(tmp_path)
    assert again.place() == PLACED
    assert [line.custom_id for line in again.lines()] == ["own-req_1", "own-req_2"]
    assert (again.input(), kept.count, kept.size_bytes) == (b'{"a":1}\n' * 2, 2, 16)
    assert [path.stat().st_mode & 0o077 for path in tmp_path.iterdir()] == [0, 0]
    again.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_was_cut_off_is_none_and_its_claim_stands(tmp_path: Path):
    kept = files(tmp_path)
    kept.begin(PLACED)
    kept.claim("req_1", "req_1.1")
    kept.add(sent("req_1", "a"), b"{}\n")
    kept.claim("req_2", "req_2.1")
    kept.close()
    path = next(tmp_path.glob("*-lines"))
    path.write_bytes(path.read_bytes() + b'{"type":"line","request_id":"req_2","cust')
    again = files(tmp_path)
    assert [line.request_id for line in again.lines()] == ["req_1"]
    assert [claim.attempt_id for claim in again.claims()] == ["req_1.1", "req_2.1"]


def test_files_of_a_batch_are_found_and_whose_requests_are_open(tmp_path: Path):
    assert open_requests(tmp_path / "missing") == frozenset()
    for number in (0, 11):
        kept = files(tmp_path, number)
        kept.begin(PLACED)
        kept.claim(f"req_{number}", f"req_{number}.1")
        kept.close()
    assert left_behind(Shelf(tmp_path), "batch_1") == {"relay_batch_1-0", "relay_batch_1-11"}
    assert left_behind(Shelf(tmp_path), "batch_2") == set()
    assert open_requests(tmp_path) == {"req_0", "req_11"}
    assert files(tmp_path, 5).place() is None
