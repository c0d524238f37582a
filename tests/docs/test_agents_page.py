"""docs/agents.md names the test that holds each line of its list, and every such test is there."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
ROW = re.compile(r"^\| .* \| `(test_\w+)` \|$", re.MULTILINE)
DEFINED = re.compile(r"^\s*(?:async )?def (test_\w+)", re.MULTILINE)


def test_every_test_that_the_list_names_is_there() -> None:
    page = (REPOSITORY / "docs" / "agents.md").read_text()
    table = page.split("| held by |", 1)[1]
    rows = [line for line in table.splitlines()[2:] if line.startswith("|")]
    named = ROW.findall(table)
    assert len(named) == len(rows) >= 16
    defined = {name for path in (REPOSITORY / "tests").rglob("test_*.py") for name in DEFINED.findall(path.read_text())}
    assert set(named) <= defined, set(named) - defined
