"""A configuration is replaced while requests run: nobody notices but by what is new."""

import asyncio
import contextlib
import http.client
import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest

from freehold.config import Config, read_config
from freehold.gateways.fake import FakeRuntime
from freehold.policy.problems import PolicyError
from freehold.policy.snapshot import Policy
from freehold.server import reload
from freehold.server.demo import with_demo
from support.gateway import NO_ENGINE, Serve, Served, base_url, deployment_toml, runtime_toml
from support.place import Place, end, end_impatiently, wait_for
from support.rawclient import ask


def toml(fake: FakeRuntime, *names: str, more: str = "", **runtime: str) -> str:
    """One runtime for each name, all of them at the fake; `auto` tries them in this order. `name:fake-down` is served as that."""
    config, served_as = NO_ENGINE + more, dict(name.partition(":")[::2] for name in names)
    names = tuple(served_as)
    for name, served in served_as.items():
        config += runtime_toml(name, "local", base_url(fake), **runtime)
        config += deployment_toml(name, "fake", served or f"as-{name}", free="true")
    return config + f"[aliases]\nauto = {[f'{name}/fake' for name in names]}\n".replace("'", '"')


def read(text: str, home: Path, **environ: str) -> Config:
    text = text if "[discovery]" in text else "[discovery]\nlocal = false\n" + text
    return read_config(text, {"HOME": str(home), "FREEHOLD_HOME": str(home), **environ}, None)


BOX = runtime_toml("box", "local", "http://127.0.0.1:1/v1") + deployment_toml("box", "m", "m")


async def say(served: Served, words: str = "hello", model: str = "auto", **options: Any) -> Any:
    return await served.openai(**options).chat.completions.with_raw_response.create(
        model=model, messages=[{"role": "user", "content": words}]
    )


async def test_a_new_configuration_serves_from_the_next_request_on(serve: Serve, fake: FakeRuntime, tmp_path: Path) -> None:
    served = await serve(toml(fake, "one"))
    assert (await say(served)).headers["x-freehold-deployment"] == "one/fake"
    before = served.app.config.policy.version
    changes = served.app.apply(read(toml(fake, "two"), tmp_path))
    assert (changes.added, changes.removed, changes.changed) == (("two",), ("one",), ())
    assert (await say(served)).headers["x-freehold-deployment"] == "two/fake"
    assert served.last().request.policy_version == served.app.config.policy.version == changes.policy_version != before
    with pytest.raises(openai.NotFoundError):
        await say(served, model="one/fake")


async def test_no_request_fails_or_sees_two_configurations_while_many_are_swapped_in(
    serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime, tmp_path: Path
) -> None:
    """Each configuration sends a model of its own name to one runtime; rows must agree in name, runtime and version."""
    configs = [read(toml(upstream, f"c{number}"), tmp_path) for number, upstream in enumerate([fake, other_fake] * 4)]
    belongs = {config.policy.version: next(iter(config.runtimes)) for config in configs}
    served = await serve(toml(fake, "c0"))
    port, swaps, answers = int(served.url.rsplit(":", 1)[1]), 0, []
    is_over = False

    async def client(wire: Any, stream: bool) -> None:
        while not is_over:
            answers.append(await ask(wire, port, "[[fake: say=one two three]]", stream=stream))

    async def swap() -> None:
        nonlocal swaps, is_over
        while len(answers) < 1500:
            served.app.apply(configs[swaps % len(configs)])
            swaps += 1
            await asyncio.sleep(0.002)
        is_over = True

    async with asyncio.TaskGroup() as group:
        group.create_task(swap())
        for number in range(12):
            group.create_task(client(["openai_chat", "anthropic_messages"][number % 2], number % 3 == 0))
    assert {answer.status for answer in answers} == {200}
    assert all(answer.is_whole for answer in answers)
    assert swaps > 50
    rows = served.rows()
    assert len(rows) == 1000, "the newest ones"
    assert {row.outcome for row in rows} == {"served"}
    assert {(row.attempts, row.runtime == belongs[row.policy_version]) for row in rows} == {(1, True)}
    assert len({row.runtime for row in rows}) == len(configs)


