"""What installs in seconds of the clients that `make clients` drives, launched for real: a file read by its tool, on a runtime that
speaks only strict Chat Completions, and on one that speaks all three. The vendors' own SDKs stand in test_launch.py.
"""

import asyncio
import secrets
from pathlib import Path

import pytest

from clients.launching import CLIENTS, PLACE, RUNTIMES, Ended, configuration, launched
from freehold.gateways.fake import FakeRuntime
from support.gateway import base_url, running
from support.reading_model import ReadingModel, file_with_code


async def read(name: str, config: str, home: Path) -> tuple[str, Ended]:
    """One client's turn through the running gateway; the code that only the file has, and what it said."""
    (home / "work").mkdir(parents=True)
    (home / "freehold.toml").write_text(config)
    code = f"FH-{secrets.token_hex(12)}"
    file = file_with_code(home / "work", code)
    words = [word.replace("{file}", str(file)) for word in CLIENTS[name].words]
    return code, await launched(home / "freehold.toml", words, home / "work", home=home)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("speaks", "names"), [("openai_chat, strict", ["llm", "LangChain", "pydantic-ai"]), ("all three", ["pydantic-ai"])]
)
async def test_programs_of_other_makers_read_a_file_and_answer_from_it(speaks: str, names: list[str], tmp_path: Path) -> None:
    if not (PLACE / "sdks" / ".made").exists():
        pytest.skip("client programs: `make test` installs them (tests/clients/install.py sdks)")
    model = ReadingModel()
    runtime = FakeRuntime(script=model)
    await runtime.start()
    config = configuration(base_url(runtime), RUNTIMES[speaks])
    async with running(config, {}, tmp_path) as served:
        found = config.replace("port = 1\n", f"port = {served.url.rpartition(':')[2]}\n")
        done = await asyncio.gather(*(read(name, found, tmp_path / name) for name in names))
        assert {row.outcome for row in served.rows()} == {"served"}
    await runtime.stop()
    for code, ended in done:
        assert ended.code == 0, ended
        assert code in ended.said, (ended, model.refused)
    assert model.tools_used
    assert not model.refused
    assert not model.codes_early, "a code came by another way than the tool"
    assert model.formats == set(RUNTIMES[speaks])
