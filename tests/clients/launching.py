"""The real clients: how each is launched for its work, and what it said. They come from build/clients and nowhere else."""

import asyncio
import json
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import NamedTuple

import pytest

from freehold.ledger import queries
from freehold.record import RequestRecord
from freehold.storage.engine import open_engine
from freehold.storage.store import sqlite_url
from support.gateway import NO_ENGINE, deployment_toml, runtime_toml

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


class Ended(NamedTuple):
    """What a client did."""

    code: int | None
    """None: it did not end by itself in time."""
    said: str
    log: str


def configuration(url: str, formats: list[str], window: int = 100_000) -> str:
    able = f"{{ context = {window}, tools = true, images = true, json_schema = true, reasoning = true }}"
    return (
        NO_ENGINE
        + "[discovery]\nlocal = false\n[server]\nport = 1\n"  # nobody serves there: launch starts its own
        + runtime_toml("box", "local", url, formats=json.dumps(formats), quirks=STRICT)
        + deployment_toml("box", "model", "served-model", abilities=able)
    )


async def launched(
    config: Path, words: list[str], work: Path, *, home: Path, longest_s: float = LONGEST_S, since: asyncio.Event | None = None
) -> Ended:
    """Launch it with an environment of its own: nothing of this machine's settings gets in, nothing gets out but to loopback.

    `since`: its time counts from then, not from its start, which takes long on a busy machine.
    """
    (home / "freehold").mkdir(exist_ok=True)
    freehold = str(Path(sys.executable).with_name("freehold"))
    process = await asyncio.create_subprocess_exec(
        freehold, "launch", "--config", str(config), *words, cwd=work, env=environment(home),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    talk = asyncio.create_task(process.communicate())
    if since is not None:
        begun = asyncio.create_task(since.wait())
        await asyncio.wait((talk, begun), timeout=LONGEST_S, return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
    done, _ = await asyncio.wait((talk,), timeout=longest_s)
    if not done:
        process.terminate()  # launch ends the client
    out, err = await talk
    return Ended(process.returncode if done else None, out.decode(errors="replace"), err.decode(errors="replace"))


def environment(home: Path) -> dict[str, str]:
    """All a client gets to see: its own folder, and no way out but to loopback."""
    return {
        "PATH": f"{PLACE / 'bin'}:{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "FREEHOLD_HOME": str(home / "freehold"),
        "NODE_HOME": str(PLACE / "npm"),
        **QUIET,
    }


def requests_of(home: Path) -> list[RequestRecord]:
    """What the client asked of the gateway, oldest first, as the ledger of that run has it."""
    engine = open_engine(sqlite_url(home / "freehold" / "freehold.db"), read_only=True)
    try:
        return [row for row in reversed(queries.recent(engine, limit=10_000)) if row.operation == "chat"]
    finally:
        engine.dispose()


def version_of(package: str) -> str:
    """The installed version; a client that is not installed fails, unless npm as a whole is not here."""
    environment, _, name = package.rpartition(":")
    if environment:
        [folder] = (PLACE / environment / "lib").glob("python3*/site-packages")
        return next(found.version for found in distributions(name=name, path=[str(folder)]))
    if not (PLACE / "npm" / "node_modules").exists():
        pytest.skip("clients of npm: `make clients` installs them where npm is")
    return str(json.loads((PLACE / "npm" / "node_modules" / name / "package.json").read_text())["version"])
