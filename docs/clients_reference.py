"""The parts of docs/clients.md on each client: from `data/clients.toml`, which `freehold launch` reads, and from docs/clients.json."""

import json
import shlex
from pathlib import Path

from freehold.cli.recipes import ANY, Aim, Recipe, fill_editor, make_setup, read_recipes

AIM = Aim(root="http://127.0.0.1:8840", key="freehold", model="auto", window=32768, folder="FOLDER")
ALWAYS = "runtime always "
REFUSED = "refused: "
RESULTS = Path(__file__).resolve().parent / "clients.json"


def launched() -> str:
    """What `freehold launch` sets for each client."""
    return "\n".join(_client(recipe) for recipe in read_recipes().clients).rstrip()


def _client(recipe: Recipe) -> str:
    setup = make_setup(recipe, AIM)
    name = "-- COMMAND" if recipe.name == ANY else recipe.name
    speaks = f", speaks `{recipe.format}`" if recipe.name != ANY else ""
    lines = [f"### {recipe.title}", "", f"`freehold launch {name}`{f' ({recipe.package})' if recipe.package else ''}{speaks}", ""]
    shown = [f"unset {' '.join(setup.unset)}"] if setup.unset else []
    shown += [f"export {key}={shlex.quote(value)}" for key, value in setup.env.items()]
    shown += [shlex.join((recipe.command, *setup.args))] if recipe.command else []
    lines += ["```sh", *shown, "```", ""]
    for file, text in setup.files.items():
        lines += [f"`{AIM.folder}/{file}`:", "", "```yaml", text.rstrip("\n"), "```", ""]
    lines += [f"- {note}" for note in recipe.notes]
    return "\n".join([*lines, f"- Source: {recipe.source}.", ""])


def editors() -> str:
    """What is set by hand."""
    lines: list[str] = []
    for editor in read_recipes().editors:
        lines += [f"### {editor.name}", "", f"{editor.where}; speaks `{editor.format}`.", "", "```text"]
        lines += [fill_editor(editor, AIM), "```", "", f"Source: {editor.source}.", ""]
    return "\n".join(lines).rstrip()


def driven() -> str:
    """What the real clients did when `make clients` was run last."""
    results = json.loads(RESULTS.read_text())
    runtimes = list(dict.fromkeys(runtime for told in results.values() for runtime in told["runtimes"]))
    lines = [
        f"| client | version | {' | '.join(runtimes)} | embedded SmolLM2 | on |",
        f"|---|---|{'---|' * len(runtimes)}---|---|",
    ]
    for client, told in results.items():
        cells = [*("passed" if runtime in told["runtimes"] else "-" for runtime in runtimes), told.get("embedded", "-")]
        lines.append(f"| {client} | {told['version']} | {' | '.join(cells)} | {told['on']} |")
    return "\n".join(lines)


def troubled() -> str:
    """What they did when their runtime was in trouble."""
    results = {client: told["troubles"] for client, told in json.loads(RESULTS.read_text()).items() if told.get("troubles")}
    troubles = list(dict.fromkeys(name for told in results.values() for name in told))
    once = [name for name in troubles if not name.startswith((ALWAYS, REFUSED))]
    for_ever = [name for name in troubles if name.startswith(ALWAYS)]
    refused = [name for name in troubles if name.startswith(REFUSED)]
    return "\n\n".join(_table(results, names) for names in (once, for_ever, refused) if names)


def _table(results: dict[str, dict[str, str]], troubles: list[str]) -> str:
    heads = (name.removeprefix(ALWAYS).removeprefix(REFUSED) for name in troubles)
    lines = [f"| client | {' | '.join(heads)} |", f"|---|{'---|' * len(troubles)}"]
    for client, told in results.items():
        if any(name in told for name in troubles):
            lines.append(f"| {client} | {' | '.join(told.get(name, '-') for name in troubles)} |")
    return "\n".join(lines)
