"""What parent and workers say to one another: JSON, a line each, over pipes that nobody else can read.

Keys of engines travel here and nowhere else: an argument vector and an environment can be read by others.
"""

import hashlib

import msgspec

from freehold.fault import Fault, Kind
from freehold.local.engine import EngineState, Status
from freehold.secret import Secret

LONGEST_BYTES = 16 * 1024 * 1024
"""Of a line: a configuration is in one."""


class EngineTold(msgspec.Struct, frozen=True, kw_only=True):
    """An engine's state, with its key in the clear."""

    status: Status
    fault_kind: Kind | None = None
    fault_message: str = ""
    base_url: str | None = None
    api_key: str | None = None
    model: str | None = None
    context: int | None = None
    slots: int | None = None
    pid: int | None = None
    restarts: int = 0
    ready_after_s: float | None = None


class Begin(msgspec.Struct, frozen=True, kw_only=True, tag="begin"):
    """The first message: what to serve, and where."""

    number: int
    """Of this worker, counted since the parent began."""
    listening_fd: int
    host: str
    port: int
    source: str | None
    """The configuration's file, and ..."""
    text: str
    """... what it said when it was last good."""
    spill: str
    """Where rows go while the store does not take them."""
    demo_url: str | None


class EnginesAre(msgspec.Struct, frozen=True, kw_only=True, tag="engines"):
    """The state of every engine, after any of them changed."""

    engines: dict[str, EngineTold]


class Serving(msgspec.Struct, frozen=True, tag="serving"):
    """The worker answers requests."""


class Follows(msgspec.Struct, frozen=True, tag="follows"):
    """The worker has read the configuration: what it serves by now, or why it goes on by what it had."""

    text_digest: str
    problems: tuple[str, ...]


class LetGo(msgspec.Struct, frozen=True, tag="let_go"):
    """The worker has no more calls at an engine that was taken from the table."""

    base_url: str


ToWorker = Begin | EnginesAre
FromWorker = Serving | Follows | LetGo

encode = msgspec.json.Encoder().encode
read_for_worker = msgspec.json.Decoder(ToWorker).decode
read_for_parent = msgspec.json.Decoder(FromWorker).decode


def digest(text: str) -> str:
    """What a configuration's text is compared by."""
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def line(message: ToWorker | FromWorker) -> bytes:
    """The message as it goes over the pipe."""
    return encode(message) + b"\n"


def told(state: EngineState) -> EngineTold:
    """The state as it is told."""
    fault = state.fault
    return EngineTold(
        fault_kind=None if fault is None else fault.kind,
        fault_message="" if fault is None else fault.message,
        api_key=None if state.api_key is None else state.api_key.reveal(),
        **{
            name: getattr(state, name)
            for name in ("status", "base_url", "model", "context", "slots", "pid", "restarts", "ready_after_s")
        },
    )


def heard(engine: EngineTold) -> EngineState:
    """What was told, as a state."""
    return EngineState(
        fault=None if engine.fault_kind is None else Fault(kind=engine.fault_kind, message=engine.fault_message),
        api_key=None if engine.api_key is None else Secret(engine.api_key),
        **{
            name: getattr(engine, name)
            for name in ("status", "base_url", "model", "context", "slots", "pid", "restarts", "ready_after_s")
        },
    )
