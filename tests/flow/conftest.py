"""The whole gateway on a real socket, in front of real or scripted runtimes."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from freehold.fault import FaultError
from freehold.gateways.fake import FakeRuntime
from freehold.local import weights
from freehold.local.places import data_dir
from freehold.server import app
from support.gateway import NO_ENGINE, Serve, Served, running
from support.llama_server import running_llama_server

IN_CI = os.environ.get("CI") == "true"


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Start a gateway from configuration text; it stops with the test."""
    async with AsyncExitStack() as stack:

        async def start(config: str = NO_ENGINE, *, environ: dict[str, str] | None = None, home: Path | None = None) -> Served:
            return await stack.enter_async_context(running(config, environ or {}, home or tmp_path))

        yield start


@pytest.fixture
def far_from_midnight(monkeypatch: pytest.MonkeyPatch) -> int:
    """Gateways of this process have it noon today: no day and no month ends while a test runs. Gives how much later that is."""
    moved_ms = 43_200_000 - app.wall_ms() % 86_400_000
    real_ms = app.wall_ms
    monkeypatch.setattr(app, "wall_ms", lambda: real_ms() + moved_ms)
    return moved_ms


@pytest.fixture
async def fake() -> AsyncIterator[FakeRuntime]:
    runtime = FakeRuntime()
    await runtime.start()
    yield runtime
    await runtime.stop()


@pytest.fixture
async def other_fake() -> AsyncIterator[FakeRuntime]:
    runtime = FakeRuntime()
    await runtime.start()
    yield runtime
    await runtime.stop()


@pytest.fixture(scope="session")
def engine_home() -> Path:
    """A data directory that has the embedded engine's weights."""
    home = data_dir(os.environ)
    try:
        weights.find("smollm2-135m-instruct", home)
        weights.find("all-minilm-l6-v2", home)
    except FaultError as error:
        if IN_CI:
            raise
        pytest.skip(f"embedded engine: {error.fault.message}")
    return home


@pytest.fixture
def home_with_weights(engine_home: Path, tmp_path: Path) -> Path:
    """A fresh data directory that shares the weights."""
    (tmp_path / "weights").symlink_to(engine_home / "weights", target_is_directory=True)
    return tmp_path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def embedded(engine_home: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """A gateway with the embedded engine, for all tests of a module that leave it as it is. They run on the module's loop."""
    home = tmp_path_factory.mktemp("embedded")
    (home / "weights").symlink_to(engine_home / "weights", target_is_directory=True)
    async with running("", {}, home) as served:
        await asyncio.wait_for(served.app.engines.ready(), 60)
        yield served


@pytest.fixture(scope="session")
def llama_server_binary() -> str:
    """A stand-alone llama-server."""
    found = shutil.which("llama-server-vulkan", path=str(Path(sys.executable).parent)) or shutil.which("llama-server")
    if found is None:
        if IN_CI:
            pytest.fail("CI needs a llama-server: requirements/engines.txt")
        pytest.skip("llama-server: no binary here (requirements/engines.txt)")
    return found


@pytest.fixture
async def llama_server(llama_server_binary: str, engine_home: Path) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """A real llama-server with the embedded engine's weights; its base URL and its process."""
    async with running_llama_server(llama_server_binary, weights.find("smollm2-135m-instruct", engine_home)) as found:
        yield found
