"""What is measured: how each gateway is started on its own, where it answers, and in which format.

A gateway has one or more lanes, each a row of its table: a way in (format, path, headers, how a model is named). Freehold is
there three times: beside the peers; alone, in every format; and on both cores with one worker and with two. Where a gateway is not installed, `missing` says what to do about it. Configurations stand in bench/configs.
"""

import http.client
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import bodies
import peers
from processes import Process, free_port, wait_for_port

HERE = Path(__file__).resolve().parent
CONFIGS = HERE / "configs"
START_LIMIT_S = 90.0
FREEHOLD = Path(os.environ.get("BENCH_FREEHOLD") or Path(sys.executable).parent / "freehold")
"""The command to measure: the one beside this Python, unless BENCH_FREEHOLD names another, say of an older release."""


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One way into a gateway. `name` is the row's name in the table."""

    name: str
    format: str = "openai_chat"
    path: str = "/v1/chat/completions"
    headers: tuple[str, ...] = ()
    model: str = "mock-{}"
    """How the mock's model is named there; {} is whole, burst, paced or ttft."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where and with what a gateway is started."""

    port: int
    upstream: int
    state: Path
    cores: tuple[int, ...]

    def fill(self, config: str, **more: object) -> Path:
        """A copy of a configuration with its places filled in."""
        text = (CONFIGS / config).read_text("utf-8").replace('"@PORT@"', str(self.port))
        places: dict[str, object] = {"PORT": self.port, "UPSTREAM": self.upstream, "STATE": self.state, **more}
        for name, value in places.items():
            text = text.replace(f"@{name}@", str(value))
        target = self.state / config
        target.write_text(text, "utf-8")
        return target

    def start(self, *command: str | Path, **environment: str) -> Process:
        """Run a command as the gateway."""
        return Process(
            [str(part) for part in command],
            cores=self.cores,
            home=self.state / "home",
            log=self.state / "log",
            environment=environment,
        )


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """A gateway and its lanes."""

    name: str
    lanes: tuple[Lane, ...]
    start: Callable[[Place], Process] | None
    """None: the mock itself, with nothing between."""
    missing: Callable[[], str | None]
    version: Callable[[], str]
    announced_port: str | None = None
    """Pattern of the port in what it says, when it takes none of our choice."""
    settle_s: float = 1.0
    """Load of small requests it gets before anything is measured, and half as long of large ones: compilers and caches get warm."""
    window_factor: float = 1.0
    """How much longer its windows are, for those that answer little in a short one."""
    table: str = "peers"
    """The table its rows stand in: peers, formats or workers."""
    cases: tuple[str, ...] = ()
    """The cases it is asked for; none named: all."""
    has_both_cores: bool = False
    """It may use two cores: its own, and that of the mock and the client too."""

    @property
    def name_of_version(self) -> str:
        """What a version is told of: only peers' tables have more than one product."""
        return self.name if self.table == "peers" else "freehold"


@dataclass(kw_only=True)
class Running:
    """A started gateway."""

    gateway: Gateway
    process: Process | None
    port: int
    start_s: float | None

    def end(self) -> None:
        """Stop it."""
        if self.process is not None:
            self.process.end()


def bring_up(gateway: Gateway, upstream: int, state: Path, cores: tuple[int, ...]) -> Running:
    """Start it and wait for the first good reply. Raises RuntimeError with what it said when there is none."""
    if gateway.start is None:
        return Running(gateway=gateway, process=None, port=upstream, start_s=None)
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    place = Place(port=free_port(), upstream=upstream, state=state, cores=cores)
    began = time.monotonic()
    process = gateway.start(place)
    running = Running(gateway=gateway, process=process, port=place.port, start_s=None)
    try:
        while time.monotonic() - began < START_LIMIT_S and not process.has_ended:
            if gateway.announced_port and (found := re.search(gateway.announced_port, process.said())):
                running.port = int(found[1])
            if answers(running):
                running.start_s = time.monotonic() - began
                return running
            time.sleep(0.005)
    except BaseException:
        running.end()
        raise
    running.end()
    raise RuntimeError(f"{gateway.name} gave no good reply: {process.said()[-1500:]}")


