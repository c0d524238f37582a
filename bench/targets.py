"""Hold measured figures against bench/targets.toml: target, floor, and by how much."""

import tomllib
from pathlib import Path

from table import Figures, number

TARGETS = Path(__file__).resolve().parent / "targets.toml"


def judge(figures: Figures, target: dict) -> tuple[str, float | None]:
    """`met`, `above the floor`, `MISSED` or `not measured`, and the figure."""
    value = figures.get(target["lane"], target["figure"])
    if value is not None and "against" in target:
        other = figures.get(target["against"], target["figure"])
        value = value / other if other else None
    if value is None:
        return "not measured", None
    wished, floor = target.get("at_least") or target["at_most"]
    if "at_least" in target:
        return "met" if value >= wished else "above the floor" if value >= floor else "MISSED", value
    return "met" if value <= wished else "above the floor" if value <= floor else "MISSED", value


def report(results: dict) -> int:
    """Print a table; how many floors were missed."""
    figures, missed = Figures(results), 0
    lines = ["", "| held to | measured | target | floor | of the target | |", "|---|---|---|---|---|---|"]
    for target in tomllib.loads(TARGETS.read_text("utf-8"))["targets"]:
        verdict, value = judge(figures, target)
        missed += verdict == "MISSED"
        sign, (wished, floor) = ("<=", target["at_most"]) if "at_most" in target else (">=", target["at_least"])
        ratio = "-" if value is None else f"{value / wished:.0%}"
        cells = [target["says"], number(value), f"{sign} {wished:g}", f"{sign} {floor:g}", ratio, verdict]
        lines.append("| " + " | ".join(cells) + " |")
    print("\n".join(lines))
    return missed
