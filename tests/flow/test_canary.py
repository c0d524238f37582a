"""No secret and no prompt in logs, ledger, process list, errors of ours or any file: looked for as bytes, at debug level.

A real process is asked everything it serves, with marked prompts, answers, keys and files in every place of a request, and things
go wrong in every way a runtime of any format or a client can make them. Then every place is searched: the log, each file of the
data directory while the server runs and after it, the headers of answers, what commands print, the audit export. What is left for
a batch may be in the batch's own files, and nowhere else. The control: the marks did go through, and one would be found.
All of it, with every trouble of every runtime in every way it can be asked, and both forms of the log: tests/proof.
"""

import base64
from pathlib import Path

import pytest

from support.marked_requests import LEFT, OWN_KEY, PROMPT, UPSTREAM_KEY, hits
from support.marked_server import find_marks, left_for_batches


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
async def test_nothing_marked_is_anywhere(tmp_path: Path) -> None:
    found, asked, runtime = await find_marks(tmp_path, "json", is_whole=False)
    assert found == [], "\n".join(found)
    sent = b"".join(received.body for received in runtime.journal)
    assert all(mark.encode() in sent for mark in (PROMPT, LEFT)), "the marks went through"
    assert any(UPSTREAM_KEY in str(received.headers) for received in runtime.journal)
    assert {200, 400, 401, 403, 422, 502} <= set(asked.statuses)
    assert len(runtime.journal) > 300
    assert any(LEFT.encode() in path.read_bytes() for path in left_for_batches(tmp_path)), "what was left for a batch is kept"


def test_a_mark_would_be_found() -> None:
    assert hits("x", f"... {PROMPT} ...".encode())
    assert hits("x", base64.b64encode(f"{OWN_KEY}".encode()))
    assert not hits("x", b"nothing here")
