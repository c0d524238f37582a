"""The bench measures what it says: its tools count only whole replies, and its table computes from what was measured."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from support.bench import FORMATS, bench_module, load, tally

needs_compiler = pytest.mark.skipif(
    shutil.which("cc") is None or sys.platform != "linux", reason="the bench's tools need a C compiler and Linux"
)


def body_file(folder: Path, monkeypatch: pytest.MonkeyPatch, format_name: str, reply: str) -> Path:
    file = folder / "body.json"
    bodies = bench_module("bodies", monkeypatch)
    file.write_bytes(bodies.body("1k", format_name, f"mock-{reply}", stream=reply != "whole", cold=True))
    return file


@needs_compiler
@pytest.mark.parametrize("reply", ["whole", "burst", "paced", "ttft"])
@pytest.mark.parametrize("format_name", FORMATS)
def test_every_reply_of_the_mock_is_counted_as_right(
    tools: Path, mock_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_name: str, reply: str
) -> None:
    options = ["--format", format_name, "--requests", "40", "--connections", "8", *(["--stream"] if reply != "whole" else [])]
    said = load(tools, mock_port, body_file(tmp_path, monkeypatch, format_name, reply), *options)
    assert tally(said) == (40, 0, 0, 0, 0), said["first_error"]


@needs_compiler
def test_a_refusal_is_no_reply(tools: Path, mock_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = body_file(tmp_path, monkeypatch, "openai_chat", "whole")
    said = load(tools, mock_port, body, "--path", "/nowhere", "--requests", "10", "--connections", "2")
    assert (said["right"], said["wrong"], said["status_other"]) == (0, 10, 10)
    assert "status 404" in str(said["first_error"])


@needs_compiler
def test_a_whole_reply_is_no_stream(tools: Path, mock_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = body_file(tmp_path, monkeypatch, "openai_chat", "whole")
    said = load(tools, mock_port, body, "--stream", "--requests", "10", "--connections", "2")
    assert (said["right"], said["wrong"]) == (0, 10)


@needs_compiler
def test_first_content_is_timed_from_when_a_request_was_due(
    tools: Path, mock_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = body_file(tmp_path, monkeypatch, "openai_chat", "ttft")
    said = load(tools, mock_port, body, "--stream", "--rate", "100", "--requests", "30")
    first, latency = said["first_ms"], said["latency_ms"]
    assert isinstance(first, dict)
    assert isinstance(latency, dict)
    assert 5.0 <= first["p50"] < latency["p50"]


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize(("size", "least", "most"), [("1k", 900, 1100), ("100k", 98_000, 112_000)])
def test_bodies_have_their_size_and_are_the_same_each_time(
    monkeypatch: pytest.MonkeyPatch, format_name: str, size: str, least: int, most: int
) -> None:
    bodies = bench_module("bodies", monkeypatch)
    first = bodies.body(size, format_name, "mock-whole")
    assert least <= len(first) <= most
    assert first == bodies.body(size, format_name, "mock-whole")
    assert len(re.findall(rb"mock-", first)) == 1, "the mock reads its orders from the model's name alone"


def sample(lane: str, round_number: int, per_s: float, p50_ms: float, **fields: object) -> dict[str, object]:
    return {
        "lane": lane, "case": "1k_at_100", "round": round_number, "rate": 100, "per_s": per_s, "p50_ms": p50_ms, "p99_ms": p50_ms,
        "first_p50_ms": None, "cpu_us": None, "errors": 0, "unanswered": 0,
    } | fields  # fmt: skip


def results(*rounds: tuple[float, float]) -> dict[str, object]:
    """Of (direct, gateway) medians."""
    turns: list[dict[str, object]] = []
    for number, (direct, gateway) in enumerate(rounds):
        turns.append({"gateway": "direct", "round": number, "samples": [sample("direct", number, 100, direct)]})
        turns.append({"gateway": "us", "round": number, "start_s": 0.5, "samples": [sample("us", number, 100, gateway)]})
    return {"turns": turns}


def test_added_latency_is_taken_within_each_round(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = bench_module("table", monkeypatch).Figures(results((0.1, 0.3), (5.0, 5.4), (0.1, 0.4)))
    assert figures.get("us", "added:1k_at_100.p50_ms") == pytest.approx(0.3)
    assert figures.get("us", "start_s") == 0.5
    assert figures.get("nobody", "start_s") is None


@pytest.mark.parametrize(
    ("value", "bounds", "verdict"),
    [
        (0.2, {"at_most": [0.3, 0.5]}, "met"),
        (0.4, {"at_most": [0.3, 0.5]}, "above the floor"),
        (0.6, {"at_most": [0.3, 0.5]}, "MISSED"),
        (0.6, {"at_least": [0.6, 0.5]}, "met"),
        (0.55, {"at_least": [0.6, 0.5]}, "above the floor"),
        (0.4, {"at_least": [0.6, 0.5]}, "MISSED"),
    ],
)
def test_targets_are_judged_both_ways(
    monkeypatch: pytest.MonkeyPatch, value: float, bounds: dict[str, list[float]], verdict: str
) -> None:
    figures = bench_module("table", monkeypatch).Figures(results((0.1, value)))
    target = {"lane": "us", "figure": "1k_at_100.p50_ms", **bounds}
    assert bench_module("targets", monkeypatch).judge(figures, target) == (verdict, value)


def test_what_was_not_measured_is_not_met(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = bench_module("table", monkeypatch).Figures(results((0.1, 0.2)))
    target = {"lane": "us", "figure": "saturated_1k.per_s", "at_least": [1, 1]}
    assert bench_module("targets", monkeypatch).judge(figures, target) == ("not measured", None)


def test_failed_replies_are_shown_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    table = bench_module("table", monkeypatch)
    given = results((0.1, 0.2))
    turns = given["turns"]
    assert isinstance(turns, list)
    turns[1]["samples"] = [sample("us", 0, 90, 0.2, errors=3, unanswered=1)]
    assert "(4 failed)" in " ".join(table.row(table.Figures(given), "us"))


def test_each_lane_stands_in_its_own_table(monkeypatch: pytest.MonkeyPatch) -> None:
    table = bench_module("table", monkeypatch)
    given = results((0.1, 0.2))
    turns = given["turns"]
    assert isinstance(turns, list)
    few = [sample("some format, relay", 0, 900, 0.2, case="burst", cpu_us=512.0)]
    turns.append({"gateway": "us-formats", "table": "formats", "round": 0, "samples": few})
    for number, cpu_s in enumerate(([3.0, 1.0], [2.0, 2.0], [1.2, 0.8])):
        turn = {"gateway": "us-2", "table": "workers", "round": number, "cpu_s": cpu_s, "idle_mib": {"rss_mib": 140.0}}
        turns.append(turn | {"samples": [sample("us, 2 workers", number, 1500, 0.2, case="burst", cpu_us=600.0)]})
    lines = table.draw(table.Figures(given))
    begins = [
        next(i for i, line in enumerate(lines) if line.startswith(f"| {lane} |"))
        for lane in ("us", "some format, relay", "us, 2 workers")
    ]
    assert lines.index("") < begins[0] < lines.index(table.FORMATS_SAY) < begins[1] < lines.index(table.WORKERS_SAY) < begins[2]
    assert "| 900 | 512 |" in lines[begins[1]]
    assert lines[begins[2]].endswith("| 1 500 | 600 | - | - | 60% | 140 | - | - |"), "the median share of the busiest process"
    for head, row in ((lines[begin - 2], lines[begin]) for begin in begins if lines[begin - 2].startswith("| |")):
        assert head.count("|") == row.count("|")


def test_a_results_file_that_names_no_tables_is_the_peers_table(monkeypatch: pytest.MonkeyPatch) -> None:
    table = bench_module("table", monkeypatch)
    lines = table.draw(table.Figures(results((0.1, 0.2))))
    assert [line.split(" |")[0] for line in lines[3:]] == ["| direct", "| us"]
    assert table.FORMATS_SAY not in lines


def test_every_gateway_is_asked_for_cases_there_are_and_stands_in_a_table_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    gateways, cases, table = (bench_module(name, monkeypatch) for name in ("gateways", "cases", "table"))
    names = [lane.name for gateway in gateways.GATEWAYS for lane in gateway.lanes]
    assert len(set(names)) == len(names), "figures are kept by the lane's name"
    for gateway in gateways.GATEWAYS:
        assert set(gateway.cases) <= {case.key for case in cases.CASES}
        assert gateway.table in {name for name, *_ in table.TABLES}


def test_every_target_names_what_the_bench_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    gateways, cases, targets = (bench_module(name, monkeypatch) for name in ("gateways", "cases", "targets"))
    lanes = {lane.name for gateway in gateways.GATEWAYS for lane in gateway.lanes}
    keys = {case.key for case in cases.CASES}
    said = targets.tomllib.loads(targets.TARGETS.read_text("utf-8"))["targets"]
    assert said
    for target in said:
        assert {target["lane"], target.get("against", "direct")} <= lanes
        case = target["figure"].rpartition(":")[2].partition(".")
        assert case[0] in keys if case[1] else case[0] in {"start_s", "idle_mib", "loaded_mib"}
