"""The bench's own modules and its load client, for tests of the bench."""

import importlib
import json
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
FORMATS = ("openai_chat", "openai_responses", "openai_completions", "anthropic_messages", "ollama")


def bench_module(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of the bench, which is a folder of scripts and no package."""
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module(name)


def load(tools: Path, port: int, body: Path, *options: str) -> dict[str, Any]:
    """What the load client says."""
    command = [str(tools / "load"), "--port", str(port), "--body", str(body), "--warmup", "0", "--seconds", "5", *options]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode in {0, 1}, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def tally(said: dict[str, Any]) -> tuple[int, int, int, int, int]:
    """Right, wrong, broken, timed out, unanswered."""
    return said["right"], said["wrong"], said["broken"], said["timed_out"], said["unanswered"]
