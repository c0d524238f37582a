"""The bench's tools in every wire format: what the mock sends is well formed, and nothing but a whole reply is counted."""

import http.client
import json
import shutil
import socketserver
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from support import ollama_schema, openai_schema
from support.bench import BENCH, FORMATS, bench_module, load, tally

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None or sys.platform != "linux", reason="the bench's tools need a C compiler and Linux"
)
PATHS = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "openai_completions": "/v1/completions",
    "anthropic_messages": "/v1/messages",
    "ollama": "/api/chat",
}


def ask(port: int, format_name: str, body: bytes) -> tuple[str, bytes]:
    """Content type and body of a mock's reply."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", PATHS[format_name], body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        assert reply.status == 200
        return reply.headers["Content-Type"], reply.read()
    finally:
        connection.close()


def events(body: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {")]


def test_the_mocks_newer_replies_fit_the_published_schemas(mock_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = bench_module("bodies", monkeypatch)

    def reply(format_name: str, kind: str) -> bytes:
        return ask(mock_port, format_name, bodies.body("1k", format_name, f"mock-{kind}", stream=kind != "whole"))[1]

    assert openai_schema.complaints("Response", json.loads(reply("openai_responses", "whole"))) == []
    assert openai_schema.complaints("CreateCompletionResponse", json.loads(reply("openai_completions", "whole"))) == []
    told = events(reply("openai_responses", "burst"))
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    for event in [*told[:5], *told[-4:]]:
        assert openai_schema.complaints("ResponseStreamEvent", event) == []
    for event in events(reply("openai_completions", "burst")):
        for choice in event["choices"]:
            choice["finish_reason"] = choice["finish_reason"] or "stop"  # the schema is of whole answers
        assert openai_schema.complaints("CreateCompletionResponse", event) == []
    ollama_schema.fits("ChatResponse", json.loads(reply("ollama", "whole")))
    for line in reply("ollama", "burst").splitlines():
        ollama_schema.fits("ChatStreamEvent", json.loads(line))


def test_streams_are_as_long_as_the_page_says(mock_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = bench_module("bodies", monkeypatch)
    page = (BENCH.parent / "docs" / "performance.md").read_text("utf-8")
    said = "a stream of 50 words is about 9 KB in Chat Completions and Completions, 7 KB in Messages and in Ollama's lines, and 14 KB in Responses"
    assert said in " ".join(page.split())
    told_kb = {"openai_chat": 9, "openai_completions": 9, "anthropic_messages": 7, "ollama": 7, "openai_responses": 14}
    for format_name, size_kb in told_kb.items():
        body = ask(mock_port, format_name, bodies.body("1k", format_name, "mock-burst", stream=True))[1]
        assert round(len(body) / 1000) == size_kb, format_name


@contextmanager
def always_answering(answer: bytes) -> Iterator[int]:
    """A server that gives every request the same bytes, and closes."""

    class Answering(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            length = 0
            while (line := self.rfile.readline()).strip():
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            self.rfile.read(length)
            self.wfile.write(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answering) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def answer_of(content_type: str, body: bytes, *, piece: int = 1 << 20, ends: bool = True) -> bytes:
    """A chunked HTTP response, its body in chunks of `piece` bytes; `ends`: the last chunk is there."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    pieces = [body[at : at + piece] for at in range(0, len(body), piece)]
    return head + b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in pieces) + (b"0\r\n\r\n" if ends else b"")


def counted(tools: Path, folder: Path, format_name: str, answer: bytes, *, stream: bool) -> dict[str, Any]:
    body = folder / "any.json"
    body.write_bytes(b"{}")
    options = ["--format", format_name, "--requests", "2", "--connections", "1", *(["--stream"] if stream else [])]
    with always_answering(answer) as port:
        return load(tools, port, body, *options)


def without_last_event(body: bytes) -> bytes:
    mark = b"\n" if b"\n\n" not in body else b"\n\n"
    return body[: body[: -len(mark)].rindex(mark) + len(mark)]


SPOILT: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a word lost": (lambda body: body.replace(b" uiu17", b"", 1), "not all words"),
    "a word said twice": (lambda body: body.replace(b" uiu17", b" uiu17 uiu17", 1), "not all words"),
    "words out of order": (
        lambda body: body.replace(b"uiu17", b"uiu--", 1).replace(b"uiu18", b"uiu17", 1).replace(b"uiu--", b"uiu18", 1),
        "words out of order",
    ),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("format_name", FORMATS)
