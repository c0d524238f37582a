"""A worker knows its parent's engines by what it is told, and lets go of them in order."""

import asyncio

import pytest

from freehold.fault import Fault, Kind
from freehold.local.engine import EngineState
from freehold.runtime import Launch
from freehold.secret import Secret
from freehold.server.workers import messages
from freehold.server.workers import told as told_module
from freehold.server.workers.messages import EnginesAre, EngineTold, heard, line, read_for_worker, told
from freehold.server.workers.told import ToldEngines

LAUNCH = Launch(engine="llama", weights="w")
READY = EngineState(
    status="ready",
    base_url="http://127.0.0.1:5/v1",
    api_key=Secret("the-key"),
    model="m",
    context=512,
    slots=2,
    pid=7,
    restarts=1,
    ready_after_s=0.5,
)
FAILED = EngineState(status="failed", fault=Fault(kind=Kind.WEIGHTS_MISSING, message="pull them"), restarts=3)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told_module, "SETTLES_S", 0.0)
    monkeypatch.setattr(told_module, "LOOKS_EACH_S", 0.001)


@pytest.mark.parametrize("state", [READY, FAILED, EngineState(status="stopped")])
def test_a_state_survives_the_pipe_whole(state: EngineState) -> None:
    """Compared field by field, so that a new field of a state cannot be forgotten."""
    message = read_for_worker(line(EnginesAre(engines={"text": told(state)})))
    assert isinstance(message, EnginesAre)
    assert heard(message.engines["text"]) == state
    assert messages.line(message).count(b"\n") == 1


async def test_what_is_told_is_passed_on_once_and_only_what_is_configured() -> None:
    engines = ToldEngines({"text": LAUNCH}, lambda _: None)
    seen: list[tuple[str, str]] = []
    engines.on_change(lambda name, state: seen.append((name, state.status)))
    assert engines.states()["text"].status == "starting"
    for _ in range(2):
        engines.hear({"text": told(READY), "other": told(READY)})
    assert seen == [("text", "ready")]
    assert engines.states() == {"text": READY}
    engines.hear({"text": told(FAILED)})
    engines.hear({})
    assert seen == [("text", "ready"), ("text", "failed"), ("text", "starting")]


async def test_an_engine_that_went_is_let_go_of_when_no_call_is_under_way() -> None:
    let_go: list[str] = []
    engines = ToldEngines({"text": LAUNCH}, let_go.append)
    in_use = {"http://127.0.0.1:5/v1"}
    engines.is_in_use = in_use.__contains__
    engines.hear({"text": told(READY)})
    engines.hear({"text": EngineTold(status="starting")})
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert let_go == []
    in_use.clear()
    async with asyncio.timeout(30):
        while not let_go:  # noqa: ASYNC110 - the engine polls too
            await asyncio.sleep(0.001)
    assert let_go == ["http://127.0.0.1:5/v1"]


async def test_a_change_keeps_what_is_the_same_and_ready_waits_for_the_parents_word() -> None:
    engines = ToldEngines({"text": LAUNCH, "embed": LAUNCH}, lambda _: None)
    other = Launch(engine="llama", weights="w", context=9)
    assert engines.change({"text": LAUNCH, "embed": other, "new": LAUNCH}) == {"text"}
    waiting = asyncio.ensure_future(engines.ready("text"))
    await asyncio.sleep(0)
    assert not waiting.done()
    engines.hear({"text": told(READY)})
    await asyncio.wait_for(waiting, 30)
