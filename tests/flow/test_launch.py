"""`freehold launch`: the gateway, the environment, what is passed on, and that nothing stays behind."""

import asyncio
import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from freehold.gateways.fake import FakeRuntime
from support.gateway import NO_ENGINE, base_url, deployment_toml, runtime_toml
from support.reading_model import ReadingModel, file_with_code

SCRIPTS = Path(__file__).resolve().parent.parent / "clients" / "scripts"
STRICT = '["system_first", "string_content", "alternating_roles", "known_fields"]'
SDKS = ["openai_chat.py", "openai_responses.py", "anthropic_messages.py", "ollama_chat.py"]
SCRIPT_PATHS = [str(SCRIPTS / name) for name in SDKS]
CODE = "FH-0123456789abcdef01234567"


async def launched(home: Path, *words: str, given: bytes = b"") -> tuple[int, str, str]:
    process = await started(home, *words)
    async with asyncio.timeout(60):
        out, err = await process.communicate(given)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def started(home: Path, *words: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    scratch = home / "tmp"
    scratch.mkdir(exist_ok=True)
    env = {"PATH": f"{home}:{os.environ['PATH']}", "HOME": str(home), "TMPDIR": str(scratch)}
    freehold = str(Path(sys.executable).with_name("freehold"))
    command = (freehold, "launch", "--config", str(home / "freehold.toml"), *words)
    return await asyncio.create_subprocess_exec(*command, env=env, cwd=home, stdin=pipe, stdout=pipe, stderr=pipe)


@pytest.fixture
async def home(tmp_path: Path, fake: FakeRuntime) -> Path:
    """With a configuration whose server nobody runs."""
    configure(tmp_path, fake, "openai_chat")
    return tmp_path


def configure(home: Path, fake: FakeRuntime, speaks: str) -> None:
    (home / "freehold.toml").write_text(
        NO_ENGINE
        + "[discovery]\nlocal = false\n[server]\nport = 1\n"
        + runtime_toml("box", "local", base_url(fake), formats=f'["{speaks}"]', quirks=STRICT)
        + deployment_toml("box", "model", "served-model", abilities="{ context = 32768, tools = true }")
    )


def program(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


async def test_arguments_input_output_and_exit_code_are_passed_on(home: Path) -> None:
    program(
        home, "claude", 'printf "%s|" "$@"; cat; echo "$ANTHROPIC_BASE_URL $CLAUDE_CODE_MAX_CONTEXT_TOKENS"; echo no >&2; exit 7'
    )
    code, out, err = await launched(home, "--model", "model", "claude", "-p", "--model", "two words", given=b"typed\n")
    assert code == 7
    assert out.startswith("-p|--model|two words|typed\nhttp://127.0.0.1:")
    assert out.endswith(" 32768\n")
    assert err == "no\n"


async def test_the_folder_of_a_client_is_private_and_gone_afterwards(home: Path) -> None:
    program(home, "cn", 'stat -c %a "$(dirname "$2")"; cat "$2"')
    code, out, _ = await launched(home, "continue")
    assert code == 0
    assert out.startswith("700\nname: Freehold\n")
    assert list((home / "tmp").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_what_ends_launch_ends_the_client_and_leaves_nothing(home: Path, number: signal.Signals) -> None:
    program(home, "cn", 'trap "echo told; exit 3" TERM INT HUP; echo ready; while :; do sleep 0.05; done')
    process = await started(home, "continue")
    assert process.stdout is not None
    async with asyncio.timeout(30):
        assert await process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        out, _ = await process.communicate()
    assert (out, process.returncode) == (b"told\n", 3)
    assert list((home / "tmp").iterdir()) == []


async def test_a_client_that_is_not_there_and_one_nobody_knows_are_told(home: Path) -> None:
    code, _, err = await launched(home, "qwen")
    assert code == 127
    assert "`npm install -g @qwen-code/qwen-code` installs it" in err
    code, _, err = await launched(home, "clod")
    assert code == 2
    assert "freehold launch -- clod" in err


async def test_print_shows_what_would_be_set_and_starts_nothing(home: Path) -> None:
    code, out, _ = await launched(home, "--print", "claude", "-p")
    assert code == 0
    assert "export ANTHROPIC_BASE_URL=http://127.0.0.1:1\n" in out
    assert out.endswith("\nclaude -p\n")


@pytest.mark.parametrize("speaks", ["openai_chat", "anthropic_messages"])
async def test_the_sdks_read_a_file_through_a_tool_and_answer_from_it(tmp_path: Path, speaks: str) -> None:
    model = ReadingModel()
    fake = FakeRuntime(script=model)
    await fake.start()
    configure(tmp_path, fake, speaks)
    file = file_with_code(tmp_path, CODE)
    # One after the other in one Python, which imports what they share once.
    each = f"import runpy, sys; sys.path.insert(0, {str(SCRIPTS)!r}); [runpy.run_path(one) for one in {SCRIPT_PATHS!r}]"
    code, out, err = await launched(tmp_path, "--", sys.executable, "-c", each, str(file))
    assert code == 0, err
    assert out.count(CODE) == len(SDKS)
    assert model.tools_used == ["read_file"] * len(SDKS)
    assert not model.refused
    assert not model.codes_early
    await fake.stop()
