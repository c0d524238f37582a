"""The real agents and SDKs, headless, each launched by `freehold launch`, read a file by their own tool and answer from it."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clients.conftest import Passed
from clients.launching import CLIENTS, RUNTIMES, configuration, launched, version_of
from freehold.gateways.fake import FakeRuntime
from support.gateway import base_url
from support.reading_model import EDITED, ReadingModel, file_with_code

pytestmark = [pytest.mark.clients, pytest.mark.timeout(180)]


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
    ended = await launched(config, words, work, home=tmp_path)
    assert ended.code == 0, ended
    if name == "aider":
        assert f"{EDITED} {code}" in file.read_text(), ended
    else:
        assert code in ended.said, (ended, model.refused)
        assert model.tools_used
        assert not model.codes_early, "the code came by another way than the tool"
        assert all(path.read_bytes() == content for path, content in before.items())
    assert not model.refused
    assert model.formats <= set(RUNTIMES[speaks])
    passed(name, version, speaks)
