"""Coverage-guided fuzzing of every parser that reads what somebody else wrote. `FREEHOLD_FUZZ_S` seconds for each, 600 unless said."""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Found = Callable[..., None]
FUZZ = Path(__file__).parent / "fuzz"
SECONDS = int(os.environ.get("FREEHOLD_FUZZ_S", "600"))
STARTUP_S = 60


def _targets() -> list[str]:
    spec = importlib.util.spec_from_file_location("fuzz_targets", FUZZ / "targets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return sorted(module.TARGETS)


def fuzz(target: str, folder: Path, seconds: int) -> tuple[int, str]:
    """The child's exit code and what it said."""
    command = [sys.executable, str(FUZZ / "run.py"), target, str(folder), str(seconds)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds + STARTUP_S, check=False)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.proof
@pytest.mark.timeout(SECONDS + 2 * STARTUP_S)
@pytest.mark.parametrize("target", _targets())
def test_no_input_makes_a_parser_raise(target: str, tmp_path: Path, found: Found) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris: no wheel for this machine (requirements/fuzz.txt; Linux x86-64 only)")
    code, said = fuzz(target, tmp_path, SECONDS)
    assert code == 0, said[-4000:]
    done = re.search(r"Done (\d+) runs in (\d+) second", said)
    assert done is not None, said[-4000:]
    covered = re.findall(r"cov: (\d+)", said)
    found(
        f"No input makes a parser raise what is not a fault, hang, or take over 2 GiB: {target}.",
        **{"runs": int(done[1]), "seconds": int(done[2]), "branches covered": int(covered[-1]), "unhandled": 0},
    )
