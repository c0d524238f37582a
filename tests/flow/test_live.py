"""What commands learn of a running server, and what they do not without its key."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from freehold.cli import looking
from freehold.cli.live import ask_for_names
from freehold.config import read_config
from freehold.gateways.fake import FakeRuntime
from support.gateway import NO_ENGINE, Serve, base_url, deployment_toml, runtime_toml

QUIET = f"[discovery]\nlocal = false\nvendors = false\n{NO_ENGINE}"


def at(port: int, more: str = "") -> str:
    return f'[server]\nport = {port}\napi_key = "env:KEY"\n{QUIET}{more}'


def box(fake: FakeRuntime, name: str) -> str:
    return runtime_toml(name, "local", base_url(fake)) + deployment_toml(name, "m", "fake-chat")


async def test_names_are_told_to_who_has_the_key(serve: Serve, fake: FakeRuntime, tmp_path: Path) -> None:
    served = await serve(at(1, box(fake, "box")), environ={"KEY": "the-one-key"})
    port = int(served.url.rpartition(":")[2])
    with_key, without = (read_config(at(port), {"KEY": key}, None) for key in ("the-one-key", "another-key"))
    live = await ask_for_names(with_key, {"auto", "box/m"})
    assert live is not None
    assert (live.names, [*live.facts], live.meant_by("m")) == (("auto", "m", "box/m"), ["m"], ("box/m",))
    live = await ask_for_names(without, set())
    assert live is not None
    assert (live.names, live.facts, live.states_of(("box/m",))) == (None, {}, "configured")


async def test_what_only_one_of_file_and_server_has_is_told_apart(
    serve: Serve, fake: FakeRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served = await serve(at(1, box(fake, "box")), environ={"KEY": "the-one-key"})
    place = tmp_path / "freehold.toml"
    place.write_text(at(int(served.url.rpartition(":")[2]), box(fake, "other") + deployment_toml("other", "n", "fake-chat")))

    async def told(key: str) -> Any:
        monkeypatch.setenv("KEY", key)
        await asyncio.to_thread(looking.models, place, as_json=False)
        return {words[0]: line for line in capsys.readouterr().out.splitlines() if (words := line.split())}

    rows = await told("the-one-key")
    assert rows["as"].startswith("as the running server at ")
    assert (rows["m"].split()[-1], rows["n"].endswith("not in the server")) == ("configured", True)
    assert {"box/m", "other/m"} <= rows.keys()
    rows = await told("another-key")
    assert "server.api_key" in rows["its"]
    assert "box/m" not in rows
