"""What a signal means to a process in its last moments, in a process of its own: it would end the tests."""

import subprocess
import sys

import pytest

SCRIPT = """
import asyncio, atexit, os, signal, uvloop
from freehold.server.signals import on_signal, to_the_end

heard = []

async def work():
    ended = asyncio.Event()
    on_signal(signal.SIGTERM, lambda: (heard.append(1), ended.set()))
    os.kill(os.getpid(), signal.SIGTERM)
    await ended.wait()

class Last:
    def __init__(self):
        self.kill, self.mine, self.numbers = os.kill, os.getpid(), (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    def __del__(self):
        for number in self.numbers:
            self.kill(self.mine, number)

LOOP.run(to_the_end(work()))
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    os.kill(os.getpid(), number)
assert heard == [1]
last = Last()
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_told_to_stop_when_it_has_ended_a_process_ends_as_it_would_have(loop: str) -> None:
    ran = subprocess.run([sys.executable, "-c", SCRIPT.replace("LOOP", loop)], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_told_to_stop_while_it_begins_it_ends_well_and_runs_no_further(name: str) -> None:
    script = (
        "import os, signal; from freehold.server.signals import stop_at_once\n"
        f"stop_at_once(); os.kill(os.getpid(), signal.{name}); print('went on')"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_told_to_stop_while_it_becomes_another_program_it_ends_when_that_begins() -> None:
    other = "from freehold.server.signals import stop_at_once; print('began', flush=True); stop_at_once(); print('went on')"
    script = (
        "import os, signal, sys; from freehold.server.signals import wait_to_stop\n"
        "wait_to_stop(); os.kill(os.getpid(), signal.SIGTERM)\n"
        f"os.execv(sys.executable, [sys.executable, '-c', {other!r}])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "began\n", "")
