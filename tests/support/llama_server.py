"""Starts a real llama-server."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


@asynccontextmanager
async def running_llama_server(binary: str, model: Path) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """Its base URL and its process."""
    process = await asyncio.create_subprocess_exec(
        binary, "-m", str(model), "--host", "127.0.0.1", "--port", "0", "-c", "4096", "-t", "1", "-ngl", "0",
        env={"PATH": os.environ["PATH"], "OMP_WAIT_POLICY": "passive", "HOME": "/nonexistent"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    url = ""
    async with asyncio.timeout(60):
        while not url:
            line = (await process.stderr.readline()).decode(errors="replace")
            assert line, "llama-server ended before it listened"
            found = re.search(r"listening on (http://127\.0\.0\.1:\d+)", line)
            url = found.group(1) if found else ""
    drain = asyncio.ensure_future(process.stderr.read())
    try:
        yield f"{url}/v1", process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
        drain.cancel()
