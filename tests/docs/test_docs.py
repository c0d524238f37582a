"""Docs cannot lie: generated parts are fresh, TOML blocks load, links lead somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from typer.main import get_command

from freehold.cli import app
from freehold.config import read_config, settings

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


def console_blocks() -> list[tuple[str, str]]:
    return [
        (page.name, block)
        for page in PAGES
        for block in re.findall(r"^```console\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    ]


@pytest.mark.parametrize(("page", "block"), console_blocks(), ids=lambda value: value[:20])
def test_every_console_block_runs_and_prints_what_it_shows(page: str, block: str, tmp_path: Path) -> None:
    """Each `$ ` line is run in an empty folder; what follows it are the beginnings of the lines it prints first."""
    (tmp_path / "chat.json").write_text('{"model": "auto", "messages": [{"role": "user", "content": "Write a docstring for f"}]}')
    environ = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    for command, expected in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
        ran = subprocess.run(
            command,
            shell=True,
            cwd=tmp_path,
            env=environ,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        shown = ran.stdout.splitlines()
        for line, begins in zip(shown, expected.splitlines(), strict=False):
            assert line.startswith(begins), (page, command, ran.stdout)
        assert len(shown) >= len(expected.splitlines()), (page, command, ran.stdout)


def test_words_of_the_glossary_have_one_meaning() -> None:
    page = (REPOSITORY / "docs" / "glossary.md").read_text()
    words = [word.strip() for row in re.findall(r"^\| (.+?) \|", page, re.MULTILINE)[1:] for word in row.split(",")]
    assert len(words) == len(set(words))
    assert len(words) > 20


def test_every_setting_has_its_meaning_in_the_reference() -> None:
    page = (REPOSITORY / "docs" / "config.md").read_text()
    for struct in (
        settings.ServerSettings,
        settings.StorageSettings,
        settings.LogSettings,
        settings.EgressSettings,
        settings.DiscoverySettings,
    ):
        for field in msgspec.structs.fields(struct):
            assert f"| `{field.encode_name}` |" in page, field.encode_name


def test_every_environment_variable_that_is_read_is_documented() -> None:
    source = "".join(path.read_text() for path in (REPOSITORY / "src").rglob("*.py"))
    docs = "".join(page.read_text() for page in PAGES)
    for name in sorted(set(re.findall(r"[\"`](FREEHOLD_[A-Z_]+)", source))):
        assert name in docs, name


def test_commands_in_shell_blocks_exist() -> None:
    """README and the pages name only commands and options there are."""
    for page in PAGES:
        for line in re.findall(r"^(?:\$ )?(?:\.venv/bin/)?freehold ([a-z]+)(.*)$", page.read_text(), re.MULTILINE):
            command = get_command(app).commands.get(line[0])  # type: ignore[attr-defined]  # typer's app is always a group
            assert command is not None, (page.name, line)
            if hasattr(command, "commands"):
                command = command.commands.get(line[1].split()[0])
                assert command is not None, (page.name, line)
            options = {option for parameter in command.params for option in parameter.opts}
            assert set(re.findall(r"(?<!\S)(--[a-z-]+)", line[1])) <= options, (page.name, line)


def test_readme_names_exactly_the_two_commands() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", (REPOSITORY / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert [block.strip() for block in blocks[:2]] == ["make run", "make test"]


def test_version_is_said_once() -> None:
    said = (REPOSITORY / "pyproject.toml").read_text()
    version = subprocess.run(
        [sys.executable, "-m", "freehold", "version", "--json"], capture_output=True, text=True, check=True, env=dict(os.environ)
    ).stdout
    assert f'version = "{version.split(chr(34))[3]}"' in said
