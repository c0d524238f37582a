"""What each client needs to be pointed at a gateway, as `data/clients.toml` says it. Pure but for reading that file.

Promised: the same values make the same environment, files and arguments, for `launch` and for the docs; a value that holds
quotes or dollars stays one value. Deliberately not done: looking whether the client is installed, writing anything.
"""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from string import Template
from typing import Final

import msgspec

from freehold.chat import WireFormat

ANY = "any"
"""The recipe of every command that has none of its own."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one client is told."""

    name: str
    title: str
    command: str
    """The program's name; empty where the caller names it."""
    format: WireFormat
    source: str
    package: str = ""
    env: dict[str, str] = {}
    unset: tuple[str, ...] = ()
    """Variables that would win over these."""
    files: dict[str, str] = {}
    """By name below the folder."""
    args: tuple[tuple[str, ...], ...] = ()
    """Before the caller's own; words that belong together are left out together."""
    notes: tuple[str, ...] = ()

    @property
    def installed_by(self) -> str:
        """The command that installs it."""
        index, _, name = self.package.partition(": ")
        return f"{'npm install -g' if index == 'npm' else 'pip install'} {name}"


class Editor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person sets by hand."""

    name: str
    where: str
    settings: str
    format: WireFormat
    source: str


class Recipes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of `data/clients.toml`."""

    clients: tuple[Recipe, ...]
    editors: tuple[Editor, ...]

    def of(self, name: str) -> Recipe | None:
        """The recipe of this name."""
        return next((recipe for recipe in self.clients if recipe.name == name), None)


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """Where a client is pointed."""

    root: str
    """`http://host:port`."""
    key: str
    model: str
    window: int | None
    """Tokens; None: nobody knows."""
    folder: str


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """A recipe with its values."""

    env: dict[str, str]
    unset: tuple[str, ...]
    files: dict[str, str]
    args: tuple[str, ...]


LONGEST_ANSWER: Final = 8192
_LEFT_OUT: Final = ("$window", "${window}")


def read_recipes() -> Recipes:
    """The recipes. A defect in the file is ours: msgspec.ValidationError."""
    return msgspec.convert(tomllib.loads(files("freehold.data").joinpath("clients.toml").read_text("utf-8")), Recipes)


def make_setup(recipe: Recipe, aim: Aim) -> Setup:
    """The environment, files and arguments for this aim."""
    values = _values(aim)
    known = [group for group in recipe.args if not _is_unknown(" ".join(group), values)]
    return Setup(
        env={name: fill(text, values) for name, text in recipe.env.items() if not _is_unknown_line(text, values)},
        unset=recipe.unset,
        files={name: fill(text, values) for name, text in recipe.files.items()},
        args=tuple(fill(word, values) for group in known for word in group),
    )


def fill_editor(editor: Editor, aim: Aim) -> str:
    """What is written into the editor's setting."""
    return fill(editor.settings, _values(aim)).strip("\n")


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its values; lines whose value nobody knows are left out. Raises KeyError for a name of no value."""
    lines = text.removeprefix("\n").split("\n")
    return "\n".join(Template(line).substitute(values) for line in lines if not _is_unknown(line, values))


def _values(aim: Aim) -> dict[str, str]:
    plain = {"root": aim.root, "v1": f"{aim.root}/v1", "key": aim.key, "model": aim.model, "folder": aim.folder}
    asked = {**plain, "freehold_model": f"freehold/{aim.model}"}
    quoted = {f"quoted_{name}": msgspec.json.encode(value).decode() for name, value in asked.items()}
    if aim.window is None:
        return {**asked, **quoted}
    # A client that keeps more than is left beside its own prompt shortens its conversation for ever (opencode).
    answer = min(LONGEST_ANSWER, aim.window // 4)
    return {**asked, **quoted, "window": str(aim.window), "answer": str(answer)}


def _is_unknown(text: str, values: Mapping[str, str]) -> bool:
    return "window" not in values and any(mark in text for mark in _LEFT_OUT)


def _is_unknown_line(text: str, values: Mapping[str, str]) -> bool:
    """A variable of one line goes whole."""
    return "\n" not in text.strip() and _is_unknown(text, values)