def test_a_spoilt_reply_is_not_counted(
    tools: Path, mock_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_name: str, stream: bool
) -> None:
    asked = bench_module("bodies", monkeypatch).body("1k", format_name, "mock-burst" if stream else "mock-whole", stream=stream)
    content_type, body = ask(mock_port, format_name, asked)
    for name, (spoil, says) in SPOILT.items():
        assert spoil(body) != body, name
        said = counted(tools, tmp_path, format_name, answer_of(content_type, spoil(body)), stream=stream)
        assert (tally(said)[:2], says in said["first_error"]) == ((0, 2), True), (name, said)
    said = counted(tools, tmp_path, format_name, answer_of("text/html", body), stream=stream)
    assert (said["wrong"], said["first_error"].partition(":")[0]) == (2, "wrong content type")
    said = counted(tools, tmp_path, format_name, answer_of(content_type, body, ends=False), stream=stream)
    assert (said["right"], said["broken"]) == (0, 2)
    if stream:
        said = counted(tools, tmp_path, format_name, answer_of(content_type, without_last_event(body)), stream=True)
        assert said["wrong"] == 2
        assert said["first_error"].partition(":")[0] in {"no closing event", "not all words"}
    other = "anthropic_messages" if format_name != "anthropic_messages" else "openai_chat"
    assert counted(tools, tmp_path, other, answer_of(content_type, body), stream=stream)["wrong"] == 2


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_reply_is_right_however_it_is_cut(
    tools: Path, mock_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_name: str
) -> None:
    bodies = bench_module("bodies", monkeypatch)
    for stream, piece in ((False, 1), (True, 1), (True, 3), (True, 7)):
        asked = bodies.body("1k", format_name, "mock-burst" if stream else "mock-whole", stream=stream)
        content_type, body = ask(mock_port, format_name, asked)
        said = counted(tools, tmp_path, format_name, answer_of(content_type, body, piece=piece), stream=stream)
        assert tally(said) == (2, 0, 0, 0, 0), (stream, piece, said)


def test_a_lane_is_measured_in_its_own_format(
    tools: Path, mock_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases, gateways = bench_module("cases", monkeypatch), bench_module("gateways", monkeypatch)
    monkeypatch.setattr(cases, "LOAD", tools / "load")
    lanes = {lane.format: lane for lane in gateways.format_lanes() if lane.name.endswith(", relay")}
    burst = next(case for case in cases.CASES if case.key == "burst")
    for format_name in FORMATS:
        sample = cases.measure(
            lanes[format_name], burst, port=mock_port, pid=None, core=0, state=tmp_path, round_number=0, rate=100,
            window_s=(0.0, 0.2),
        )  # fmt: skip
        assert (sample.errors, sample.unanswered, sample.per_s > 0) == (0, 0, True), sample


def modes(ledger: Path) -> dict[tuple[str, str], set[str]]:
    """By client's format and model of whole replies: how attempts were made, as the ledger says."""
    found: dict[tuple[str, str], set[str]] = {}
    query = """SELECT r.wire_format, r.asked_model, a.mode FROM requests r JOIN attempts a ON a.request_id = r.request_id
        WHERE r.asked_model LIKE '%whole' GROUP BY 1, 2, 3"""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        for wire_format, model, mode in connection.execute(query):
            found.setdefault((wire_format, model), set()).add(mode)
    return found


def test_every_lane_of_freehold_gives_whole_right_replies(
    tools: Path, mock_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateways, bodies = bench_module("gateways", monkeypatch), bench_module("bodies", monkeypatch)
    if (why := gateways.need_freehold()) is not None:
        pytest.skip(why)
    gateway = next(gateway for gateway in gateways.GATEWAYS if gateway.name == "freehold-formats")
    assert {lane.format for lane in gateway.lanes} == set(FORMATS)
    assert len(gateway.lanes) == 2 * len(FORMATS)
    body = tmp_path / "body.json"
    running = gateways.bring_up(gateway, mock_port, tmp_path / "gateway", (0,))
    try:
        for lane in gateway.lanes:
            for size, reply in (("1k", "whole"), ("100k", "whole"), ("1k", "burst"), ("1k", "paced")):
                stream = reply != "whole"
                body.write_bytes(bodies.body(size, lane.format, lane.model.format(reply), stream=stream, cold=True))
                options = ["--format", lane.format, "--path", lane.path, *(["--stream"] if stream else [])]
                said = load(tools, running.port, body, *options, "--requests", "4", "--connections", "2")
                assert tally(said) == (4, 0, 0, 0, 0), (lane.name, size, reply, said)
    finally:
        running.end()
    said = modes(tmp_path / "gateway" / "freehold.db")
    assert len(said) == len(gateway.lanes)
    for lane in gateway.lanes:
        assert said[lane.format, lane.model.format("whole")] == {"relay" if lane.name.endswith(", relay") else "translate"}
