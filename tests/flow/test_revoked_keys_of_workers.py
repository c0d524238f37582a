"""A key that is revoked elsewhere opens nothing in any worker within the time that the documentation says; what runs, runs on."""

import contextlib
import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.pinned import Pinned
from support.place import Place, end, wait_for

HOLDS_WITHIN_S = 2.0
"""docs/keys.md."""
SLACK_S = 10.0
"""Of a machine whose cores are busy: a process may be kept waiting for longer than it promises."""
WORKERS = 2
OWN = "the-servers-own-key"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path, KEY=OWN)
    place.config.write_text(
        f'[server]\nport = {place.port}\nworkers = {WORKERS}\ndrain_s = 1\napi_key = "env:KEY"\n'
        "[log]\nformat = 'json'\n[defaults]\nembedded = false\n[discovery]\nlocal = false\n"
    )
    return place


@pytest.fixture
def workers(place: Place) -> Iterator[list[int]]:
    """Their process ids, once both serve."""
    with (place.folder / "log").open("wb") as err:
        server = place.start("serve", "--demo", stderr=err)
    wait_for(lambda: len(serving(place)) == WORKERS)
    yield serving(place)
    assert end(server)[0] == 0


def serving(place: Place) -> list[int]:
    lines = (place.folder / "log").read_text().rpartition("\n")[0].splitlines()
    return [told["pid"] for told in map(json.loads, lines) if told["event"] == "worker.serves"]


class Client(Pinned):
    """Asks with a virtual key."""

    def __init__(self, place: Place, key: str, pids: list[int]) -> None:
        super().__init__(place, pids, {"authorization": f"Bearer {key}"})

    def is_let_in(self) -> bool:
        """Its worker may not have heard of the key yet."""
        return self.status() == 200

    def status(self) -> int:
        return self.get("/v1/models")[0]

    def stream(self, words: str) -> http.client.HTTPResponse:
        """An answer that comes a word at a time."""
        answer = self.post(
            "/v1/chat/completions", {"model": "fake", "stream": True, "messages": [{"role": "user", "content": words}]}
        )
        assert answer.status == 200, answer.read()
        return answer


def clients_at_both(place: Place, key: str, pids: list[int]) -> list[Client]:
    """One of each worker, and the rest."""
    found: list[Client] = []
    wait_for(lambda: found.append(Client(place, key, pids)) is None and {one.worker for one in found} == set(pids))
    return found


def test_a_key_revoked_by_the_command_or_by_one_worker_opens_nothing_in_any_worker_and_streams_run_on(
    place: Place, workers: list[int]
) -> None:
    for way in ("command", "http"):
        key = place.json("key", "create", way)["key"]
        with contextlib.ExitStack() as closing:
            clients = clients_at_both(place, key, workers)
            for one in clients:
                closing.callback(one.close)
            running = Client(place, key, workers)
            closing.callback(running.close)
            stream = running.stream(f"[[fake: say={'word ' * 60}]][[fake: slow=50ms]]")
            assert stream.readline()
            revoke(place, way)
            revoked_s = time.monotonic()
            first = {one.worker: one for one in clients}
            for one in first.values():
                while one.status() == 200:
                    assert time.monotonic() - revoked_s < HOLDS_WITHIN_S + SLACK_S
                    time.sleep(0.02)
            assert {one.status() for one in clients} == {401}, "no worker opens again"
            said = stream.read().decode()
            assert said.count("word") == 60, "a stream that has begun goes on to its end"
            assert said.rstrip().endswith("data: [DONE]")
            assert running.status() == 401, "and its connection asks nothing more"


def revoke(place: Place, name: str) -> None:
    if name == "command":
        assert place.json("key", "revoke", name) == {"revoked": [name]}
        return
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=60)
    with contextlib.closing(connection):
        connection.request("DELETE", f"/admin/keys/{name}", headers={"authorization": f"Bearer {OWN}"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
