"""Measure Freehold beside the direct call, nginx and the peers, in one run, and write the figures down.

    python bench/run.py                          everything, about ten minutes
    python bench/run.py --quick                  one short round, about two minutes: for a look, not for a table
    python bench/run.py --only freehold,direct   some of it; freehold-formats is every wire format
    python bench/run.py --check                  also hold the figures against bench/targets.toml

The gateway has one core; the mock upstream and the load client share another, and where workers are compared the gateway may
use that one too. Gateways take turns within a round, in
another order each round; each turn starts the gateway afresh. Figures are medians over the rounds. Written: a JSON file
in bench/results, and Markdown tables on standard output. What is not installed is named and left out.
"""

import argparse
import contextlib
import fcntl
import json
import os
import platform
import re
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import table
import targets
from cases import CASES, LOAD, Case, Sample, as_json, measure, rate_for
from gateways import GATEWAYS, HERE, Gateway, Lane, Running, bring_up, gives_good_reply, start_mock

Result = dict[str, object]


def cores() -> tuple[int, int]:
    """For the gateway, and for the mock and the client. The same one where there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1] if len(usable) == 1 else usable[1]


@contextlib.contextmanager
def held(lock: Path | None) -> Iterator[None]:
    """Hold a lock file, so that other heavy work can be kept out."""
    if lock is None:
        yield
        return
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One gateway's turn in one round."""

    gateway: Gateway
    upstream: int
    state: Path
    round_number: int
    given: argparse.Namespace

    def take(self) -> Result:
        """Start the gateway, run its cases, stop it. What failed is in the result's `failed`."""
        result: Result = {
            "gateway": self.gateway.name,
            "table": self.gateway.table,
            "round": self.round_number,
            "samples": [],
        }
        own = tuple(sorted(set(cores()))) if self.gateway.has_both_cores else cores()[:1]
        try:
            running = bring_up(self.gateway, self.upstream, self.state / self.gateway.name, own)
        except (RuntimeError, OSError) as error:
            return result | {"failed": str(error)}
        try:
            result["start_s"] = running.start_s
            if running.process is not None:
                result["idle_mib"] = running.process.memory().__dict__
            result["samples"] = [as_json(sample) for lane in self.gateway.lanes for sample in self.measure_lane(running, lane)]
            if running.process is not None:
                result["loaded_mib"] = running.process.memory().__dict__
                result["cpu_s"] = running.process.cpu_s()
                result["died"] = running.process.has_ended
        finally:
            running.end()
        if (self.state / self.gateway.name / "freehold.db").is_file():
            result["ledger_rows"] = count_rows(self.state / self.gateway.name / "freehold.db")
        return result

    def measure_lane(self, running: Running, lane: Lane) -> Iterator[Sample]:
        """A sample of each case the gateway can be asked for, after it settled."""
        asked = [case for case in CASES if all(case.key in chosen for chosen in (self.given.cases, self.gateway.cases) if chosen)]
        if running.process is not None:
            self.settle(running, lane, asked)
        reached: dict[str, float] = {}
        for case in asked:
            try:
                rate = case.rate if self.given.cases else rate_for(case, reached)
            except LookupError:
                continue
            factor = self.gateway.window_factor * case.window_factor
            sample = self.measure_case(running, lane, case, rate, (self.given.warmup * factor, self.given.seconds * factor))
            if sample is None:
                continue
            reached[case.key] = sample.per_s
            print(f"  {describe(sample)}", file=sys.stderr, flush=True)
            yield sample

    def settle(self, running: Running, lane: Lane, asked: list[Case]) -> None:
        """One request and then load of each size, before anything is measured: some load a vocabulary when a large one comes."""
        settle_s = self.gateway.settle_s * (0.5 if self.given.quick else 1.0)
        first_of = {case.size: case for case in reversed(asked)}
        for size, case in sorted(
            first_of.items(), key=lambda each: each[0] == "1k"
        ):  # what is left of large ones passes meanwhile
            gives_good_reply(running, lane, size, limit_s=30.0)
            self.measure_case(running, lane, case, None, (0.0, settle_s if size == "1k" else settle_s / 2))

    def measure_case(
        self, running: Running, lane: Lane, case: Case, rate: float | None, window_s: tuple[float, float]
    ) -> Sample | None:
        """One sample; None when the client could not run, which is said."""
        pid = None if running.process is None else running.process.pid
        try:
            return measure(
                lane,
                case,
                port=running.port,
                pid=pid,
                core=cores()[1],
                state=self.state,
                round_number=self.round_number,
                rate=rate,
                window_s=window_s,
            )
        except RuntimeError as error:
            print(f"  {lane.name} {case.key}: {error}", file=sys.stderr, flush=True)
            return None


