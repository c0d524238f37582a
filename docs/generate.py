"""Writes the parts of docs/ that are made from the code. A test compares them, so that docs cannot lie.

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`. Run `make docs` after a change.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import clients_reference
from config_reference import built_in, quirks, section
from detectors_reference import detectors, measured
from discovery_reference import engines, vendors
from ledger_reference import tables
from typer.main import get_command

from freehold.cli import app
from freehold.fault import FAULTS

DOCS = Path(__file__).resolve().parent


def faults() -> str:
    """The fault table."""
    lines = ["| kind | source | status | tries the next step | trips the breaker | meaning |", "|---|---|---|---|---|---|"]
    lines += [
        f"| `{kind}` | {meaning.source} | {meaning.status} | {_yes(meaning.falls_back)} | {_yes(meaning.trips)} | {meaning.says} |"
        for kind, meaning in FAULTS.items()
    ]
    return "\n".join(lines)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def commands() -> str:
    """Every command with its options."""
    lines: list[str] = []
    for name, command in _flat(get_command(app)):
        lines += [f"### freehold {name}", "", (command.help or "").strip(), ""]
        for parameter in command.params:
            if parameter.name == "help":
                continue
            shown = " ".join(parameter.opts) if parameter.param_type_name == "option" else (parameter.name or "").upper()
            text = " ".join((getattr(parameter, "help", None) or "").split())
            lines.append(f"- `{shown}`: {text}")
        lines.append("")
    return "\n".join(lines).rstrip()


def _flat(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Every command by its whole name, those of groups too."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _flat(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


def proofs() -> str:
    """What the long proofs found when they were run last."""
    lines: list[str] = []
    for name, told in json.loads((DOCS / "proof.json").read_text()).items():
        numbers = "; ".join(f"{what}: {number}" for what, number in told["numbers"].items())
        lines += [f"### {told['promise']}", "", f"- {numbers}", f"- {told['on']}, {told['conditions']}", f"- `{name}`", ""]
    return "\n".join(lines).rstrip()


PARTS: dict[str, Callable[[], str]] = {
    "faults": faults,
    "commands": commands,
    "settings": lambda: section("settings"),
    "runtimes": lambda: section("runtimes"),
    "rules": lambda: section("rules"),
    "rates": lambda: section("rates"),
    "budgets": lambda: section("budgets"),
    "quirks": quirks,
    "detectors": detectors,
    "measured-detectors": measured,
    "engines": engines,
    "vendors": vendors,
    "built-in": built_in,
    "tables": tables,
    "proofs": proofs,
    "clients-launched": clients_reference.launched,
    "clients-editors": clients_reference.editors,
    "clients-driven": clients_reference.driven,
    "clients-troubled": clients_reference.troubled,
}
MARK = re.compile(r"<!-- generated: (?P<name>[a-z_-]+) -->\n.*?<!-- end -->", re.DOTALL)


def render(text: str) -> str:
    """The page with its generated parts fresh."""

    def fresh(found: re.Match[str]) -> str:
        name = found["name"]
        return f"<!-- generated: {name} -->\n{PARTS[name]()}\n<!-- end -->" if name in PARTS else found[0]

    return MARK.sub(fresh, text)


def main() -> int:
    """Rewrite every page; `--check` only compares."""
    stale = []
    for page in sorted(DOCS.glob("*.md")):
        old = page.read_text()
        new = render(old)
        if new != old:
            stale.append(page.name)
            if "--check" not in sys.argv:
                page.write_text(new)
    print(f"{'stale' if '--check' in sys.argv else 'rewritten'}: {', '.join(stale) or 'none'}")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
