"""The tree is what ARCHITECTURE.md says, and stays readable."""

import ast
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SOURCE = REPOSITORY / "src" / "freehold"
LONGEST_FILE_LINES = 420
LONGEST_FUNCTION_LINES = 60


def source_files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def top_level_names() -> set[str]:
    names = {path.stem for path in SOURCE.glob("*.py")} | {
        path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()
    }
    return names - {"__init__", "__main__"}


def layers() -> list[set[str]]:
    contract = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    return [{name.strip("() ") for name in layer.split("|")} for layer in contract["layers"]]


def test_every_package_stands_in_a_layer() -> None:
    assert top_level_names() <= set().union(*layers())


def test_architecture_page_names_every_package_in_its_layer_order() -> None:
    page = (REPOSITORY / "ARCHITECTURE.md").read_text()
    drawing = re.search(r"```text\n(.*?)```", page, re.DOTALL)
    assert drawing is not None
    drawn = [set(re.findall(r"[a-z_]+", row.split("  --")[0])) for row in drawing.group(1).splitlines() if row.strip()]
    expected = [layer & top_level_names() for layer in layers()]
    assert drawn == [layer for layer in expected if layer]


def test_architecture_page_is_one_page() -> None:
    assert len((REPOSITORY / "ARCHITECTURE.md").read_text().splitlines()) <= 110


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_stay_readable(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST_FILE_LINES
    for name, lines in functions(ast.parse(text)):
        assert lines <= LONGEST_FUNCTION_LINES, f"{name} has {lines} lines"


def functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_path_of_this_machine_stands_in_the_tree() -> None:
    here = {f"{REPOSITORY.parent}/", f"{Path.home()}/"} - {"//", "/"}
    for path in kept_files():
        assert not [place for place in here if place in path.read_text(errors="replace")], path


def kept_files() -> Iterator[Path]:
    """Texts of the tree. What comes and goes while other tests run stands in folders that are not looked into."""
    skipped = {".venv", ".git", "build", "results", ".peers", "__pycache__", ".hypothesis"}
    skipped |= {".mypy_cache", ".ruff_cache", ".import_linter_cache"}
    for folder, inner, names in os.walk(REPOSITORY):
        inner[:] = [name for name in inner if name not in skipped]
        yield from (
            Path(folder, name) for name in names if Path(name).suffix in {".py", ".md", ".toml", ".txt", ".sh", ".c", ".json", ""}
        )


def test_locks_pin_by_hash_and_name_no_index_address() -> None:
    for lock in (REPOSITORY / "requirements").glob("*.txt"):
        text = lock.read_text()
        assert "://" not in text, lock.name
        assert "index-url" not in text, lock.name
        pins = re.findall(r"^[a-z0-9][^\n]*==[^\n]*", text, re.MULTILINE)
        assert pins
        assert all(pin.endswith("\\") for pin in pins), "each pin is followed by its hashes"
