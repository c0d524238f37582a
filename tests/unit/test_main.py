"""Told to stop before anything of the program is imported, a command ends as it is documented to, without a word."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

STALLED = "import os, time\nos.write(1, b'importing')\ntime.sleep(600)\n"


@pytest.mark.parametrize(
    ("words", "stalls", "number", "code"),
    [
        ("serve", "typer", signal.SIGTERM, 0),
        ("serve", "typer", signal.SIGINT, 0),
        ("serve", "uvloop", signal.SIGTERM, 0),
        ("serve", "uvloop", signal.SIGINT, 0),
        ("log --follow", "typer", signal.SIGTERM, 0),
        ("log -f", "sqlalchemy", signal.SIGINT, 0),
        ("ask hello", "typer", signal.SIGINT, 130),
        ("ask hello", "typer", signal.SIGTERM, -signal.SIGTERM),
    ],
)
def test_a_command_ends_well_however_early_it_is_told_to(
    tmp_path: Path, words: str, stalls: str, number: signal.Signals, code: int
) -> None:
    (tmp_path / f"{stalls}.py").write_text(STALLED)  # the first module that a command line loads, or one of the last
    started = subprocess.Popen(
        [sys.executable, "-m", "freehold", *words.split()],
        env={"PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert started.stdout is not None
    assert started.stdout.read(9) == b"importing"
    started.send_signal(number)
    out, err = started.communicate(timeout=60)
    assert (started.returncode, out, err) == (code, b"", b"")


def test_the_end_of_a_terminal_does_not_end_a_server_that_begins(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGHUP)\nraise SystemExit(7)\n")
    ran = subprocess.run([sys.executable, "-m", "freehold", "serve"], env={"PYTHONPATH": str(tmp_path)}, check=False)
    assert ran.returncode == 7
