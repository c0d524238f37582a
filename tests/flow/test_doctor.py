"""`freehold doctor` and the banner as a person meets them: real processes in front of scripted and real engines."""

import asyncio
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support import engines
from support.engines import Engine, listed
from support.place import Place, end

PATIENT = "from freehold.cli import main, serving; serving.FIRST_LOOK_S = 60; main()"
"""`freehold`, whose banner waits for what is on this machine for however long a busy one takes to find it."""
CHUNKS = [
    {"index": 0, "delta": {"role": "assistant", "content": "one"}, "finish_reason": None},
    {"index": 0, "delta": {"content": " two"}, "finish_reason": None},
    {"index": 0, "delta": {}, "finish_reason": "stop"},
]


async def streams(writer: asyncio.StreamWriter) -> None:
    events = [
        b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"small","choices":['
        + engines.json.dumps(choice).encode()
        + b"]}\n\n"
        for choice in CHUNKS
    ]
    body = b"".join(events) + b"data: [DONE]\n\n"
    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()


VLLM = engines.VLLM | {"/v1/models": listed("vllm", "small", max_model_len=4096), "/v1/chat/completions": streams}


@contextmanager
def in_thread(*answers: dict[str, Any]) -> Iterator[list[Engine]]:
    """Engines on a loop of their own, since the test waits for processes."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    running = [Engine(dict(one)) for one in answers]
    try:
        for engine in running:
            asyncio.run_coroutine_threadsafe(engine.start(), loop).result(10)
        yield running
    finally:
        for engine in running:
            asyncio.run_coroutine_threadsafe(engine.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def place_with(folder: Path, *ports: int, more: str = "") -> Place:
    place = Place(folder)
    place.config.write_text(f"{place.config.read_text()}[discovery]\nports = {list(ports)}\n{more}")
    return place


def test_doctor_times_what_answers_and_names_what_does_not_count(tmp_path: Path) -> None:
    with in_thread(VLLM, engines.LITELLM, engines.OLLAMA | {"/api/chat": (500, {"error": "no room"})}) as (vllm, litellm, ollama):
        place = place_with(tmp_path, vllm.port, litellm.port, ollama.port)
        report = place.json("doctor")
        assert report["serves"] is True
        trials = {trial["deployment"]: trial for trial in report["trials"]}
        answered = trials[f"vllm-{vllm.port}/small"]
        assert answered["fault"] is None
        assert 0 < answered["first_token_s"] <= answered["total_s"] < 10
        assert "no room" in trials[f"ollama-{ollama.port}/qwen3:4b"]["fault"]
        assert set(report["weights"].values()) == {False}
        assert report["machine"]["cores"] >= 1
        seen = {one["port"]: one for one in report["sightings"]}
        assert (seen[litellm.port]["kind"], seen[litellm.port]["name"]) == ("relay", "LiteLLM")
        words = place.run("doctor")
        assert "something serves" in words
        assert re.search(rf"\n  failed    ollama-{ollama.port}/qwen3:4b: .*no room", words), "a reason is no cell of a table"
        assert "not used" in words
        assert "gpt-oss:120b-cloud" in words
        assert "/v1/chat/completions" not in litellm.asked


def test_doctor_says_that_nothing_serves_and_why_a_file_cannot(tmp_path: Path) -> None:
    place = place_with(tmp_path, more="local = false\n")
    assert place.json("doctor", code=1)["serves"] is False
    place.run("doctor", code=1)
    place.config.write_text('[[rules]]\nname = "r"\ntry = ["nowhere"]\n')
    report = place.json("doctor", code=2)
    assert [problem["path"] for problem in report["problems"]] == ["rules[0].try[0]"]


def test_doctor_never_tries_what_is_not_on_this_machine(tmp_path: Path) -> None:
    place = place_with(tmp_path, more="local = false\n")
    place.environ["OPENAI_API_KEY"] = "sk-0123456789abcdefghij"
    report = place.json("doctor")
    assert report["trials"] == []
    assert "openai/gpt-5.5 (vendor)" in report["not_tried"]
    assert "sk-0123456789abcdefghij" not in place.run("doctor")


def test_the_banner_names_what_was_found_and_what_is_not_used(tmp_path: Path) -> None:
    with in_thread(VLLM, engines.LITELLM) as (vllm, litellm):
        place = place_with(tmp_path, vllm.port, litellm.port)
        place.environ |= {"OPENAI_API_KEY": "sk-0123456789abcdefghij", "ANTHROPIC_API_KEY": "any"}
        command = [sys.executable, "-c", PATIENT, "serve"]
        pipes: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "bufsize": 0}
        server = subprocess.Popen(command, cwd=place.folder, env=place.environ, **pipes)
        place.until_serving(server)
        said = b""
        while b"ANTHROPIC_API_KEY" not in said:  # the last line
            line = server.stdout.readline()
            assert line, said
            said += line
        assert place.json("runtimes")["runtimes"][-1]["state"] == "found"
        code, rest, err = end(server, signal.SIGTERM)
    out = said.decode() + rest
    assert code == 0
    assert re.search(rf"local +vllm-{vllm.port}: found http://127\.0\.0\.1:{vllm.port}/v1", out)
    assert f"vllm-{vllm.port}/small  4096 tokens" in out
    assert re.search(r"vendor +openai: found https://api\.openai\.com/v1, key from OPENAI_API_KEY", out)
    assert f"http://127.0.0.1:{litellm.port}: LiteLLM passes requests on" in out
    assert "ANTHROPIC_API_KEY is set and not used" in out
    assert "sk-0123456789" not in out + err
    assert "discovery.found" in err
