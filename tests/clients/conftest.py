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
TOLD = pytest.StashKey[Told]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember the client that failed."""
    report = yield
    if report.failed and isinstance(item, pytest.Function) and hasattr(item, "callspec"):
        item.config.stash.setdefault(FAILED, set()).add(item.callspec.params.get("name", ""))
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table: what each did this time."""
    stash = terminalreporter.config.stash
    told, failed = stash.get(TOLD, {}), stash.get(FAILED, set())
    if not told:
        return
    terminalreporter.section("clients driven")
    for client, entry in sorted(told.items()):
        did = [f"reads on: {', '.join(entry['runtimes'])}"] if entry["runtimes"] else []
        did += [f"embedded: {entry['embedded']}"] if "embedded" in entry else []
        if entry["troubles"]:
            did.append(f"in trouble: {'; '.join(f'{trouble}: {done}' for trouble, done in entry['troubles'].items())}")
        mark = "FAILED" if client in failed else "passed"
        terminalreporter.line(f"{mark} | {client} {entry['version']} | {' | '.join(did)}", red=client in failed)
    for client in sorted(failed - set(told)):
        terminalreporter.line(f"FAILED | {client or 'beside any client'}", red=True)


@pytest.fixture(scope="session")
def told(request: pytest.FixtureRequest) -> Iterator[Told]:
    """By client. Written when all are through; who was not driven this time, or failed at anything, stays as it was."""
    found: Told = {}
    request.config.stash[TOLD] = found
    yield found
    found = {client: entry for client, entry in found.items() if client not in request.config.stash.get(FAILED, set())}
    if not found:
        return
    findings: Told = json.loads(FINDINGS.read_text()) if FINDINGS.exists() else {}
    for client, now in found.items():
        entry, kept = dict(now), findings.get(client, {})
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
