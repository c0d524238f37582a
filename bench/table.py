"""The bench's Markdown tables from a results file, and docs/performance.md brought up to date with it.

python bench/table.py RESULTS.json             print them
python bench/table.py RESULTS.json --write     put them between the markers of docs/performance.md
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
HEADS = (
    "1 KB req/s", "CPU us", "the same 1 KB req/s", "CPU us", "100 KB req/s", "CPU us", "100/s p50 / p99 ms", "added", "500/s p50 / p99 ms", "100 KB 50/s p50 ms",
    "burst/s", "CPU us", "paced/s", "CPU us", "added first token ms", "idle MiB", "loaded MiB", "start s",
)  # fmt: skip
FEW_HEADS = (
    "1 KB req/s", "CPU us", "the same 1 KB req/s", "CPU us", "100 KB req/s", "CPU us", "burst/s", "CPU us", "paced/s", "CPU us",
)  # fmt: skip
FORMATS_SAY = "Every wire format, relayed and translated, one worker on one core:"
WORKERS_SAY = "One worker and two, each time on two cores, one of which the mock and the client use too:"


class Figures:
    """Medians over the rounds of a results file."""

    def __init__(self, results: dict) -> None:
        self._samples: dict[tuple[str, str], list[dict]] = {}
        self._turns: dict[str, list[dict]] = {}
        self.gateway_of: dict[str, str] = {}
        self.table_of: dict[str, str] = {}
        """By lane. A results file from before there were several names none."""
        for turn in results["turns"]:
            self._turns.setdefault(turn["gateway"], []).append(turn)
            for sample in turn["samples"]:
                self._samples.setdefault((sample["lane"], sample["case"]), []).append(sample)
                self.gateway_of[sample["lane"]] = turn["gateway"]
                self.table_of[sample["lane"]] = turn.get("table", "peers")

    def of_case(self, lane: str, case: str, field: str) -> float | None:
        """A case's median."""
        values = [sample[field] for sample in self._samples.get((lane, case), []) if sample[field] is not None]
        return median(values) if values else None

    def added(self, lane: str, case: str, field: str) -> float | None:
        """Median over the rounds of what a lane's figure is above the direct call's in that round."""
        direct = {sample["round"]: sample[field] for sample in self._samples.get(("direct", case), [])}
        gaps = [
            sample[field] - direct[sample["round"]]
            for sample in self._samples.get((lane, case), [])
            if sample[field] is not None and direct.get(sample["round"]) is not None
        ]
        return median(gaps) if gaps and lane != "direct" else None

    def of_turn(self, lane: str, field: str) -> float | None:
        """A gateway's own median: start_s, or idle_mib and loaded_mib (resident)."""
        values = [turn.get(field) for turn in self._turns[self.gateway_of[lane]]]
        flat = [value["rss_mib"] if isinstance(value, dict) else value for value in values if value is not None]
        return median(flat) if flat else None

    def busiest_share(self, lane: str) -> float | None:
        """Of the CPU time of a gateway's whole turn, the median share of its busiest process."""
        spent = [turn["cpu_s"] for turn in self._turns[self.gateway_of[lane]] if sum(turn.get("cpu_s", ()))]
        return median(max(each) / sum(each) for each in spent) if spent else None

    def get(self, lane: str, figure: str) -> float | None:
        """A figure by name: `case.field`, `added:case.field`, or a field of the turn."""
        if lane not in self.gateway_of:
            return None
        kind, _, rest = figure.rpartition(":")
        if "." not in rest:
            return self.of_turn(lane, rest)
        case, _, field = rest.partition(".")
        return self.added(lane, case, field) if kind == "added" else self.of_case(lane, case, field)

    def trouble(self, lane: str, case: str) -> str:
        """A mark for wrong replies, and for a rate lower than the column's."""
        samples = self._samples.get((lane, case), [])
        errors = sum(sample["errors"] + sample["unanswered"] for sample in samples)
        wanted = {"1k_at_100": 100, "1k_at_500": 500, "100k_at_50": 50, "first_token": 20}.get(case)
        slower = [sample["rate"] for sample in samples if wanted and sample["rate"] and sample["rate"] < wanted]
        return (f" (at {slower[0]:g}/s)" if slower else "") + (f" ({errors} failed)" if errors else "")