def answers(running: Running) -> bool:
    """Whether each lane gives a whole good reply."""
    return all(gives_good_reply(running, lane, "1k", limit_s=5.0) for lane in running.gateway.lanes)


def gives_good_reply(running: Running, lane: Lane, size: str, *, limit_s: float) -> bool:
    """Whether one request is answered well in time."""
    headers = {"Content-Type": "application/json", **dict(header.split(": ", 1) for header in lane.headers)}
    body = bodies.body(size, lane.format, lane.model.format("whole"))
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=limit_s)
    try:
        connection.request("POST", lane.path, body, headers)
        reply = connection.getresponse()
        return reply.status == 200 and b"uiu49" in reply.read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def start_mock(core: int, state: Path) -> tuple[Process, int]:
    """The upstream. Raises RuntimeError when it does not listen."""
    state.mkdir(parents=True, exist_ok=True)
    port = free_port()
    process = Process(
        [str(HERE / "native" / "bin" / "mock"), str(port)], cores=(core,), home=state / "home", log=state / "mock.log"
    )
    wait_for_port(port, process)
    return process, port


def run_nginx(place: Place) -> Process:
    return place.start("nginx", "-p", place.state, "-e", place.state / "error.log", "-c", place.fill("nginx.conf"))


def run_freehold(place: Place, workers: int = 1) -> Process:
    config = place.fill("freehold.toml", WORKERS=workers)
    return place.start(FREEHOLD, "serve", "--config", config, "--port", str(place.port))


def run_litellm(place: Place) -> Process:
    command = (peers.LITELLM.folder / "bin" / "litellm", "--config", place.fill("litellm.yaml"), "--host", "127.0.0.1")
    options = ("--port", str(place.port), "--num_workers", "1", "--telemetry", "False")
    return place.start(*command, *options, LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_TELEMETRY="False")


def run_tensorzero(place: Place) -> Process:
    return place.start(peers.TENSORZERO.folder / "bin" / "python", CONFIGS / "tensorzero_serve.py", place.fill("tensorzero.toml"))


def run_ccr(place: Place) -> Process:
    home = place.state / "home" / ".claude-code-router"
    home.mkdir(parents=True)
    shutil.copy(place.fill("ccr.json"), home / "config.json")
    script = peers.CCR.folder / "node_modules" / "@musistudio" / "claude-code-router" / "dist" / "main" / "cli.js"
    manager = ("--host", "127.0.0.1", "--port", str(free_port()))
    return place.start("node", script, "serve", "--no-open", *manager, CCR_WEB_AUTH_TOKEN="bench")


def need_command(name: str, remedy: str) -> Callable[[], str | None]:
    """A check that a command is on the PATH."""
    return lambda: None if shutil.which(name) else f"no {name}: {remedy}"


def need_peer(peer: peers.Peer) -> Callable[[], str | None]:
    """A check that a peer is installed."""
    return lambda: None if peer.is_installed else f"not installed: python bench/peers.py install {peer.name}"


def need_freehold() -> str | None:
    """A check that the project is installed where the bench runs."""
    return None if os.access(FREEHOLD, os.X_OK) else "no freehold command beside this Python: use the project's .venv"


def nginx_version() -> str:
    """As nginx says it."""
    said = subprocess.run(["nginx", "-v"], check=False, capture_output=True, text=True).stderr
    return said.rpartition("/")[2].strip()


def freehold_version() -> str:
    """The checkout's commit; of another command than the checkout's, what it says of itself."""
    git = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--exclude=*"]
    command = [str(FREEHOLD), "version"] if "BENCH_FREEHOLD" in os.environ else git
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip() or "unknown"


