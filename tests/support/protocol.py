"""The model of the protocol of money, and what spin says of it."""

import re
import subprocess
from pathlib import Path

MODEL = Path(__file__).resolve().parent.parent / "properties" / "budget.pml"


def verify(folder: Path, mutant: int, *size: str, within_s: float = 60) -> str:
    """What spin says after it has looked at every state."""
    for command in (
        ["spin", f"-DMUTANT={mutant}", *size, "-a", str(MODEL)],
        ["cc", "-O1", "-w", "-DSAFETY", "-o", "pan", "pan.c"],
    ):
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    return subprocess.run(["./pan", "-m100000"], cwd=folder, check=True, capture_output=True, text=True, timeout=within_s).stdout


def states_without_error(said: str) -> int:
    """How many states it looked at, all of them, and found no error."""
    assert "errors: 0" in said, said
    assert "max search depth too small" not in said
    assert "unreached in proctype Clock\n\t(0 of" in said
    return int(re.search(r"(\d+) states, stored", said)[1])  # type: ignore[index] - it says so, or this fails
