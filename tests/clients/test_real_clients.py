"""The real agents and SDKs, headless, each launched by `freehold launch`, read a file by their own tool and answer from it."""

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncIterator
from importlib.metadata import distributions
from pathlib import Path
from typing import NamedTuple

import pytest

from clients.conftest import Passed
from freehold.gateways.fake import FakeRuntime
from support.gateway import NO_ENGINE, base_url, deployment_toml, runtime_toml
from support.reading_model import EDITED, ReadingModel, file_with_code

pytestmark = [pytest.mark.clients, pytest.mark.timeout(180)]

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PLACE = REPOSITORY / "build" / "clients"
SCRIPTS = Path(__file__).resolve().parent / "scripts"
LONGEST_S = 120
PROMPT = "Read the file {file} with your tool and answer with the code that stands in it."
STRICT = '["system_first", "string_content", "alternating_roles", "known_fields"]'
RUNTIMES = {
    "openai_chat, strict": ["openai_chat"],
    "anthropic_messages": ["anthropic_messages"],
    "openai_responses": ["openai_responses"],
    "all three": ["openai_chat", "anthropic_messages", "openai_responses"],
}
QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "IS_SANDBOX": "1",
    "OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1", "CONTINUE_TELEMETRY_ENABLED": "0",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True", "TERM": "dumb", "NO_COLOR": "1",
    # Whoever still wants to leave the machine finds no way out.
    "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9",
}  # fmt: skip


class Client(NamedTuple):
    package: str
    """npm's name, or the distribution's name after `environment:`."""
    words: tuple[str, ...]
    """Behind `freehold launch`."""


def script(environment: str, name: str) -> tuple[str, ...]:
    return ("--", str(PLACE / environment / "bin" / "python"), str(SCRIPTS / name), "{file}")


LLM_TOOL = "def read_file(path: str) -> str:\n    'Read a file'\n    return open(path).read()"
AIDER = "--yes-always --no-git --no-check-update --analytics-disable --no-show-release-notes"
CLIENTS = {
    "Claude Code": Client("@anthropic-ai/claude-code", ("claude", "-p", PROMPT, "--dangerously-skip-permissions")),
    "Codex CLI": Client(
        "@openai/codex", ("codex", "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", PROMPT)
    ),
    "opencode": Client("opencode-ai", ("opencode", "run", PROMPT)),
    "Qwen Code": Client("@qwen-code/qwen-code", ("qwen", "-p", PROMPT, "--approval-mode", "yolo")),
    "Continue CLI": Client("@continuedev/cli", ("continue", "-p", PROMPT, "--auto")),
    "llm": Client("sdks:llm", ("llm", "--functions", LLM_TOOL, PROMPT)),
    "aider": Client("aider:aider-chat", ("aider", *AIDER.split(), "--message", "Say the code twice in it.", "code.txt")),
    "OpenAI SDK, Chat Completions": Client("sdks:openai", script("sdks", "openai_chat.py")),
    "OpenAI SDK, Responses": Client("sdks:openai", script("sdks", "openai_responses.py")),
    "Anthropic SDK": Client("sdks:anthropic", script("sdks", "anthropic_messages.py")),
    "Ollama client": Client("sdks:ollama", script("sdks", "ollama_chat.py")),
    "LangChain": Client("sdks:langchain-core", script("sdks", "langchain_all.py")),
    "pydantic-ai": Client("sdks:pydantic-ai-slim", script("sdks", "pydantic_agents.py")),
    "LiteLLM": Client("aider:litellm", script("aider", "litellm_sdk.py")),
    "Vercel AI SDK": Client("ai", ("--", "node", str(SCRIPTS / "vercel.mjs"), "{file}")),
}


@pytest.fixture
def model() -> ReadingModel:
    return ReadingModel()


@pytest.fixture
async def runtime(model: ReadingModel) -> AsyncIterator[FakeRuntime]:
    fake = FakeRuntime(script=model)
    await fake.start()
    yield fake
    await fake.stop()


@pytest.mark.parametrize("speaks", RUNTIMES)
@pytest.mark.parametrize("name", CLIENTS)
async def test_it_reads_a_file_and_answers_from_it(
    name: str, speaks: str, runtime: FakeRuntime, model: ReadingModel, passed: Passed, tmp_path: Path
) -> None:
    client = CLIENTS[name]
    version = version_of(client.package)
    work = tmp_path / "work"
    work.mkdir()
    code = f"FH-{secrets.token_hex(12)}"
    file = file_with_code(work, code)
    config = tmp_path / "freehold.toml"
    config.write_text(configuration(base_url(runtime), RUNTIMES[speaks]))
    before = {path: path.read_bytes() for path in (config, file)}
    words = [word.replace("{file}", str(file)) for word in client.words]
    answer, log = await launched(config, words, work, home=tmp_path)
    if name == "aider":
        assert f"{EDITED} {code}" in file.read_text(), (answer, log)
    else:
        assert code in answer, (answer, log, model.refused)
        assert model.tools_used
        assert not model.codes_early, "the code came by another way than the tool"
        assert all(path.read_bytes() == content for path, content in before.items())
    assert not model.refused
    assert model.formats <= set(RUNTIMES[speaks])
    passed(name, version, speaks)


def configuration(url: str, formats: list[str]) -> str:
    return (
        NO_ENGINE
        + "[discovery]\nlocal = false\n[server]\nport = 1\n"  # nobody serves there: launch starts its own
        + runtime_toml("box", "local", url, formats=json.dumps(formats), quirks=STRICT)
        + deployment_toml("box", "model", "served-model")
    )


async def launched(config: Path, words: list[str], work: Path, *, home: Path) -> tuple[str, str]:
    """What the client said on standard output and on standard error; it ended well."""
    env = {
        "PATH": f"{PLACE / 'bin'}:{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "NODE_HOME": str(PLACE / "npm"),
        **QUIET,
    }
    freehold = str(Path(sys.executable).with_name("freehold"))
    process = await asyncio.create_subprocess_exec(
        freehold, "launch", "--config", str(config), *words,
        cwd=work, env=env, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(LONGEST_S):
            out, err = await process.communicate()
    except TimeoutError:
        process.terminate()
        out, err = await process.communicate()
        pytest.fail(f"it did not end: {out[-2000:]!r} {err[-2000:]!r}")
    assert process.returncode == 0, (out[-2000:], err[-2000:])
    return out.decode(errors="replace"), err.decode(errors="replace")


def version_of(package: str) -> str:
    """The installed version; a client that is not installed fails, unless npm as a whole is not here."""
    environment, _, name = package.rpartition(":")
    if environment:
        [folder] = (PLACE / environment / "lib").glob("python3*/site-packages")
        return next(found.version for found in distributions(name=name, path=[str(folder)]))
    if not (PLACE / "npm" / "node_modules").exists():
        pytest.skip("clients of npm: `make clients` installs them where npm is")
    return str(json.loads((PLACE / "npm" / "node_modules" / name / "package.json").read_text())["version"])
