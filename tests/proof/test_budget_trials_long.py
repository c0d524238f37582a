"""Ten thousand killed processes and five thousand power cuts: no acknowledged reservation or settlement is lost or doubled."""

import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from support.budget_trials import cut_off

pytestmark = [pytest.mark.proof, pytest.mark.timeout(5400)]
KILLS, CUTS = 10_000, 5_000
WRONG = ("lost", "doubled or lost money", "corrupt")


def test_killed_processes_lose_and_double_no_money(found: Any) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        said = subprocess.run(
            [sys.executable, "-m", "support.budget_trials", f"{folder}/trials", str(KILLS), "1"],
            check=True,
            capture_output=True,
            text=True,
            timeout=5000,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        ).stdout
    counts = Counter({name: int(count) for name, _, count in (line.rpartition(": ") for line in said.splitlines())})
    assert counts["trials"] == KILLS
    assert set(counts) <= {"trials", "acknowledged", "lapsed", *WRONG}, counts
    assert not any(counts[name] for name in WRONG), counts
    found(
        "A process killed at any moment loses no reservation or settlement that was acknowledged, and none is charged twice.",
        **{"processes killed": KILLS, "acknowledged": counts["acknowledged"], "settled by the next start": counts["lapsed"]},
        **{name: counts[name] for name in WRONG},
    )


def test_power_cuts_lose_and_double_no_money(found: Any) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        counts = cut_off(Path(folder), CUTS, 1)
        weaker = cut_off(Path(folder), 300, 2, synchronous="NORMAL")
    assert counts["cuts"] == CUTS
    assert set(counts) <= {"cuts", "acknowledged", "lapsed", *WRONG}, counts
    assert not any(counts[name] for name in WRONG), counts
    assert weaker["lost"] > 0, "a disk that syncs less must be caught"
    found(
        "A power cut at any moment, under the SQLite that is loaded, loses nothing that was acknowledged, and corrupts nothing.",
        **{"power cuts": CUTS, "acknowledged before them": counts["acknowledged"]},
        **{name: counts[name] for name in WRONG},
        **{"lost in 300 cuts with synchronous=NORMAL, which the trial must notice": weaker["lost"]},
    )
