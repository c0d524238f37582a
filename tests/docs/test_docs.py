"""Docs cannot lie: generated parts are fresh, TOML blocks load, links lead somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from freehold.config import read_config

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])


def test_generated_parts_are_fresh() -> None:
    ran = subprocess.run(
        [sys.executable, str(REPOSITORY / "docs" / "generate.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, f"run `make docs`: {ran.stdout}{ran.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_toml_block_loads(page: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    for block in blocks:
        read_config(block, {"HOME": str(tmp_path), "ANTHROPIC_API_KEY": "x" * 20}, None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_readme_names_exactly_the_two_commands() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", (REPOSITORY / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert [block.strip() for block in blocks[:2]] == ["make run", "make test"]


def test_version_is_said_once() -> None:
    said = (REPOSITORY / "pyproject.toml").read_text()
    version = subprocess.run(
        [sys.executable, "-m", "freehold", "version", "--json"], capture_output=True, text=True, check=True, env=dict(os.environ)
    ).stdout
    assert f'version = "{version.split(chr(34))[3]}"' in said