def describe(sample: Sample) -> str:
    """One line for people who watch."""
    parts = [f"{sample.lane:30} {sample.case:15} {sample.per_s:9.1f}/s"]
    parts += [f"cpu {sample.cpu_us:8.1f} us"] if sample.cpu_us is not None and sample.rate is None else []
    parts += [f"p50 {sample.p50_ms:.3f} p99 {sample.p99_ms:.3f} ms"] if sample.p50_ms is not None else []
    parts += [f"first {sample.first_p50_ms:.3f} ms"] if sample.first_p50_ms is not None else []
    parts += [f"{sample.errors} ERRORS ({sample.first_error})"] if sample.errors else []
    parts += [f"{sample.unanswered} UNANSWERED"] if sample.unanswered else []
    return "  ".join(parts)


def count_rows(ledger: Path) -> dict[str, int]:
    """Rows per table after the gateway stopped: proof that the ledger was on."""
    if not ledger.is_file():
        return {}
    with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        wanted = [name for name in names if name in {"requests", "attempts", "decisions"}]
        return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in wanted}


def conditions(given: argparse.Namespace, chosen: list[Gateway]) -> dict[str, object]:
    """Where and how it was measured; nothing that names this machine or its folders."""
    processor = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text("utf-8"))
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text("utf-8"))
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": processor[1] if processor else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(int(memory[1]) / 1024 / 1024) if memory else None,
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
        "rounds": given.rounds,
        "seconds": given.seconds,
        "versions": {gateway.name_of_version: gateway.version() for gateway in chosen if gateway.version()},
    }


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help=f"some of {','.join(gateway.name for gateway in GATEWAYS)}")
    parser.add_argument("--cases", default="", help=f"some of {','.join(case.key for case in CASES)}")
    parser.add_argument("--seconds", type=float, default=1.5, help="measured window of each case")
    parser.add_argument("--warmup", type=float, default=0.3, help="before each window, seconds")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="one round of 0.5 s windows")
    parser.add_argument("--check", action="store_true", help="hold the figures against bench/targets.toml")
    parser.add_argument("--strict", action="store_true", help="with --check: end with status 1 below a floor")
    parser.add_argument("--lock", type=Path, help="a file to hold a lock on during each gateway's turn")
    parser.add_argument("--out", type=Path, help="the results file; default: bench/results/<time>.json")
    given = parser.parse_args()
    if given.quick:
        given.rounds, given.seconds, given.warmup = 1, 0.5, 0.2
    if not 0.1 <= given.seconds <= 120 or not 1 <= given.rounds <= 20:
        parser.error("--seconds is between 0.1 and 120, --rounds between 1 and 20")
    given.only = [name for name in given.only.split(",") if name]
    given.cases = [key for key in given.cases.split(",") if key]
    for said, known in ((given.only, {gateway.name for gateway in GATEWAYS}), (given.cases, {case.key for case in CASES})):
        if unknown := set(said) - known:
            parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    return given


def run(given: argparse.Namespace, chosen: list[Gateway]) -> dict[str, object]:
    """All rounds."""
    results: dict[str, object] = {"conditions": conditions(given, chosen)}
    turns: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        state = Path(folder)
        mock, upstream = start_mock(cores()[1], state)
        try:
            for number in range(given.rounds):
                shift = number % len(chosen)
                for gateway in chosen[shift:] + chosen[:shift]:
                    print(f"round {number + 1} of {given.rounds}: {gateway.name}", file=sys.stderr, flush=True)
                    with held(given.lock):
                        turn = Turn(gateway=gateway, upstream=upstream, state=state, round_number=number, given=given).take()
                    if "failed" in turn:
                        print(f"  FAILED: {turn['failed']}", file=sys.stderr)
                    turns.append(turn)
        finally:
            mock.end()
    return results | {"turns": turns}


def main() -> int:
    """Run, write, print, and check when asked to."""
    given = read_arguments()
    if not LOAD.exists():
        print("the load client is not built: make -C bench native", file=sys.stderr)
        return 2
    wanted = [gateway for gateway in GATEWAYS if not given.only or gateway.name in given.only]
    chosen = [gateway for gateway in wanted if gateway.missing() is None]
    for gateway in wanted:
        if (why := gateway.missing()) is not None:
            print(f"left out {gateway.name}: {why}", file=sys.stderr)
    results = run(given, chosen)
    out = given.out or HERE / "results" / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(results, indent=1), "utf-8")
    print(f"written: {out.name}", file=sys.stderr)
    print(table.render(results))
    if given.check:
        missed = targets.report(results)
        return 1 if missed and given.strict else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
