"""The reference of detectors: every kind with its label, and how well each finds what it should, measured here and now."""

import json
from collections import Counter
from pathlib import Path

from freehold.features import Label
from freehold.policy.labels import LabelSettings
from freehold.routing.detectors.kinds import DEFAULTS, KINDS
from freehold.routing.detectors.scanner import Detectors
from freehold.routing.detectors.secret_rules import SECRET_RULES

LABELLED = Path(__file__).resolve().parents[1] / "tests" / "data" / "detectors.jsonl"


def read_labelled() -> list[tuple[frozenset[str], str]]:
    """The labelled set: the kinds that are in a text, and the text."""
    lines = [json.loads(line) for line in LABELLED.read_text().splitlines()]
    return [(frozenset(line["kinds"]), "".join(line["text"])) for line in lines]


def measure() -> dict[str, tuple[int, int, int]]:
    """By kind: texts in which it was found rightly, wrongly, and missed. Every detector is on."""
    detectors = Detectors(LabelSettings(default=Label.PUBLIC))
    right, wrong, missed = Counter[str](), Counter[str](), Counter[str]()
    for expected, text in read_labelled():
        found = {kind for kind, _, _ in detectors.find(text)}
        right.update(found & expected)
        wrong.update(found - expected)
        missed.update(expected - found)
    return {kind: (right[kind], wrong[kind], missed[kind]) for kind in KINDS}


def detectors() -> str:
    """Groups and kinds with what they raise to, and where each format is documented."""
    lines = ["| group | raises to | kinds |", "|---|---|---|"]
    for group, label in DEFAULTS.items():
        kinds = ", ".join(f"`{kind}`" for kind, one in KINDS.items() if one == group)
        lines.append(f"| `{group}` | {label} | {kinds} |")
    sources = {rule.kind: [] for rule in SECRET_RULES}
    for rule in SECRET_RULES:
        if rule.source not in sources[rule.kind]:
            sources[rule.kind].append(rule.source)
    lines += ["", "| secret | begins with | documented in | said by |", "|---|---|---|---|"]
    for kind, said in sources.items():
        starts = [start for rule in SECRET_RULES if rule.kind == kind for start in rule.starts]
        evidence = dict.fromkeys(rule.evidence for rule in SECRET_RULES if rule.kind == kind)
        shown = ", ".join(f"`{start.strip()}`" for start in starts[:6]) + (" ..." if len(starts) > 6 else "")
        lines.append(f"| `{kind}` | {shown} | {'; '.join(said)} | {', '.join(evidence)} |")
    return "\n".join(lines)


def measured() -> str:
    """Precision and recall by kind."""
    rows = measure()
    labelled = read_labelled()
    positives = sum(bool(kinds) for kinds, _ in labelled)
    lines = [
        f"{positives} texts with something to find, {len(labelled) - positives} without.",
        "",
        "| kind | texts with it | precision | recall |",
        "|---|---|---|---|",
    ]
    for kind, (right, wrong, missed) in rows.items():
        if right + missed:
            lines.append(f"| `{kind}` | {right + missed} | {_share(right, right + wrong)} | {_share(right, right + missed)} |")
    right, wrong, missed = (sum(column) for column in zip(*rows.values(), strict=True))
    lines.append(f"| all | {right + missed} | {_share(right, right + wrong)} | {_share(right, right + missed)} |")
    return "\n".join(lines)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"
