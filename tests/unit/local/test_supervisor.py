"""The supervisor with a small stand-in process: everything but the model is real."""

import asyncio
import os
import signal
import sys
import textwrap
import time

import pytest

from freehold.fault import Kind
from freehold.local import engine as engine_module
from freehold.local.launching import engine_environment, threads_for
from freehold.runtime import Launch
from support.stand_in import HONEST

DYING = "import sys; sys.stderr.write('could not map the weights\\n'); sys.exit(3)"
DEAF = HONEST.replace("settings =", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); settings =")
SILENT = "import sys; sys.stdin.read()"
QUOTING = HONEST.replace(
    "        ok =",
    """        if b"GET /end" in head:
            print("parse: error parsing grammar: expecting ::= at", file=sys.stderr)
            print("root ::= what is said in private, 1 GiB: failed to allocate", file=sys.stderr)
            print("what is said in private", file=sys.stderr, flush=True)
            import os; os._exit(7)
        ok =""",
)
LYING = "print('no JSON', flush=True); input(); input()"


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "Tiny-Model.gguf"
    path.write_bytes(b"GGUF")
    return path


@pytest.fixture
def launch(model, tmp_path, launch_engines):
    """Start one engine called `text` from a script."""

    def begin(script):
        def command(_: Launch) -> list[str]:
            return [sys.executable, "-c", textwrap.dedent(script)]

        return launch_engines({"text": Launch(engine="llama", weights=str(model))}, tmp_path, command)

    return begin


@pytest.fixture
def until(launch_engines):
    """Wait until an engine's state satisfies a condition; that state, which may be over again by then."""

    async def wait(engines, name, condition):
        seen = asyncio.get_running_loop().create_future()

        def look(changed, state):
            if changed == name and condition(state) and not seen.done():
                seen.set_result(state)

        engines.on_change(look)
        look(name, engines.state(name))
        return await asyncio.wait_for(seen, 30)

    return wait


@pytest.fixture
def impatient(monkeypatch):
    """Back-off in milliseconds instead of seconds."""
    monkeypatch.setattr(engine_module, "FIRST_DELAY_S", 0.001)
    monkeypatch.setattr(engine_module, "LONGEST_DELAY_S", 0.002)


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_start_returns_at_once_and_ready_waits_for_the_first_answer(launch):
    engines = launch(HONEST)
    assert engines.state("text").status == "starting"
    assert engines.state("text").fault.kind is Kind.ENGINE_NOT_READY
    await engines.ready("text")
    state = engines.state("text")
    assert (state.status, state.model, state.context, state.slots, state.restarts) == ("ready", "tiny-model", 512, 3, 0)
    assert state.base_url.startswith("http://127.0.0.1:")
    assert state.fault is None
    assert not gone(state.pid)


async def test_a_killed_process_comes_back_with_another_key_and_the_change_is_told(launch, until):
    engines = launch(HONEST)
    await engines.ready()
    before = engines.state("text")
    told = []
    engines.on_change(lambda name, state: told.append((name, state.status)))
    started = time.monotonic()
    os.kill(before.pid, signal.SIGKILL)
    after = await until(engines, "text", lambda state: state.status == "ready" and state.pid != before.pid)
    assert time.monotonic() - started < 25
    assert after.restarts == 1
    assert after.api_key != before.api_key
    assert told == [("text", "starting"), ("text", "ready")]


async def test_a_process_that_keeps_dying_counts_as_failed_and_says_why_but_is_tried_on(launch, until, impatient):
    engines = launch(DYING)
    state = await until(engines, "text", lambda state: state.status == "failed")
    assert state.restarts == engine_module.DEATHS - 1
    assert "exit status 3" in state.fault.message
    assert "could not map the weights" in state.fault.message
    assert state.fault.details["stderr"] == ["could not map the weights"]
    await until(engines, "text", lambda state: state.restarts >= engine_module.DEATHS + 1)
    assert engines.state("text").status == "failed"


async def test_what_an_engine_says_once_it_has_seen_requests_is_told_in_words_of_ours(launch, until, impatient):
    engines = launch(QUOTING)
    for death in range(engine_module.DEATHS):
        state = await until(engines, "text", lambda state: state.status == "ready")
        host, port = state.base_url.removeprefix("http://").removesuffix("/v1").split(":")
        dying = asyncio.ensure_future(until(engines, "text", lambda state: state.fault is not None))
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /end HTTP/1.1\r\n\r\n")
        assert await reader.read() == b""
        writer.close()
        state = await dying
        said = f"{state.fault.message} {state.fault.details}"
        assert "private" not in said
        assert "exit status 7" in said
        assert "it ran out of memory" in said
        assert state.status == ("failed" if death == engine_module.DEATHS - 1 else "starting")


