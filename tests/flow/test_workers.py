"""Several workers behind one address, by real processes: they come and go, and nobody notices."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.pinned import Pinned
from support.place import Place, end, end_impatiently, wait_for

BOX = (
    '[[runtimes]]\nname = "box"\nkind = "local"\nbase_url = "http://127.0.0.1:1/v1"\n'
    '[[deployments]]\nid = "box/m"\nmodel = "m"\nruntime = "box"\nserved_as = "m"\n'
)


def write(place: Place, more: str) -> None:
    """As editors do it: a new file takes the place of the old one."""
    new = place.folder / "new.toml"
    new.write_text(
        f"[server]\nport = {place.port}\nworkers = 2\n[log]\nformat = 'json'\n[defaults]\nembedded = false\n"
        f"[discovery]\nlocal = false\n{more}"
    )
    new.replace(place.config)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, subprocess.Popen[bytes]]]:
    """A server of two workers; whatever the tests do to them, it serves."""
    place = Place(tmp_path_factory.mktemp("workers"))
    write(place, "")
    with (place.folder / "log").open("wb") as err:
        server = place.start("serve", "--demo", stderr=err)
    wait_for(lambda: bool(events(place, "server.started")) and len(pids(place)) == 2)
    yield place, server
    code = end(server)[0]
    assert code == 0, (place.folder / "log").read_text()
    assert not [pid for pid in pids(place) if is_alive(pid)], "no worker is left behind"


@pytest.fixture
def place(running: tuple[Place, subprocess.Popen[bytes]]) -> Place:
    return running[0]


@pytest.fixture
def server(running: tuple[Place, subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    return running[1]


def events(place: Place, name: str) -> list[Any]:
    lines = (place.folder / "log").read_text().rpartition("\n")[0].splitlines()
    return [told for told in map(json.loads, lines) if told["event"] == name]


def pids(place: Place) -> list[int]:
    return [told["pid"] for told in events(place, "worker.serves")]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ask(place: Place, words: str = "hello", model: str = "fake") -> int:
    """One request on a connection of its own; its status, which is 200 or says why not."""
    asking = http.client.HTTPConnection("127.0.0.1", place.port, timeout=30)
    body = {"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": words}]}
    try:
        asking.request(
            "POST", "/v1/chat/completions", json.dumps(body), {"connection": "close", "content-type": "application/json"}
        )
        answer = asking.getresponse()
        said = answer.read()
        assert answer.status == 200, said
        return answer.status
    finally:
        asking.close()


def ask_many(place: Place, count: int) -> list[int]:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda _: ask(place), range(count)))


def outcomes(place: Place) -> list[str]:
    return [row["outcome"] for row in place.json("log", "-n", "1000")]


def test_every_row_of_both_is_kept(place: Place) -> None:
    before = len(outcomes(place))
    assert ask_many(place, 200) == [200] * 200
    wait_for(lambda: len(outcomes(place)) == min(1000, before + 200))
    assert set(outcomes(place)) == {"served"}
    assert not events(place, "ledger.doubled")


def test_what_does_not_fit_is_counted_over_all_workers(place: Place) -> None:
    body = {"model": "fake", "messages": [{"role": "user", "content": "word " * 135_000}]}
    said, before = [], len(outcomes(place))
    for _ in range(6):  # each by a connection of its own, which whichever worker takes
        asking = http.client.HTTPConnection("127.0.0.1", place.port, timeout=30)
        headers = {"connection": "close", "content-type": "application/json", "x-freehold-session": "too-long"}
        with contextlib.closing(asking):
            asking.request("POST", "/v1/chat/completions", json.dumps(body), headers)
            said.append(json.loads(asking.getresponse().read())["error"]["code"])
    assert said == ["context_length_exceeded"] * 3 + ["loop_stopped"] * 3
    wait_for(lambda: len(outcomes(place)) == before + 6)  # whoever counts rows next begins from all of these


def test_a_rolling_restart_fails_nobody_and_cuts_nothing(place: Place, server: subprocess.Popen[bytes]) -> None:
    words, before = " ".join("abcdefghijklmnopqrstuvwxyz" * 2), len(outcomes(place))
    running = [place.start("ask", "--model", "fake", f"[[fake: say={words}]][[fake: slow=40ms]]") for _ in range(2)]
    first = [asking.stdout.read(1) for asking in running if asking.stdout is not None]
    statuses: list[int] = []
    old = pids(place)
    server.send_signal(signal.SIGUSR2)
    while not (statuses and events(place, "workers.rolled")):
        statuses += ask_many(place, 16)
    assert set(statuses) == {200}
    assert [(one + asking.communicate(timeout=60)[0]).decode().strip() for one, asking in zip(first, running, strict=True)] == [
        words
    ] * 2
    assert len(set(pids(place)) - set(old)) == 2
    assert not [pid for pid in old if is_alive(pid)]
    wait_for(lambda: len(outcomes(place)) == min(1000, before + len(statuses) + 2))


def test_one_that_dies_comes_back_and_the_other_goes_on(place: Place) -> None:
    killed, before, deaths = pids(place)[-1], len(pids(place)), len(events(place, "worker.died"))
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: len(events(place, "worker.died")) > deaths)
    assert ask_many(place, 20) == [200] * 20
    wait_for(lambda: len(pids(place)) == before + 1)
    assert ask_many(place, 20) == [200] * 20
    (died,) = events(place, "worker.died")[deaths:]
    assert (died["exit"], died["pid"]) == (-signal.SIGKILL, killed)


def test_all_follow_the_file_and_a_new_worker_starts_by_the_last_good_one(place: Place, server: subprocess.Popen[bytes]) -> None:
    def versions() -> set[str]:
        return {json.loads(place.until_serving(server, "/readyz"))["policy_version"] for _ in range(12)}

    before, count = versions(), len(pids(place))
    write(place, BOX)
    server.send_signal(signal.SIGHUP)
    wait_for(lambda: bool(events(place, "workers.follow")))
    assert len(events(place, "config.reloaded")) == 1, "the parent says it, for all"
    good = versions()
    assert len(good) == 1
    assert good != before
    write(place, "[[nonsense]]\n")
    wait_for(lambda: bool(events(place, "config.refused")))
    os.kill(pids(place)[-1], signal.SIGKILL)
    wait_for(lambda: len(pids(place)) == count + 1)
    assert versions() == good
    assert len(events(place, "config.refused")) == 1, "three of them read it"
    write(place, "")


def test_a_second_signal_cuts_what_runs(tmp_path: Path) -> None:
    place = Place(tmp_path)
    write(place, "")
    server = place.start("serve", "--demo")
    place.until_serving(server)
    asking = place.start("ask", "--model", "fake", f"[[fake: say={'a ' * 2000}]][[fake: slow=40ms]]")
    assert asking.stdout is not None
    asking.stdout.read(1)
    server.send_signal(signal.SIGTERM)
    wait_for(lambda: refuses(place.port))
    began_s = time.monotonic()
    server.send_signal(signal.SIGTERM)
    assert b"broke off" in asking.communicate(timeout=60)[1]
    assert end_impatiently(server) == 0
    assert time.monotonic() - began_s < 25, "the drain would have taken 30 s, the answer 80 s"
    assert outcomes(place) == ["cut"]


def test_one_that_is_killed_before_it_serves_is_replaced_like_any(tmp_path: Path) -> None:
    place = Place(tmp_path)
    write(place, "")
    with (tmp_path / "log").open("wb") as err:
        server = place.start("serve", "--demo", stderr=err)
    wait_for(lambda: bool(psutil.Process(server.pid).children()))
    psutil.Process(server.pid).children()[0].kill()
    wait_for(lambda: any("workers" in told for told in events(place, "server.started")) or server.poll() is not None)
    assert (len(pids(place)), len(events(place, "worker.died"))) == (2, 1)
    assert ask_many(place, 8) == [200] * 8
    assert end(server)[0] == 0


def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    place = Place(tmp_path)
    write(place, "")
    with (place.folder / "log").open("wb") as err:
        server = place.start("serve", "--demo", stderr=err)
    wait_for(lambda: len(events(place, "worker.serves")) == 2)
    server.kill()
    server.communicate()
    wait_for(lambda: not any(map(is_alive, pids(place))))


@pytest.mark.engine
def test_engines_belong_to_the_parent_and_both_workers_reach_them(home_with_weights: Path, tmp_path: Path) -> None:
    place = Place(tmp_path, FREEHOLD_HOME=str(home_with_weights))
    place.config.write_text(f"[server]\nport = {place.port}\nworkers = 2\n[log]\nformat = 'json'\n[discovery]\nlocal = false\n")
    with (tmp_path / "log").open("wb") as err:
        server = place.start("serve", stderr=err)
    try:
        wait_for(lambda: len(pids(place)) == 2)
        with contextlib.ExitStack() as closing:
            workers = one_of_each(place, closing)
            assert len({json.dumps(ready_runtimes(one)) for one in workers}) == 1
            engines = {told["engine"]: told["pid"] for told in events(place, "engine.ready")}
            assert len(events(place, "engine.ready")) == len(engines) == 2, "text and embeddings, once each"
            for one in workers:
                answers(one, "hello")
            os.kill(engines["embedded"], signal.SIGKILL)
            wait_for(lambda: len(events(place, "engine.ready")) == 3)
            for one in workers:
                ready_runtimes(one)
                answers(one, "hello again")
        assert end(server)[0] == 0
        assert not [told["pid"] for told in events(place, "engine.ready") if is_alive(told["pid"])]
    finally:
        if server.poll() is None:
            end(server)


def one_of_each(place: Place, closing: contextlib.ExitStack) -> list[Pinned]:
    """A connection to each worker."""
    found: dict[int, Pinned] = {}

    def have_all() -> bool:
        one = Pinned(place, pids(place))
        closing.callback(one.close)
        found[one.worker] = one
        return found.keys() == set(pids(place))

    wait_for(have_all)
    return list(found.values())


def ready_runtimes(worker: Pinned) -> Any:
    """As this worker knows them, once they are ready as far as it knows."""
    found: list[Any] = []

    def are_ready() -> bool:
        found.append(json.loads(worker.get("/readyz")[1])["runtimes"])
        return {one["status"] for one in found[-1]} == {"ready"}

    wait_for(are_ready)
    return found[-1]


def answers(worker: Pinned, words: str) -> None:
    body = {"model": "auto", "max_tokens": 8, "messages": [{"role": "user", "content": words}]}
    answer = worker.post("/v1/chat/completions", body)
    said = answer.read()
    assert answer.status == 200, said


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return True
    return False