ANTHROPIC = {"format": "anthropic_messages", "path": "/v1/messages"}
SPOKEN = (
    ("openai_chat", "Chat Completions", "/v1/chat/completions", "mock-{}"),
    ("openai_responses", "Responses", "/v1/responses", "responses-mock-{}"),
    ("openai_completions", "Completions", "/v1/completions", "completions-mock-{}"),
    ("anthropic_messages", "Messages", "/v1/messages", "messages-mock-{}"),
    ("ollama", "Ollama", "/api/chat", "ollama-mock-{}"),
)
"""Each wire format: its name in the table, its path, and the model of the upstream that speaks it, in bench/configs/freehold.toml."""
FEW_CASES = ("saturated_1k", "repeated_1k", "saturated_100k", "burst", "paced")


def format_lanes() -> tuple[Lane, ...]:
    """Each format relayed, and translated to Chat Completions, which most upstreams speak; that one is translated to Messages."""
    model_of = {wire_format: model for wire_format, _, _, model in SPOKEN}
    lanes: list[Lane] = []
    for wire_format, name, path, model in SPOKEN:
        other, other_name = (
            ("openai_chat", "Chat Completions") if wire_format != "openai_chat" else ("anthropic_messages", "Messages")
        )
        lanes.append(Lane(name=f"{name}, relay", format=wire_format, path=path, model=model))
        lanes.append(Lane(name=f"{name} to {other_name}", format=wire_format, path=path, model=model_of[other]))
    return tuple(lanes)


def on_both_cores(workers: int) -> Gateway:
    """Freehold on both cores."""
    said = "1 worker" if workers == 1 else f"{workers} workers"
    return Gateway(
        name=f"freehold-{workers}-on-both",
        lanes=(Lane(name=f"freehold, relay, {said}"),),
        start=lambda place: run_freehold(place, workers),
        missing=need_freehold,
        version=freehold_version,
        table="workers",
        cases=FEW_CASES,
        has_both_cores=True,
    )


GATEWAYS = (
    Gateway(name="direct", lanes=(Lane(name="direct"),), start=None, missing=lambda: None, version=lambda: ""),
    Gateway(
        name="nginx",
        lanes=(Lane(name="nginx"),),
        start=run_nginx,
        missing=need_command("nginx", "apt-get install nginx-light"),
        version=nginx_version,
    ),
    Gateway(
        name="freehold",
        lanes=(Lane(name="freehold, relay"), Lane(name="freehold, translate", **ANTHROPIC)),
        start=run_freehold,
        missing=need_freehold,
        version=freehold_version,
    ),
    Gateway(
        name="tensorzero",
        lanes=(Lane(name="TensorZero", path="/openai/v1/chat/completions", model="tensorzero::model_name::mock-{}"),),
        start=run_tensorzero,
        missing=need_peer(peers.TENSORZERO),
        version=lambda: peers.TENSORZERO.version,
        announced_port=r"http://[^ ]*?:(\d+)/openai/v1",
    ),
    Gateway(
        name="claude-code-router",
        lanes=(Lane(name="claude-code-router, translate", headers=("x-api-key: sk-bench",), model="mock,mock-{}", **ANTHROPIC),),
        start=run_ccr,
        missing=need_peer(peers.CCR),
        version=lambda: peers.CCR.version,
        settle_s=6.0,
        window_factor=2.0,
    ),
    Gateway(
        name="litellm",
        lanes=(Lane(name="LiteLLM", headers=("Authorization: Bearer sk-bench",)),),
        start=run_litellm,
        missing=need_peer(peers.LITELLM),
        version=lambda: peers.LITELLM.version,
        settle_s=6.0,
        window_factor=2.0,
    ),
    Gateway(
        name="freehold-formats",
        lanes=format_lanes(),
        start=run_freehold,
        missing=need_freehold,
        version=freehold_version,
        settle_s=0.6,
        window_factor=0.6,
        table="formats",
        cases=FEW_CASES,
    ),
    on_both_cores(1),
    on_both_cores(2),
)