async def test_a_running_stream_ends_as_it_began_when_its_runtime_is_removed(
    serve: Serve, fake: FakeRuntime, tmp_path: Path
) -> None:
    served = await serve(toml(fake, "one"))
    before = served.app.config.policy.version
    stream = await served.openai().chat.completions.create(
        model="auto", stream=True, messages=[{"role": "user", "content": "[[fake: say=a b c d e f]][[fake: slow=10ms]]"}]
    )
    chunks = [await anext(stream) for _ in range(2)]
    served.app.apply(read(NO_ENGINE, tmp_path))
    chunks += [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "a b c d e f"
    row = served.last().request
    assert (row.outcome, row.deployment, row.policy_version) == ("served", "one/fake", before)


async def test_a_request_that_falls_back_after_a_swap_does_so_by_its_own_plan(
    serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime, tmp_path: Path
) -> None:
    """The runtime `two` means another address by then, and the fallback must still reach the old one."""
    served = await serve(toml(fake, "one:fake-stall", "two"))
    asking = asyncio.ensure_future(say(served))
    await fake.received()
    moved = toml(other_fake, "two")
    served.app.apply(read(moved, tmp_path))
    for connection in list(fake.connections):
        connection.abort()
    answer = await asking
    assert answer.headers["x-freehold-deployment"] == "two/fake"
    assert [json.loads(one.body)["model"] for one in fake.journal] == ["fake-stall", "as-two"]
    assert other_fake.journal == []


async def test_a_lower_ceiling_holds_at_once_and_a_higher_one_opens(serve: Serve, fake: FakeRuntime, tmp_path: Path) -> None:
    text = NO_ENGINE + runtime_toml("lab", "self_hosted", base_url(fake)) + deployment_toml("lab", "fake", "m", free="true")
    served = await serve(text)
    assert (await say(served, model="fake")).status_code == 200
    served.app.apply(read(text, tmp_path, FREEHOLD_LOCAL_ONLY="1"))
    with pytest.raises(openai.APIStatusError) as told:
        await say(served, model="fake")
    assert told.value.status_code == 403
    assert served.app.readiness().local_only
    served.app.apply(read(text, tmp_path))
    assert (await say(served, model="fake")).status_code == 200


async def test_keys_and_limits_and_the_door_hold_from_the_next_request_on(
    serve: Serve, fake: FakeRuntime, tmp_path: Path
) -> None:
    served = await serve(toml(fake, "one"))
    (tmp_path / "key").write_text("the-new-key-of-the-server")
    more = f'[server]\napi_key = "file:{tmp_path / "key"}"\nmax_body_bytes = 2000\nallowed_hosts = ["box.lan"]\n'
    changes = served.app.apply(read(toml(fake, "one", more=more), tmp_path))
    assert changes.settings == ("server.api_key", "server.max_body_bytes", "server.allowed_hosts")
    with pytest.raises(openai.AuthenticationError):
        await say(served)
    client = served.openai().with_options(api_key="the-new-key-of-the-server")
    assert (await client.models.list()).data
    with pytest.raises(openai.APIStatusError) as told:
        await client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "x" * 3000}])
    assert told.value.status_code == 413
    named = await client.with_options(default_headers={"host": "box.lan"}).models.list()
    assert named.data
    (tmp_path / "key").write_text("yet-another-key-of-the-server")
    changes = served.app.apply(read(toml(fake, "one", more=more), tmp_path))
    assert changes.settings == ("server.api_key",), "the key behind the reference is another"
    with pytest.raises(openai.AuthenticationError):
        await client.models.list()


async def test_a_runtimes_new_key_is_sent_from_the_next_request_on(serve: Serve, fake: FakeRuntime, tmp_path: Path) -> None:
    key = tmp_path / "runtime.key"
    key.write_text("first-key")
    text = toml(fake, "one", api_key=f'"file:{key}"')
    served = await serve(text)
    await say(served)
    key.write_text("second-key")
    assert served.app.apply(read(text, tmp_path)).changed == ("one",)
    await say(served)
    assert [one.headers["authorization"] for one in fake.journal] == ["Bearer first-key", "Bearer second-key"]
    key.unlink()
    served.app.apply(read(text, tmp_path))
    assert "no credentials" in served.app.readiness().runtimes[0].detail


async def test_what_was_learnt_of_a_deployment_is_kept_while_it_is_the_same(
    serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime, tmp_path: Path
) -> None:
    served = await serve(toml(fake, "one:fake-down", "two"))
    for _ in range(5):
        assert (await say(served)).headers["x-freehold-deployment"] == "two/fake"
    assert set(served.app.breakers.health()) == {"one/fake"}
    served.app.apply(read(toml(fake, "one:fake-down", "two", "three"), tmp_path))
    assert set(served.app.breakers.health()) == {"one/fake"}, "the same model at the same place is as ill as before"
    served.app.apply(read(toml(other_fake, "one:fake-down", "two", "three"), tmp_path))
    assert served.app.breakers.health() == {}, "at another place it may be well"


