"""Engines follow a changed configuration: what is the same is left alone, what goes ends its work first."""

import asyncio
import os
import sys
import textwrap

import pytest

from freehold.local import supervisor
from freehold.runtime import Launch
from support.stand_in import HONEST


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "Tiny-Model.gguf"
    path.write_bytes(b"GGUF")
    return path


@pytest.fixture
def begin(model, tmp_path, launch_engines, monkeypatch):
    """Start engines by name and context; `in_use` holds the base URLs that calls are under way to."""
    monkeypatch.setattr(supervisor, "_SETTLES_S", 0.01)
    monkeypatch.setattr(supervisor, "_LOOKS_EACH_S", 0.005)
    in_use = set()

    def start(retire_s=30.0, **contexts: int):
        engines = launch_engines(
            launches(model, **contexts),
            tmp_path,
            lambda _: [sys.executable, "-c", textwrap.dedent(HONEST)],
            is_in_use=in_use.__contains__,
            retire_s=retire_s,
        )
        return engines, in_use

    return start


def launches(model, **contexts: int):
    return {name: Launch(engine="llama", weights=str(model), context=context) for name, context in contexts.items()}


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def until(holds):
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - processes raise no event here
            await asyncio.sleep(0.005)


async def test_only_what_changed_is_started_stopped_and_restarted(begin, model, journal):
    engines, _ = begin(same=256, changed=256, gone=256)
    await engines.ready()
    before = engines.states()
    told = []
    engines.on_change(lambda name, state: told.append((name, state.status)))
    assert engines.change(launches(model, same=256, changed=300, new=256)) == {"same"}
    assert set(engines.states()) == {"same", "changed", "new"}
    assert engines.state("changed").status == "starting"
    await engines.ready()
    assert engines.state("same") is before["same"]
    assert engines.state("changed").context == 300
    await until(lambda: is_gone(before["gone"].pid))
    assert is_gone(before["changed"].pid)
    assert not is_gone(before["same"].pid)
    assert sorted(told) == [("changed", "ready"), ("new", "ready")], "what retires is not heard of any more"
    await until(lambda: sorted(facts["engine"] for event, facts in journal if event == "engine.retired") == ["changed", "gone"])


async def test_one_that_goes_ends_its_calls_first_and_its_successor_waits(begin, model):
    engines, in_use = begin(text=256)
    await engines.ready()
    before = engines.state("text")
    in_use.add(before.base_url)
    engines.change(launches(model, text=300))
    await asyncio.sleep(0.1)  # nothing may happen in it
    assert not is_gone(before.pid)
    assert engines.state("text").status == "starting"
    in_use.clear()
    await engines.ready()
    assert is_gone(before.pid)
    assert engines.state("text").context == 300


async def test_one_whose_calls_do_not_end_is_stopped_in_time(begin, model):
    engines, in_use = begin(retire_s=0.05, text=256)
    await engines.ready()
    before = engines.state("text")
    in_use.add(before.base_url)
    engines.change({})
    await until(lambda: is_gone(before.pid))


async def test_many_changes_in_a_row_leave_the_last_one_and_no_other_process(begin, model):
    engines, _ = begin(text=256)
    await engines.ready()
    pids = [engines.state("text").pid]
    for context in (300, 400, 500, 256):
        engines.change(launches(model, text=context))
    await engines.ready()
    assert engines.state("text").context == 256
    assert engines.state("text").pid not in pids
    await until(lambda: all(map(is_gone, pids)))
    pids = [engines.state("text").pid]
    await engines.stop()
    assert all(map(is_gone, pids))


async def test_stop_ends_what_retires_too(begin, model):
    engines, in_use = begin(text=256)
    await engines.ready()
    before = engines.state("text")
    in_use.add(before.base_url)
    engines.change(launches(model, text=300))
    await engines.stop()
    assert is_gone(before.pid)
    assert engines.state("text").status == "stopped"


async def test_a_change_before_the_start_starts_nothing(model, tmp_path):
    engines = supervisor.Engines(launches(model, text=256), tmp_path, get=None, log=lambda *_, **__: None, now=lambda: 0.0)
    engines.change(launches(model, other=256))
    assert list(engines.states()) == ["other"]
