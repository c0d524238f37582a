"""`freehold serve --fence` by real processes: it serves, and nothing outside can be reached from inside."""

import asyncio
import http.client
import json
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from freehold.gateways.fake import FakeRuntime
from support.gateway import base_url, deployment_toml, runtime_toml
from support.kernel import REFUSED, makes_namespaces
from support.place import COMMAND, Place, end, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")


if not makes_namespaces("-Urn"):
    pytestmark = pytest.mark.skip(reason=f"{REFUSED} network namespaces (unshare -Urn): the fence")


def namespace(pid: int | str, kind: str) -> str:
    return str(Path(f"/proc/{pid}/ns/{kind}").readlink())


def routes(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/net/route").read_text().splitlines()[1:]


def ask(place: Place, model: str) -> tuple[int, Any]:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 16, "temperature": 0})
    with closing(http.client.HTTPConnection("127.0.0.1", place.port, timeout=30)) as asking:
        asking.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        answer = asking.getresponse()
        return answer.status, json.loads(answer.read())


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_request_is_served_through_the_fence_and_the_hosts_loopback_is_out_of_reach(
    tmp_path: Path, fake: FakeRuntime, workers: int
) -> None:
    place = Place(tmp_path)
    place.config.write_text(
        f"[server]\nport = {place.port}\nworkers = {workers}\n[defaults]\nembedded = false\n"
        + runtime_toml("outside", "local", base_url(fake))
        + deployment_toml("outside", "beyond", "fake-chat")
    )
    server = place.start("serve", "--fence", "--demo")
    try:
        place.until_serving(server)
        status, served = await asyncio.to_thread(ask, place, "fake")
        assert status == 200, served
        assert "hello" in served["choices"][0]["message"]["content"]

        status, _ = await asyncio.to_thread(ask, place, "beyond")
        assert status >= 500
        assert fake.accepted == 0, "this process's own loopback is another one"

        assert namespace(server.pid, "net") != namespace("self", "net")
        assert not routes(server.pid), "no route leads anywhere"
        assert namespace(server.pid, "user") != namespace("self", "user"), "it has no rights outside"
    finally:
        code, out, err = end(server)
    assert code == 0, err
    assert "nothing goes further than local" in out or workers == 2
    assert "fence.stands" in err
    assert "outside" in err, "what cannot be reached is said"


def test_where_the_kernel_does_not_allow_it_nothing_is_served_and_the_reason_is_said(tmp_path: Path) -> None:
    """In a user namespace that may not make others: the limits of user_namespaces(7) count per namespace."""
    place = Place(tmp_path)
    closed = "echo 0 > /proc/sys/user/max_user_namespaces && exec " + " ".join([*COMMAND, "serve", "--fence", "--demo"])
    ran = subprocess.run(
        ["unshare", "-Ur", "sh", "-c", closed],
        cwd=place.folder,
        env=place.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1
    assert "there is no fence on this machine" in ran.stderr
    assert "max_user_namespaces" in ran.stderr
    assert "serves on" not in ran.stdout


def test_an_address_that_is_taken_is_said_before_anything_is_fenced(tmp_path: Path) -> None:
    place = Place(tmp_path)
    server = place.start("serve", "--demo")
    try:
        place.until_serving(server)
        assert f"{place.port} is in use" in place.run("serve", "--fence", code=1)
    finally:
        end(server, signal.SIGTERM)


@pytest.mark.engine
def test_the_engines_that_freehold_starts_answer_inside_the_fence(home_with_weights: Path) -> None:
    place = Place(home_with_weights)
    place.config.write_text(f"[server]\nport = {place.port}\n")
    place.environ["FREEHOLD_HOME"] = str(home_with_weights)
    server = place.start("serve", "--fence")
    try:
        wait_for(lambda: b'"name":"embedded","egress":"local","status":"ready"' in place.until_serving(server, "/readyz"))
        status, served = ask(place, "auto")
        assert status == 200, served
        assert served["choices"][0]["message"]["content"]
    finally:
        assert end(server)[0] == 0