async def test_a_report_that_is_not_understood_is_a_failure_not_a_hang(launch, until):
    engines = launch(LYING)
    state = await until(engines, "text", lambda state: "report was not understood" in state.fault.message)
    assert state.status == "starting"


async def test_a_process_that_answers_nothing_is_not_called_ready(launch, until):
    nobody = """import sys; print('{"base_url":"http://127.0.0.1:1/v1","model":"m","slots":1}', flush=True); sys.stdin.read()"""
    engines = launch(nobody)
    state = await until(engines, "text", lambda state: "gave no proper answer" in state.fault.message)
    assert state.base_url is None


async def test_stop_leaves_no_process_and_insists_on_a_deaf_one(launch, monkeypatch, journal):
    monkeypatch.setattr(engine_module, "GRACE_S", 0.05)
    both = [launch(HONEST), launch(DEAF)]
    for engines in both:
        await engines.ready()
    pids = [engines.state("text").pid for engines in both]
    for engines in both:
        await engines.stop()
        await engines.stop()
        assert engines.state("text").status == "stopped"
    assert all(gone(pid) for pid in pids)
    assert ("engine.killed", {"engine": "text", "pid": pids[1], "after_s": 0.05}) in journal


async def test_stop_ends_the_wait_for_an_engine_that_never_becomes_ready(launch):
    engines = launch(SILENT)
    waiting = asyncio.ensure_future(engines.ready())
    await asyncio.sleep(0)
    await asyncio.wait_for(engines.stop(), 30)
    await waiting
    assert engines.state("text").status == "stopped"


async def test_missing_weights_are_a_clear_state_that_heals_and_leave_others_alone(
    model, tmp_path, launch_engines, until, impatient
):
    absent = tmp_path / "later.gguf"
    launches = {
        "text": Launch(engine="llama", weights=str(model)),
        "later": Launch(engine="llama", weights=str(absent)),
        "unpulled": Launch(engine="llama", weights="smollm2-135m-instruct"),
    }
    engines = launch_engines(launches, tmp_path, lambda _: [sys.executable, "-c", textwrap.dedent(HONEST)])
    await engines.ready()
    assert engines.state("text").status == "ready"
    assert engines.state("later").status == "no_weights"
    assert engines.state("unpulled").fault.kind is Kind.WEIGHTS_MISSING
    assert "freehold pull smollm2-135m-instruct" in engines.state("unpulled").fault.message
    absent.write_bytes(b"GGUF")
    assert (await until(engines, "later", lambda state: state.status == "ready")).restarts == 0


async def test_a_listener_that_fails_does_not_stop_the_watch(launch, journal):
    engines = launch(HONEST)
    engines.on_change(lambda *_: 1 / 0)
    await engines.ready()
    assert engines.state("text").status == "ready"
    assert ("engine_listener_failed", {"engine": "text", "error": "ZeroDivisionError"}) in journal


async def test_no_key_reaches_the_log(launch, journal):
    engines = launch(HONEST)
    await engines.ready()
    assert journal
    assert engines.state("text").api_key.reveal() not in repr(journal)
    assert engines.state("text").api_key.reveal() not in repr(engines.states())


def test_the_environment_of_an_engine_holds_no_key_and_no_proxy():
    ours = {
        "PATH": "/bin",
        "OPENAI_API_KEY": "sk",
        "HTTPS_PROXY": "http://p",
        "http_proxy": "http://p",
        "LLAMA_ARG_HOST": "0.0.0.0",
    }
    theirs = engine_environment(ours, 3)
    assert theirs["PATH"] == "/bin"
    assert theirs["OMP_WAIT_POLICY"] == "passive"
    assert theirs["OMP_NUM_THREADS"] == "3"
    assert theirs["HF_HUB_OFFLINE"] == "1"
    assert not {name for name in theirs if "KEY" in name or "proxy" in name.lower() or name.startswith("LLAMA")}


@pytest.mark.parametrize(
    ("engine", "threads", "physical", "expected"),
    [
        ("llama", None, 8, 1),
        ("llama", None, 1, 1),
        ("llama", None, None, 1),
        ("llama", 6, 8, 6),
        ("llama", 0, 8, 1),
        ("embed", None, 8, 1),
    ],
)
def test_threads_leave_a_core_free_unless_configured(monkeypatch, engine, threads, physical, expected):
    monkeypatch.setattr("psutil.cpu_count", lambda **_: physical)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    assert threads_for(Launch(engine=engine, weights="w", threads=threads)) == expected
