"""What `freehold launch` promises, with the real clients: arguments, exit status, ctrl-C, and nothing left behind."""

import asyncio
import errno
import os
import pty
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from clients.launching import CLIENTS, RUNTIMES, configuration, environment, launched, version_of
from freehold.cli.recipes import Aim, fill_editor, read_recipes
from freehold.gateways.fake import Act, FakeRuntime
from support.gateway import running
from support.reading_model import ReadingModel, file_with_code

pytestmark = [pytest.mark.clients, pytest.mark.timeout(120)]

NAMED = {CLIENTS[name].words[0]: name for name in CLIENTS if CLIENTS[name].words[0] != "--"}
TAKE_TERMINAL = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
"""In a session of its own: ctrl-C typed there reaches everybody in it, as at a real terminal."""
CODE = "FH-0123456789abcdef01234567"


@pytest.fixture
async def stalling() -> AsyncIterator[FakeRuntime]:
    runtime = FakeRuntime(script=lambda _: Act(stall="before-headers"))
    await runtime.start()
    yield runtime
    await runtime.stop()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Nothing of a client or a gateway is left in it running, nor in its folder for what is temporary."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "work").mkdir()
    yield tmp_path
    left = [
        process for process in psutil.process_iter(["environ"]) if (process.info["environ"] or {}).get("HOME") == str(tmp_path)
    ]
    assert not left
    assert not list((tmp_path / "tmp").glob("freehold-*"))


def configure(home: Path, url: str) -> Path:
    config = home / "freehold.toml"
    config.write_text(configuration(url, RUNTIMES["openai_chat, strict"]))
    return config


@pytest.mark.parametrize("command", NAMED)
async def test_its_arguments_are_passed_on_and_its_exit_status_comes_back(
    command: str, home: Path, stalling: FakeRuntime
) -> None:
    config = configure(home, url_of(stalling))
    before = config.read_bytes()
    told = await launched(config, [command, "--version"], home / "work", home=home)
    assert told.code == 0
    assert version_of(CLIENTS[NAMED[command]].package) in told.said + told.log
    assert config.read_bytes() == before
    wrong = await launched(config, [command, "--no-such-option-at-all"], home / "work", home=home, longest_s=30)
    assert wrong.code not in {0, None}, wrong


@pytest.mark.parametrize("command", NAMED)
async def test_ctrl_c_at_a_terminal_ends_the_client_the_gateway_and_the_folder(
    command: str, home: Path, stalling: FakeRuntime
) -> None:
    file = file_with_code(home / "work", CODE)
    words = [word.replace("{file}", str(file)) for word in CLIENTS[NAMED[command]].words]
    ours, theirs = pty.openpty()
    freehold = str(Path(sys.executable).with_name("freehold"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", TAKE_TERMINAL, freehold, "launch", "--config", str(configure(home, url_of(stalling))), *words,
        cwd=home / "work", env=environment(home) | {"TMPDIR": str(home / "tmp")},
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    reading = asyncio.create_task(asyncio.to_thread(read_all, ours))
    async with asyncio.timeout(60):
        await stalling.received()
        for _ in range(20):  # some take the first for "stop this answer", or ask to press it again
            os.write(ours, b"\x03")
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(process.wait()), 1)
                break
        await process.wait()
        await reading
    os.close(ours)
    assert process.returncode is not None
    assert process.returncode >= 0, "launch ends by itself, as a shell would count the client's end"


def read_all(terminal: int) -> bytes:
    said = b""
    try:
        while data := os.read(terminal, 65536):
            said += data
    except OSError as error:
        if error.errno != errno.EIO:  # how a terminal ends on Linux
            raise
    return said


def url_of(runtime: FakeRuntime) -> str:
    assert runtime._server is not None
    return f"http://127.0.0.1:{runtime._server.sockets[0].getsockname()[1]}/v1"


async def test_the_running_gateway_is_found_and_lives_on(home: Path) -> None:
    runtime = FakeRuntime(script=ReadingModel())
    config = configure(home, await runtime.start())
    file = file_with_code(home / "work", CODE)
    words = [word.replace("{file}", str(file)) for word in CLIENTS["llm"].words]
    async with running(config.read_text(), {}, home) as served:
        config.write_text(config.read_text().replace("port = 1\n", f"port = {served.url.rpartition(':')[2]}\n"))
        told = await launched(config, words, home / "work", home=home)
        assert CODE in told.said
        assert {row.outcome for row in served.rows()} == {"served"}
    await runtime.stop()


async def test_continues_reader_takes_the_part_for_its_editors(home: Path) -> None:
    runtime = FakeRuntime(script=ReadingModel())
    text = configure(home, await runtime.start()).read_text()
    file = file_with_code(home / "work", CODE)
    editor = next(one for one in read_recipes().editors if one.name.startswith("Continue"))
    async with running(text, {}, home) as served:
        part = fill_editor(editor, Aim(root=served.url, key="any", model="auto", window=None, folder=""))
        models = "".join(f"  {line}\n" for line in part.split("\n"))
        (home / "config.yaml").write_text(f"name: Mine\nversion: 1.0.0\nschema: v1\nmodels:\n{models}")
        words = [word.replace("{file}", str(file)) for word in CLIENTS["Continue CLI"].words[1:]]
        process = await asyncio.create_subprocess_exec(
            "cn", "--config", str(home / "config.yaml"), *words, cwd=home / "work",
            env=environment(home) | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, log = await process.communicate()
        assert CODE in said.decode(), (said, log)
    await runtime.stop()
