"""What the clients did; `make clients` keeps it in docs/clients.json."""

import datetime as dt
import json
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

FINDINGS = Path(__file__).resolve().parent.parent.parent / "docs" / "clients.json"
Passed = Callable[[str, str, str], None]
Troubled = Callable[[str, str, str, str], None]
Told = dict[str, dict[str, Any]]


FAILED = pytest.StashKey[set[str]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember the client that failed."""
    report = yield
    if report.failed and isinstance(item, pytest.Function) and hasattr(item, "callspec"):
        item.session.stash.setdefault(FAILED, set()).add(item.callspec.params.get("name", ""))
    return report


@pytest.fixture(scope="session")
def told(request: pytest.FixtureRequest) -> Iterator[Told]:
    """By client. Written when all are through; who was not driven this time, or failed at anything, stays as it was."""
    found: Told = {}
    yield found
    for client in request.session.stash.get(FAILED, set()):
        found.pop(client, None)
    if not found:
        return
    findings: Told = json.loads(FINDINGS.read_text()) if FINDINGS.exists() else {}
    for client, entry in found.items():
        kept = findings.get(client, {})
        if kept.get("version") == entry["version"]:
            entry["runtimes"] = [*entry["runtimes"], *(one for one in kept.get("runtimes", ()) if one not in entry["runtimes"])]
            entry["troubles"] = kept.get("troubles", {}) | entry["troubles"]
            if "embedded" in kept:
                entry.setdefault("embedded", kept["embedded"])
        findings[client] = {**entry, "on": dt.datetime.now(dt.UTC).date().isoformat()}
    FINDINGS.write_text(json.dumps(dict(sorted(findings.items())), indent=2) + "\n")


def entry_of(told: Told, client: str, version: str) -> dict[str, Any]:
    """What is told of this client so far."""
    return told.setdefault(client, {"version": version, "runtimes": [], "troubles": {}})


@pytest.fixture(scope="session")
def passed(told: Told) -> Passed:
    """Tell that a client of this version did its work on such a runtime."""

    def tell(client: str, version: str, runtime: str) -> None:
        entry_of(told, client, version)["runtimes"].append(runtime)

    return tell


@pytest.fixture(scope="session")
def troubled(told: Told) -> Troubled:
    """Tell what a client of this version did in such a trouble."""

    def tell(client: str, version: str, trouble: str, did: str) -> None:
        entry_of(told, client, version)["troubles"][trouble] = did

    return tell


@pytest.fixture(scope="session")
def counted(told: Told) -> Callable[[str, str, str], None]:
    """Tell how many codes a client of this version had from the embedded model."""

    def tell(client: str, version: str, count: str) -> None:
        entry_of(told, client, version)["embedded"] = count

    return tell
