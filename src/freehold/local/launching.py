"""Starting an engine's process: its command, its environment and its settings.

Promised: the environment is built from a short list of allowed names, so no key, proxy or library switch of the
parent leaks in; settings go through stdin; the process is its own session, so that Ctrl-C reaches only the parent, which
then stops it in order.
"""

import asyncio
import os
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import psutil

from freehold.local.child import Settings
from freehold.runtime import Launch
from freehold.secret import Secret

Command = Callable[[Launch], Sequence[str]]
"""The argument vector for an engine."""
MODULES = {"llama": "freehold.local.llama_child", "embed": "freehold.local.embed_child"}
KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV")
OUTPUT_LIMIT_BYTES = 1 << 16


def engine_command(launch: Launch) -> list[str]:
    """The Python that runs now, without the working directory on its module path."""
    return [sys.executable, "-P", "-m", MODULES[launch.engine]]


def engine_environment(environ: Mapping[str, str], threads: int) -> dict[str, str]:
    """What an engine's process sees.

    `OMP_WAIT_POLICY=passive`: OpenMP threads that spin for work make two threads beside one busy neighbour some twenty
    times slower than one thread (docs/engines.md). It is read when the library is loaded, so it must come from outside.
    """
    kept = {name: environ[name] for name in KEPT_ENVIRONMENT if name in environ}
    return kept | {
        "OMP_WAIT_POLICY": "passive",
        "OMP_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "PYTHONNOUSERSITE": "1",
    }


def threads_for(launch: Launch) -> int:
    """As configured, else one for embeddings and the physical cores less one for text, at least one."""
    if launch.threads is not None:
        return max(1, launch.threads)
    if launch.engine == "embed":
        return 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or usable, usable) - 1)


async def start_process(command: Command, launch: Launch, weights: Path) -> tuple[asyncio.subprocess.Process, Secret]:
    """Start the process and hand it its settings; returns it with the key it will ask for. Raises OSError."""
    threads = threads_for(launch)
    api_key = secrets.token_urlsafe(32)
    process = await asyncio.create_subprocess_exec(
        *command(launch),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=engine_environment(os.environ, threads),
        start_new_session=True,
        limit=OUTPUT_LIMIT_BYTES,
    )
    settings = Settings(
        weights=str(weights),
        model=model_name(launch),
        context=launch.context,
        slots=launch.slots,
        threads=threads,
        api_key=api_key,
    )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(settings) + b"\n")  # stays open: its end tells the process that we are gone
    return process, Secret(api_key)


def model_name(launch: Launch) -> str:
    """The name the engine answers to: the manifest's, or the file's without its ending."""
    return Path(launch.weights).name.removesuffix(".gguf").lower()
