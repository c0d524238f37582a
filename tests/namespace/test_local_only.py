"""Local only, proven where the kernel counts: in a network namespace that leads to a sinkhole."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from freehold.cli.proving import COMMAND, run_inside
from freehold.local.places import data_dir
from freehold.proof.order import Found, Mutant, Order
from freehold.proof.shapes import attacks
from support.kernel import REFUSED, makes_namespaces
from support.mutants import MUTANTS

IN_CI = os.environ.get("CI") == "true"
SCRIPT = Path(__file__).resolve().parent.parent / "support" / "mutants.py"
pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's"), pytest.mark.timeout(240)]


def run(**order: object) -> Found:
    found = run_inside(Order(folder="", command=COMMAND, data_dir=str(data_dir(os.environ)), **order))  # type: ignore[arg-type]
    if found.missing and not makes_namespaces():
        pytest.skip(f"{REFUSED} network namespaces: {found.missing}")
    if found.missing and not IN_CI:
        pytest.skip(f"the namespace proof: {found.missing}")
    assert not found.missing
    assert not found.trouble
    return found


def test_nothing_leaves_while_local_requests_are_served_and_planted_leaks_are_counted() -> None:
    found = run(idle_s=1.0)
    assert not found.failures, msgspec.json.format(msgspec.json.encode(found)).decode()
    assert found.left == 0
    assert found.quiet_packets == 0
    assert len(found.controls) >= 8
    assert all(control.was_caught for control in found.controls)
    assert any("unlocked" in control.name for control in found.controls), "the same gateway, unlocked, is seen to leave"
    assert found.attacks >= 60
    assert found.served >= 10
    phases = {phase.name: phase for phase in found.phases}
    every = phases["every API, streamed and whole"]
    assert every.statuses == {"200": every.asked - 3, "401": 3}, "/admin takes a key, and nobody has one there"
    assert "none" not in phases["attacks"].statuses, "every attack was answered"
    assert phases["attacks"].statuses["403"] >= 20, "and what may not be served was refused"
    assert phases["commands, beside the requests"].asked >= 10
    kept = phases["ledgers, accounts and keys kept elsewhere"]
    assert kept.statuses == {"2": 12, "0": 3}, (
        "no store elsewhere is served; a local runtime whose key cannot be read is looked at"
    )
    if IN_CI:
        assert found.engine == "embedded"


def test_attacks_are_at_least_sixty_and_all_different() -> None:
    shapes = attacks()
    assert len({shape.request for shape in shapes}) == len({shape.name for shape in shapes}) == len(shapes) >= 60


def test_each_planted_bug_is_caught() -> None:
    bugs = tuple(Mutant(name, (sys.executable, "-P", str(SCRIPT), name), shapes) for name, (shapes, _) in MUTANTS.items())
    assert len(bugs) >= 12
    halves = (bugs[::2], bugs[1::2])
    with ThreadPoolExecutor(len(halves)) as side_by_side:
        worlds = list(side_by_side.map(lambda half: run(whole=False, mutants=half), halves))
    caught = {name: packets for found in worlds for name, packets in found.mutants.items()}
    assert set(caught) == set(MUTANTS)
    assert [name for name, packets in caught.items() if packets == 0] == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda found: msgspec.structs.replace(found, controls=()), "no leak was planted"),
        (
            lambda found: msgspec.structs.replace(found, controls=(msgspec.structs.replace(found.controls[0], packets=0),)),
            "was not counted",
        ),
        (
            lambda found: msgspec.structs.replace(found, controls=(msgspec.structs.replace(found.controls[0], frames=0),)),
            "was not counted",
        ),
        (lambda found: msgspec.structs.replace(found, left=1), "1 packets left"),
        (lambda found: msgspec.structs.replace(found, quiet_packets=2), "by itself"),
        (lambda found: msgspec.structs.replace(found, served=0), "no ordinary request"),
        (lambda found: msgspec.structs.replace(found, missing="no ip"), "no ip"),
    ],
)
def test_a_proof_whose_control_failed_or_that_counted_anything_proves_nothing(change: Callable[[Found], Found], why: str) -> None:
    from freehold.proof.order import Planted

    good = Found(controls=(Planted("dns", 1, 1),), served=1)
    assert good.failures == []
    assert any(re.search(why, said) for said in change(good).failures)


def test_where_namespaces_are_not_permitted_nothing_is_claimed_and_a_changed_report_is_found_out(tmp_path: Path) -> None:
    """In a user namespace that may make no network namespaces: the limits of namespaces(7) count per namespace."""
    closed = f"echo 0 > /proc/sys/user/max_net_namespaces && exec {' '.join(COMMAND)} prove local-only --out {tmp_path}/r.json"
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "FREEHOLD_HOME": str(tmp_path / "data"), "COLUMNS": "200"}

    def ran(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False)

    refused = ran("unshare", "-Ur", "sh", "-c", closed)
    assert refused.returncode == 1, refused.stderr
    assert "NOT PROVEN" in refused.stdout
    assert "max_user_namespaces" in refused.stdout
    assert "nothing was run" in refused.stdout

    report = tmp_path / "r.json"
    assert ran(*COMMAND, "prove", "local-only", "--verify", str(report)).returncode == 0
    signer = json.loads(report.read_text())["signer"]
    environ["FREEHOLD_HOME"] = str(tmp_path / "of somebody else")
    assert (
        f"not signed by this installation, but by {signer}"
        in ran(*COMMAND, "prove", "local-only", "--verify", str(report)).stderr
    )
    assert ran(*COMMAND, "prove", "local-only", "--verify", str(report), "--signer", signer).returncode == 0
    environ["FREEHOLD_HOME"] = str(tmp_path / "data")
    report.write_text(report.read_text().replace('"holds": false', '"holds": true'))
    changed = ran(*COMMAND, "prove", "local-only", "--verify", str(report))
    assert changed.returncode == 1
    assert "was changed" in changed.stderr
