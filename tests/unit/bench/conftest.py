"""The bench's tools, built once, and a mock upstream."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.bench import BENCH, bench_module
from support.ports import held_port


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with `mock` and `load`."""
    folder = tmp_path_factory.mktemp("bench")
    for name in ("mock", "load"):
        subprocess.run(["cc", "-O1", "-std=gnu11", "-o", str(folder / name), str(BENCH / "native" / f"{name}.c")], check=True)
    return folder


@pytest.fixture
def mock_port(tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Of a mock with 0.2 ms between events and 5 ms of thinking."""
    processes = bench_module("processes", monkeypatch)
    port, holding = held_port()
    mock = processes.Process(
        [str(tools / "mock"), str(port), "200", "5", "60"], cores=(0,), home=tmp_path / "home", log=tmp_path / "log"
    )
    try:
        processes.wait_for_port(port, mock)
        yield port
    finally:
        mock.end()
        holding.close()
