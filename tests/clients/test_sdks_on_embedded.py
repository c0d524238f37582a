"""The SDKs on the embedded model, for real: SmolLM2 calls the tool and answers from its result in its own words.

Nothing is scripted but the question. The engine's grammar gives calls and replies their shape; which it is, the arguments and
the words are the model's, at temperature 0. The code is twelve digits, which a model of 135 million parameters can repeat.
"""

import os
import secrets
from pathlib import Path

import pytest

from clients.conftest import Passed
from clients.launching import CLIENTS, launched, requests_of, version_of
from freehold.fault import FaultError
from freehold.local import weights
from freehold.local.places import data_dir

pytestmark = [pytest.mark.clients, pytest.mark.engine, pytest.mark.timeout(400)]

SDKS = [name for name, client in CLIENTS.items() if client.words[0] == "--" and name != "LiteLLM"]
CODES = 4
"""Codes each SDK reads, one process for each, which asks every API it has."""
ENOUGH = 3
"""Of these all answers must be right: so small a model misses a digit now and then."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    ours = data_dir(os.environ)
    try:
        weights.find("smollm2-135m-instruct", ours)
    except FaultError as error:
        pytest.fail(f"{error.fault.message}: `freehold pull --default`")
    (tmp_path / "freehold").mkdir()
    (tmp_path / "freehold" / "weights").symlink_to(ours / "weights", target_is_directory=True)
    return tmp_path


@pytest.mark.parametrize("name", SDKS)
async def test_it_reads_a_file_and_answers_from_it(name: str, home: Path, counted: Passed) -> None:
    config = home / "freehold.toml"
    config.write_text("[discovery]\nlocal = false\n[server]\nport = 1\n")
    work = home / "work"
    work.mkdir()
    words = [word.replace("{file}", "code.txt") for word in CLIENTS[name].words]
    runs = []
    for _ in range(CODES):
        code = f"FH-{10**11 + secrets.randbelow(9 * 10**11)}"
        (work / "code.txt").write_text(f"{code}\n")
        runs.append((code, await launched(config, words, work, home=home)))
    right = sum(ended.code == 0 and code in ended.said for code, ended in runs)
    assert right >= ENOUGH, runs
    assert {row.egress for row in requests_of(home) if row.outcome == "served"} == {"local"}
    counted(name, version_of(CLIENTS[name].package), f"{right} of {CODES} codes")
