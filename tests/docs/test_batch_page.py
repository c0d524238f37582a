"""The bounds that docs/batch.md names are those that hold."""

from pathlib import Path

from freehold.server.batches import desk, following, gathering, runner, work
from freehold.wire import batch_client, batches

GIB = 1024**3


def test_the_bounds_on_the_page_hold() -> None:
    page = " ".join((Path(__file__).resolve().parents[2] / "docs" / "batch.md").read_text().split())
    said = [
        f"| a line | {batches.LONGEST_LINE_BYTES // 1024**2} MiB |",
        f"| lines of a batch | {work.MOST_LINES:,} |",
        f"| results of a batch | {work.MOST_RESULT_BYTES // GIB} GiB |",
        f"| files of a caller | {desk.MOST_FILES}, {desk.MOST_CALLER_BYTES // GIB} GiB together |",
        f"| all files | {desk.MOST_BYTES // GIB} GiB |",
        f"| batches of a caller that are not over | {desk.MOST_OPEN_BATCHES} |",
        f"{gathering.MOST_SENT_LINES:,} lines, {gathering.MOST_SENT_BYTES // 1024**2} MiB, {gathering.MOST_SENT_INPUTS:,} texts to be embedded; more lines make a further one",
        f"asked after {following.FIRST_WAIT_S:g} s",
        f"`{batch_client.OWN_ID}` in the batch's metadata",
        f"up to {batches.MOST_ERRORS} errors",
        f"waits of {runner.FIRST_WAIT_S:g} s up to {runner.LONGEST_WAIT_S:g} s",
        *(f"`{endpoint}`" for endpoint in batches.ENDPOINTS),
    ]
    assert [words for words in said if words not in page] == []
    assert (following.LONGEST_WAIT_S, following.PATIENCE_MS) == (60, 3600_000), "the page says once a minute, and an hour"
    assert (runner.LINES_AT_ONCE, runner.MOST_TRIES) == (2, 3), "the page says two lines at a time, and two more tries"