async def test_what_cannot_change_while_running_is_told_and_kept(serve: Serve, fake: FakeRuntime, tmp_path: Path) -> None:
    served = await serve(toml(fake, "one"))
    more = '[server]\nport = 1\nhost = "localhost"\n[storage]\npath = "elsewhere.db"\n[log]\nlevel = "error"\n'
    changes = served.app.rebase(read(toml(fake, "one", more=more), tmp_path / "other"))
    assert changes.waits_for_restart == ("server.host", "server.port", "storage.path", "data_dir")
    assert changes.settings == ("log.level",)
    assert not served.app.log.shows("warning")
    config = served.app.config
    assert (config.settings.server.port, config.settings.storage.path, config.data_dir) == (8840, None, tmp_path)
    assert served.app.base.settings.server.port == 1
    assert served.app.rebase(served.app.base).waits_for_restart == changes.waits_for_restart, "it waits until the restart"


async def test_what_is_laid_over_the_file_stays_when_the_file_changes(
    serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime, tmp_path: Path
) -> None:
    served = await serve(toml(fake, "one"))
    app = served.app
    app.lay_over("found", lambda base: with_demo(base, base_url(other_fake)))
    assert (await say(served, model="demo/fake")).status_code == 200
    app.rebase(read(toml(fake, "two"), tmp_path))
    assert list(app.base.runtimes) == ["two"]
    assert list(app.config.runtimes) == ["two", "demo"]
    assert (await say(served, model="demo/fake")).status_code == 200

    def clashes(base: Config) -> Config:
        old = base.policy
        aliases = {**old.aliases, "new": ("nothing-is-called-so",)}
        return msgspec.structs.replace(base, policy=Policy([*old.placed.values()], aliases, old.rules, old.server_ceiling))

    before = app.config
    with pytest.raises(PolicyError):
        app.lay_over("found", clashes)
    assert app.config is before
    app.lay_over("found", None)
    assert list(app.config.runtimes) == ["two"]