def number(value: float | None) -> str:
    """Three significant digits, whole numbers from 100 up."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def plain(figures: Figures, lane: str, figure: str) -> str:
    """A figure, with its case's troubles."""
    case = figure.rpartition(":")[2].partition(".")[0]
    mark = figures.trouble(lane, case) if not figure.endswith("cpu_us") else ""
    return number(figures.get(lane, figure)) + mark


def closed_loops(figures: Figures, lane: str, *cases: str) -> list[str]:
    """Replies a second and their CPU time, of each case."""
    return [plain(figures, lane, f"{case}.{field}") for case in cases for field in ("per_s", "cpu_us")]


def row(figures: Figures, lane: str) -> list[str]:
    """A lane's cells beside the peers."""

    def pair(case: str) -> str:
        p50 = figures.of_case(lane, case, "p50_ms")
        text = "-" if p50 is None else f"{number(p50)} / {number(figures.of_case(lane, case, 'p99_ms'))}"
        return text + figures.trouble(lane, case)

    return [
        *closed_loops(figures, lane, "saturated_1k", "repeated_1k", "saturated_100k"),
        pair("1k_at_100"),
        number(figures.get(lane, "added:1k_at_100.p50_ms")),
        pair("1k_at_500"),
        plain(figures, lane, "100k_at_50.p50_ms"),
        *closed_loops(figures, lane, "burst", "paced"),
        plain(figures, lane, "added:first_token.first_p50_ms"),
        *(number(figures.get(lane, field)) for field in ("idle_mib", "loaded_mib", "start_s")),
    ]


def few_row(figures: Figures, lane: str) -> list[str]:
    """A lane's cells where nothing is compared with peers."""
    return closed_loops(figures, lane, "saturated_1k", "repeated_1k", "saturated_100k", "burst", "paced")


def workers_row(figures: Figures, lane: str) -> list[str]:
    """A lane's cells where processes are compared."""
    share = figures.busiest_share(lane)
    memory = [number(figures.get(lane, field)) for field in ("idle_mib", "loaded_mib", "start_s")]
    return [*few_row(figures, lane), "-" if share is None else f"{share:.0%}", *memory]


TABLES: tuple[tuple[str, str, tuple[str, ...], Callable[[Figures, str], list[str]]], ...] = (
    ("peers", "", HEADS, row),
    ("formats", FORMATS_SAY, FEW_HEADS, few_row),
    ("workers", WORKERS_SAY, (*FEW_HEADS, "busiest process", "idle MiB", "loaded MiB", "start s"), workers_row),
)
"""Each table: its name in the results, what stands above it, its heads, and what makes a lane's row."""


def draw(figures: Figures) -> list[str]:
    """The tables that have rows."""
    lines: list[str] = []
    for name, says, heads, cells in TABLES:
        lanes = [lane for lane, table in figures.table_of.items() if table == name]
        if lanes:
            lines += ["", *([says, ""] if says else []), "| | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
            lines += ["| " + " | ".join([lane, *cells(figures, lane)]) + " |" for lane in lanes]
    return lines


def render(results: dict) -> str:
    """The conditions and the tables."""
    figures, said = Figures(results), results["conditions"]
    versions = ", ".join(f"{name} {version}" for name, version in said["versions"].items())
    lines = [
        (
            f"Measured {said['date']} on {said['cores']} cores of {said['processor']}, {said['memory_gib']} GiB, {said['system']}, "
            f"Python {said['python']}; {said['rounds']} rounds of {said['seconds']:g} s windows; load average at the start {said['load_average']}."
        ),
        f"Versions: {versions}.",
        *draw(figures),
    ]
    lines += [
        f"\n{turn['gateway']} was not measured in round {turn['round'] + 1}: it gave no good reply."
        for turn in results["turns"]
        if "failed" in turn
    ]
    return "\n".join(lines)


def write_page(text: str) -> None:
    """Between the markers. Raises ValueError when the page has none."""
    page = PAGE.read_text("utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has no {BEGIN} ... {END}")
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", "utf-8")


def main() -> int:
    """Print or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    text = render(json.loads(given.results.read_text("utf-8")))
    if given.write:
        write_page(text)
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
