"""No secret and no prompt where it should not be, with every trouble of every runtime in every way it can be asked."""

from collections.abc import Callable
from pathlib import Path

import pytest

from support.marked_requests import MARKS
from support.marked_server import COMMANDS, TROUBLES, find_marks

pytestmark = [pytest.mark.proof, pytest.mark.timeout(170)]


@pytest.mark.parametrize("log_format", ["json", "text"])
async def test_nothing_marked_is_found_whatever_fails(tmp_path: Path, found: Callable[..., None], log_format: str) -> None:
    marked, asked, runtime = await find_marks(tmp_path, log_format, is_whole=True)
    assert marked == [], "\n".join(marked)
    assert len(runtime.journal) > 1000
    found(
        "No prompt, answer or key is in the log, the ledger, another file, a header, an error of ours or what commands print.",
        **{
            "requests": len(asked.statuses),
            "of them refused or failed": sum(status >= 400 for status in asked.statuses),
            "kinds of trouble": len(TROUBLES),
            "calls of runtimes": len(runtime.journal),
            "marks looked for": len(MARKS),
            "commands": len(COMMANDS),
            "log": log_format,
            "found": len(marked),
        },
    )