async def test_a_half_written_file_is_read_when_it_has_settled(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each piece of the file is valid by itself: read too early, it would lose what follows. A slow writer adds one at each look."""
    monkeypatch.setattr(reload, "SETTLES_S", 0.01)
    file, pieces = tmp_path / "freehold.toml", [BOX.replace("box", f"box{number}") for number in range(12)]
    served, told = await serve(NO_ENGINE), list[Any]()
    monkeypatch.setattr(served.app.log, "event", lambda name, **facts: told.append((name, facts)))
    reloader = reload.Reloader(served.app, {"HOME": str(tmp_path), "FREEHOLD_CONFIG": str(file)}, served.app.log)
    file.write_text(NO_ENGINE + "[discovery]\nlocal = false\n")
    look = reloader._stamps

    async def look_and_write_on() -> Any:
        seen = await look()
        if pieces:
            with file.open("a") as half_written:
                half_written.write(pieces.pop())
        return seen

    monkeypatch.setattr(reloader, "_stamps", look_and_write_on)
    await reloader._look(is_asked=False)
    [(name, facts)] = told
    assert (name, len(facts["changes"]["added"])) == ("config.reloaded", 12)
    assert len(served.app.config.runtimes) == 12


# the file, by a real process


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def server(place: Place) -> Iterator[subprocess.Popen[bytes]]:
    log = place.folder / "log"
    write(place, "")
    with log.open("wb") as err:
        server = place.start("serve", "--demo", stderr=err)
    place.until_serving(server)
    yield server
    assert end(server)[0] == 0, log.read_text()


def events(place: Place, name: str) -> list[Any]:
    lines = (place.folder / "log").read_text().rpartition("\n")[0].splitlines()
    return [told for told in map(json.loads, lines) if told["event"] == name]


def write(place: Place, more: str) -> None:
    """As editors do it: a new file takes the place of the old one."""
    new = place.folder / "new.toml"
    new.write_text(f"[server]\nport = {place.port}\n[log]\nformat = 'json'\n{NO_ENGINE}[discovery]\nlocal = false\n{more}")
    new.replace(place.config)


def test_a_changed_file_is_followed_and_a_wrong_one_keeps_the_old(place: Place, server: subprocess.Popen[bytes]) -> None:
    write(place, BOX)
    wait_for(lambda: len(events(place, "config.reloaded")) == 1)
    assert events(place, "config.reloaded")[0]["changes"]["added"] == ["box"]
    told = place.json("runtimes")
    assert ([one["name"] for one in told["runtimes"]], told["config_problems"]) == (["box", "demo"], [])

    write(place, BOX + "[sevrer]\n")
    wait_for(lambda: len(events(place, "config.refused")) == 1)
    assert "sevrer" in events(place, "config.refused")[0]["problems"][0]
    ready = json.loads(place.until_serving(server, "/readyz"))
    assert (ready["config_problems"], ready["ready"]) == (["sevrer"], True)
    assert "box/m" in json.dumps(ready["runtimes"])

    place.config.unlink()
    wait_for(lambda: len(events(place, "config.refused")) == 2)
    assert json.loads(place.until_serving(server, "/readyz"))["config_problems"] == ["freehold.toml: is gone"]

    write(place, BOX)
    wait_for(lambda: len(events(place, "config.reloaded")) == 2)
    ready = json.loads(place.until_serving(server, "/readyz"))
    assert (ready["config_problems"], ready["waits_for_restart"]) == ([], [])


def test_sighup_reads_at_once_and_a_secrets_file_is_followed(place: Place, server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGHUP)
    wait_for(lambda: len(events(place, "config.unchanged")) == 1)
    write(place, BOX.replace("[[dep", 'api_key = "file:box.key"\n[[dep') + "[storage]\npath = 'other.db'\n")
    server.send_signal(signal.SIGHUP)
    wait_for(lambda: len(events(place, "config.reloaded")) == 1)
    ready = json.loads(place.until_serving(server, "/readyz"))
    assert ready["waits_for_restart"] == ["storage.path"]
    assert ready["runtimes"][0]["status"] == "down"
    (place.folder / "box.key").write_text("the-key-of-the-box")
    wait_for(lambda: len(events(place, "config.reloaded")) == 2)
    assert events(place, "config.reloaded")[1]["changes"]["changed"] == ["box"]
    assert json.loads(place.until_serving(server, "/readyz"))["runtimes"][0]["status"] == "configured"
    assert "the-key-of-the-box" not in (place.folder / "log").read_text()


# the end


@contextlib.contextmanager
def streaming_slowly(place: Place, words: str) -> Iterator[http.client.HTTPResponse]:
    body = {
        "model": "fake",
        "stream": True,
        "messages": [{"role": "user", "content": f"[[fake: say={words}]][[fake: slow=40ms]]"}],
    }
    asking = http.client.HTTPConnection("127.0.0.1", place.port, timeout=30)
    with contextlib.closing(asking):
        asking.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
        with asking.getresponse() as answer:
            yield answer


def test_told_to_stop_it_takes_nothing_new_and_ends_what_runs(place: Place) -> None:
    server = place.start("serve", "--demo")
    place.until_serving(server)
    with streaming_slowly(place, " ".join("abcdefghijklmnopqrstuvwxyz")) as answer:
        first = answer.readline()
        server.send_signal(signal.SIGTERM)
        wait_for(lambda: refuses(place.port))
        rest = answer.read()
    assert (first + rest).endswith(b"data: [DONE]\n\n")
    code, _, err = end(server)
    assert (code, "server.stopped" in err) == (0, True)
    assert [row["outcome"] for row in place.json("log")] == ["served"]


def test_told_twice_it_ends_at_once_and_says_so_in_the_stream_and_the_ledger(place: Place) -> None:
    server = place.start("serve", "--demo")
    place.until_serving(server)
    with streaming_slowly(place, "a " * 2000) as answer:
        first = answer.readline()
        server.send_signal(signal.SIGTERM)
        wait_for(lambda: refuses(place.port))
        began_s = time.monotonic()
        server.send_signal(signal.SIGTERM)
        rest = answer.read()
    assert end_impatiently(server) == 0
    assert time.monotonic() - began_s < 25, "the drain would have taken 30 s, the answer 80 s"
    assert b"stopping" in first + rest
    assert not rest.rstrip().endswith(b"[DONE]")
    assert [(row["outcome"], row["fault"]) for row in place.json("log")] == [("cut", "shutting_down")]


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return True
    return False
