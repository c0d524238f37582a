"""What the clients did; `make clients` keeps it in docs/clients.json."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

FINDINGS = Path(__file__).resolve().parent.parent.parent / "docs" / "clients.json"
Passed = Callable[[str, str, str], None]


@pytest.fixture(scope="session")
def passed() -> Iterator[Passed]:
    """Tell that a client of this version did its work on such a runtime. Written when all are through."""
    told: dict[str, dict[str, object]] = {}

    def tell(client: str, version: str, runtime: str) -> None:
        entry = told.setdefault(client, {"version": version, "runtimes": []})
        runtimes = entry["runtimes"]
        assert isinstance(runtimes, list)
        runtimes.append(runtime)

    yield tell
    if told:
        findings = json.loads(FINDINGS.read_text()) if FINDINGS.exists() else {}
        for client, entry in told.items():
            findings[client] = {**entry, "on": dt.datetime.now(dt.UTC).date().isoformat()}
        FINDINGS.write_text(json.dumps(dict(sorted(findings.items())), indent=2) + "\n")
