"""The cases of the bench, and one measurement of one case: the load client run against a lane.

Unless a case says so, every request differs from every other in its last message, so no cache can answer for work that
real traffic causes.
"""

import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

import bodies
from gateways import HERE, Lane

LOAD = HERE / "native" / "bin" / "load"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case. `rate` None: closed loop at `connections`."""

    key: str
    size: str
    reply: str
    repeats: bool = False
    """All requests are the same; otherwise no two are, in their last message."""
    rate: float | None = None
    connections: int = 64
    needs: str | None = None
    """The case whose requests/s says whether this rate can be reached."""
    window_factor: float = 1.0
    """How much longer than the others it is measured: paced streams come in waves of a tenth of a second."""
    slower_rate: float | None = None
    """What a gateway that cannot reach `rate` is asked for; None: the case is left out for it."""

    @property
    def streams(self) -> bool:
        """Whether the reply is an event stream."""
        return self.reply != "whole"


CASES = (
    Case(key="saturated_1k", size="1k", reply="whole"),
    Case(key="repeated_1k", size="1k", reply="whole", repeats=True),
    Case(key="saturated_100k", size="100k", reply="whole"),
    Case(key="1k_at_100", size="1k", reply="whole", rate=100, needs="saturated_1k", slower_rate=20),
    Case(key="1k_at_500", size="1k", reply="whole", rate=500, needs="saturated_1k"),
    Case(key="100k_at_50", size="100k", reply="whole", rate=50, needs="saturated_100k", slower_rate=5),
    Case(key="burst", size="1k", reply="burst"),
    Case(key="paced", size="1k", reply="paced", window_factor=1.5),
    Case(key="first_token", size="1k", reply="ttft", rate=20, needs="burst", slower_rate=5),
)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one measurement gave. Milliseconds, microseconds and counts; None: not measured."""

    lane: str
    case: str
    round: int
    rate: float | None
    per_s: float
    p50_ms: float | None
    p99_ms: float | None
    first_p50_ms: float | None
    cpu_us: float | None
    """CPU time of the gateway's process tree per right reply."""
    errors: int
    unanswered: int
    """Due within the window, and no reply ten seconds after it."""
    first_error: str


def rate_for(case: Case, reached: dict[str, float]) -> float | None:
    """The rate to ask for, None for a closed loop. Raises LookupError when the gateway cannot reach any of them."""
    if case.rate is None or case.needs is None:
        return None
    for rate in (case.rate, case.slower_rate):
        if rate is not None and reached.get(case.needs, 0.0) >= 1.3 * rate:
            return rate
    raise LookupError(case.key)


def measure(
    lane: Lane,
    case: Case,
    *,
    port: int,
    pid: int | None,
    core: int,
    state: Path,
    round_number: int,
    rate: float | None,
    window_s: tuple[float, float],
) -> Sample:
    """Run one case. `window_s` is warm-up and measured window. Raises RuntimeError when the client could not run."""
    body = state / f"{lane.name.replace(' ', '-')}-{case.size}-{case.reply}-{case.repeats:d}.json"
    if not body.exists():
        body.write_bytes(
            bodies.body(case.size, lane.format, lane.model.format(case.reply), stream=case.streams, cold=not case.repeats)
        )
    command = ["taskset", "-c", str(core), str(LOAD), "--port", str(port), "--format", lane.format, "--path", lane.path]
    command += ["--body", str(body)]
    command += ["--warmup", str(window_s[0]), "--seconds", str(window_s[1])]
    command += ["--connections", str(case.connections if rate is None else 256)]
    command += ["--stream"] if case.streams else []
    command += ["--rate", str(rate)] if rate is not None else []
    command += ["--watch", str(pid)] if pid is not None else []
    command += [part for header in lane.headers for part in ("--header", header)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=sum(window_s) + 60)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"the load client failed: {done.stderr.strip()}")
    said = json.loads(done.stdout)
    right = said["right"]
    first, latency = said.get("first_ms") or {}, said["latency_ms"] or {}
    return Sample(
        lane=lane.name,
        case=case.key,
        round=round_number,
        rate=rate,
        per_s=said["per_s"],
        p50_ms=latency.get("p50"),
        p99_ms=latency.get("p99"),
        first_p50_ms=first.get("p50"),
        cpu_us=said["cpu_s"] / right * 1e6 if right and "cpu_s" in said else None,
        errors=said["wrong"] + said["broken"] + said["timed_out"],
        unanswered=said["unanswered"],
        first_error=said["first_error"],
    )


def as_json(sample: Sample) -> dict[str, object]:
    """For the results file."""
    return asdict(sample)
