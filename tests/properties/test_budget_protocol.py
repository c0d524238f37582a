"""The protocol of money, over every order of its steps: spin finds no error in it, and one in each mutant of it."""

import re
import subprocess
from pathlib import Path

import pytest

MODEL = Path(__file__).with_name("budget.pml")
MUTANTS = {
    1: "looks first and writes later",
    2: "takes a repeated reservation for a second one",
    3: "charges a repeated settlement twice",
    4: "charges the true settlement on top of the lapsed one",
    5: "does not hear the true settlement after a lapse",
    6: "sends without an answer to its reservation",
    7: "forgives what lapsed",
    8: "reserves less than it can cost",
}


SMALL = ("-DCLIENTS=2", "-DLIMIT=3")
"""Two clients, of whom the budget pays for one at a time: every mutant shows there, in a hundredth of the states."""


def verify(folder: Path, mutant: int, *size: str) -> str:
    """What spin says after it has looked at every state."""
    for command in (
        ["spin", f"-DMUTANT={mutant}", *size, "-a", str(MODEL)],
        ["cc", "-O1", "-w", "-DSAFETY", "-o", "pan", "pan.c"],
    ):
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    return subprocess.run(["./pan", "-m100000"], cwd=folder, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.parametrize(
    ("size", "states"), [pytest.param(SMALL, 20_000, id="two"), pytest.param((), 1_000_000, id="three", marks=pytest.mark.proof)]
)
def test_the_protocol_holds_in_every_state_it_can_reach(size: tuple[str, ...], states: int, tmp_path: Path) -> None:
    said = verify(tmp_path, 0, *size)
    assert "errors: 0" in said, said
    assert "max search depth too small" not in said
    assert "unreached in proctype Clock\n\t(0 of" in said
    assert int(re.search(r"(\d+) states, stored", said)[1]) > states  # type: ignore[index] - it says so, or this fails


@pytest.mark.parametrize("mutant", MUTANTS, ids=[why.replace(" ", "-") for why in MUTANTS.values()])
def test_every_mutant_is_found(mutant: int, tmp_path: Path) -> None:
    assert "errors: 1" in verify(tmp_path, mutant, *SMALL), MUTANTS[mutant]
