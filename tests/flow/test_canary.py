"""No secret and no prompt in logs, ledger, process list, errors of ours or any file: looked for as bytes, at debug level.

A real process is asked everything it serves, with marked prompts, answers, keys and files, and things go wrong in every way a
runtime or a client can make them. Then every place is searched. The control: the marks did go through, and a ledger that had
one would be found.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from freehold.gateways.fake import Act, FakeRuntime
from freehold.gateways.fake.script import Called
from support.gateway import NO_ENGINE, base_url, deployment_toml, runtime_toml
from support.place import Place, end

PROMPT, ANSWER = "canary-prompt-7f3a91", "canary-answer-52c8e0"
OWN_KEY, UPSTREAM_KEY, WRONG_KEY = "canary-own-key-d04b", "canary-upstream-key-e71c", "canary-wrong-key-93fa"
MARKS = (PROMPT, ANSWER, OWN_KEY, UPSTREAM_KEY, WRONG_KEY)
MEDIA = "{ chat = false, image_generation = true, transcription = true, speech = true, moderation = true, rerank = true }"
TOOL = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "integer"}}}},
}


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "auto", "messages": [{"role": "user", "content": text}], **more}


def requests() -> Iterator[tuple[str, Any]]:
    """Every API, whole and streamed, with marked text in every place for text."""
    for stream in (False, True):
        yield "/v1/chat/completions", chat(PROMPT, stream=stream, user="somebody", metadata={"a": PROMPT})
        yield "/v1/chat/completions", chat(PROMPT, stream=stream, tools=[TOOL], response_format={"type": "json_object"})
        yield "/v1/messages", {**chat(PROMPT, stream=stream), "max_tokens": 50, "system": PROMPT}
        yield "/v1/responses", {"model": "auto", "input": PROMPT, "instructions": PROMPT, "stream": stream}
        yield "/v1/completions", {"model": "auto", "prompt": PROMPT, "stream": stream}
        yield "/api/chat", chat(PROMPT, stream=stream)
        yield "/api/generate", {"model": "auto", "prompt": PROMPT, "stream": stream}
    yield "/v1/messages/count_tokens", chat(PROMPT)
    yield "/v1/embeddings", {"model": "embed", "input": [PROMPT, PROMPT]}
    yield "/api/embed", {"model": "embed", "input": PROMPT}
    yield "/v1/images/generations", {"model": "media", "prompt": PROMPT}
    yield "/v1/audio/speech", {"model": "media", "input": PROMPT, "voice": "alloy"}
    yield "/v1/moderations", {"model": "media", "input": PROMPT}
    yield "/v1/rerank", {"model": "media", "query": PROMPT, "documents": [PROMPT]}


def wrong_requests() -> Iterator[tuple[str, bytes]]:
    """Bodies that cannot be understood, each with a mark where it is wrong."""
    for path in ("/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/completions", "/api/chat", "/v1/embeddings"):
        yield path, f'{{"model": "auto", "messages": "{PROMPT}'.encode()
        yield path, f'{{"model": "auto", "{PROMPT}": "\xff"'.encode("latin-1")
        for wrong in (
            {"messages": PROMPT, "input": {PROMPT: PROMPT}, "prompt": {PROMPT: 1}},
            {"messages": [{"role": PROMPT, "content": PROMPT}], "input": [[PROMPT]], "max_tokens": PROMPT},
            {
                "messages": [{"role": "user", "content": [{"type": PROMPT, "text": PROMPT}]}],
                "input": [{"type": "odd", "text": PROMPT}],
            },
            {**chat(PROMPT), "tools": [{"type": PROMPT}], "tool_choice": PROMPT, "max_tokens": -1},
            {**chat(PROMPT), "response_format": {"type": PROMPT}, "reasoning_effort": PROMPT, "stop": {PROMPT: 1}},
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"ftp://{PROMPT}"}}]}]},
        ):
            yield path, json.dumps({"model": "auto", **wrong}).encode()


def told(status: int) -> bytes:
    """An error that quotes what it was asked, and the key it was asked with, as some vendors do."""
    said = f"Incorrect value {PROMPT!r} in messages[0].content; key {UPSTREAM_KEY} said {ANSWER}"
    body = json.dumps({"error": {"message": said, "type": "invalid_request_error", "code": PROMPT, "param": PROMPT}}).encode()
    return b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body


TROUBLES: dict[str, Act] = {
    **{f"status {status}": Act(raw=told(status)) for status in (400, 401, 403, 404, 413, 422, 429, 500, 503, 529)},
    "error event": Act(error_event="first", say=ANSWER),
    "error event amid": Act(error_event="mid", say=ANSWER),
    "cut": Act(cut="mid", say=ANSWER),
    "page": Act(raw=f"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 20\r\n\r\n{ANSWER}".encode()),
    "no http": Act(raw=ANSWER.encode() + b"\r\n\r\n"),
    "bad head": Act(raw=f"HTTP/1.1 200 OK\r\n{ANSWER}\x00: {ANSWER}\r\n\r\n".encode()),
    "no json": Act(raw=f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{ANSWER}".encode()),
    "redirect": Act(raw=f"HTTP/1.1 307 X\r\nlocation: http://{ANSWER}/\r\ncontent-length: 0\r\n\r\n".encode()),
    "bad arguments": Act(tools=(Called("look", json.dumps({"at": ANSWER})), Called(ANSWER, "{}"), Called("look", ANSWER))),
    "bad json": Act(say=f"{{ {ANSWER}"),
    "refusal": Act(refuse=True),
    "truncated": Act(truncate=True, say=f"{ANSWER} {ANSWER}"),
}


class Asked:
    """The running server, and what it told of itself."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{place.port}", timeout=60, trust_env=False, headers={"authorization": f"Bearer {OWN_KEY}"}
        )
        self.faults: list[bytes] = []
        """Bodies of answers that are faults of this server's own."""
        self.statuses: list[int] = []

    async def post(self, path: str, body: bytes, **headers: str) -> httpx.Response:
        answer = await self.client.post(path, content=body, headers={"content-type": "application/json", **headers})
        self.statuses.append(answer.status_code)
        return answer


@pytest.fixture
async def runtime() -> AsyncIterator[FakeRuntime]:
    runtime = FakeRuntime(script=lambda _: runtime_act[0])
    runtime_act[0] = Act(say=ANSWER)
    await runtime.start()
    yield runtime
    await runtime.stop()


runtime_act = [Act()]


def config(place: Place, runtime: FakeRuntime) -> str:
    return "\n".join(
        [
            (
                f'[server]\nport = {place.port}\napi_key = "env:OWN_KEY"\n[log]\nlevel = "debug"\nformat = "json"\n'
                "[discovery]\nlocal = false\n"
            ),
            NO_ENGINE,
            runtime_toml("cloud", "vendor", base_url(runtime), api_key='"env:UPSTREAM_KEY"'),
            runtime_toml(
                "team", "self_hosted", base_url(runtime), formats='["anthropic_messages"]', api_key='"env:UPSTREAM_KEY"'
            ),
            deployment_toml("cloud", "m", "m"),
            deployment_toml("team", "m", "m"),
            deployment_toml("cloud", "embed", "fake-embed", abilities="{ embeddings = true, chat = false }"),
            deployment_toml("cloud", "media", "fake-media", abilities=MEDIA),
            (
                '[aliases]\nauto = ["cloud/m", "team/m"]\n[[rules]]\nname = "r"\ntry = ["vendor", "self_hosted"]\ncache = { ttl_s = 60 }\n'
                'escalate = { on = ["empty", "refusal", "truncated", "invalid_json", "invalid_tool_arguments", "repeats"], to = '
                '["self_hosted"], hold = "tools" }'
            ),
        ]
    )


async def ask_everything(asked: Asked, runtime: FakeRuntime) -> None:
    for path, body in requests():
        await asked.post(path, json.dumps(body).encode())
    form = {"model": "media", "prompt": PROMPT}
    await asked.client.post(
        "/v1/audio/transcriptions", data=form, files={"file": (f"{PROMPT}.wav", PROMPT.encode(), "audio/wav")}
    )
    for path, wrong in wrong_requests():
        answer = await asked.post(path, wrong)
        if answer.status_code >= 400:
            asked.faults.append(answer.content)
    for headers in (
        {"authorization": f"Bearer {WRONG_KEY}"},
        {"x-api-key": WRONG_KEY},
        {"x-freehold-ceiling": PROMPT},
        {"x-freehold-label": PROMPT},
        {"x-freehold-dataset": PROMPT},
        {"x-freehold-timeout-s": PROMPT},
        {"content-encoding": PROMPT},
        {"host": f"{PROMPT}.example"},
        {"origin": f"http://{PROMPT}.example"},
    ):
        answer = await asked.post("/v1/chat/completions", json.dumps(chat("x")).encode(), **headers)
        if answer.status_code >= 400:
            asked.faults.append(answer.content)
    for path in (
        f"/v1/{PROMPT}",
        f"/v1/files/{PROMPT}",
        f"/v1/batches/{PROMPT}",
        f"/v1/responses/{PROMPT}",
        f"/healthz?{PROMPT}",
    ):
        await asked.client.get(path)
    for trouble, stream, path in itertools.product(
        TROUBLES, (False, True), ("/v1/chat/completions", "/v1/messages", "/v1/responses")
    ):
        runtime_act[0] = TROUBLES[trouble]
        body = (
            {"model": "auto", "stream": stream, "input": PROMPT}
            if path.endswith("responses")
            else chat(PROMPT, stream=stream, tools=[TOOL], max_tokens=50)
        )
        if path != "/v1/chat/completions":
            body.pop("tools", None)
        await asked.post(path, json.dumps(body).encode())
    runtime_act[0] = Act(say=ANSWER)


def process_list() -> bytes:
    """Every command line but our own."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        if path.parent.name != str(os.getpid()):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                found.append(path.read_bytes())
    return b"\n".join(found)


def hits(where: str, text: bytes) -> list[str]:
    """Marks in it, as they are or encoded as a header or a JSON document would."""
    spelled = {mark: (mark.encode(), base64.b64encode(mark.encode())[:-4], mark.encode().hex().encode()) for mark in MARKS}
    return [f"{mark} in {where}" for mark, forms in spelled.items() if any(form in text for form in forms)]


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
async def test_nothing_marked_is_anywhere(tmp_path: Path, runtime: FakeRuntime) -> None:
    place = Place(tmp_path, OWN_KEY=OWN_KEY, UPSTREAM_KEY=UPSTREAM_KEY)
    place.config.write_text(config(place, runtime))
    log = tmp_path / "log.txt"
    with log.open("wb") as out:
        server = place.start("serve", stderr=out, stdout=out)
        asked = Asked(place)
        try:
            await asyncio.to_thread(place.until_serving, server)
            await ask_everything(asked, runtime)
            told_of_itself = [
                (await asked.client.get(path)).content for path in ("/healthz", "/readyz", "/openapi.json", "/v1/models")
            ]
            listed = process_list()
        finally:
            await asked.client.aclose()
            await asyncio.to_thread(end, server)
    shown = [
        await asyncio.to_thread(place.run, *words)
        for words in (("log", "-n", "1000", "--json"), ("log", "-n", "1000"), ("explain", "--json"), ("audit",))
    ]
    found = [
        *hits("log", log.read_bytes()),
        *hits("process list", listed),
        *itertools.chain.from_iterable(hits(f"own fault {body[:300]!r}", body) for body in asked.faults),
        *itertools.chain.from_iterable(hits("what it tells of itself", body) for body in told_of_itself),
        *itertools.chain.from_iterable(hits("command line", text.encode()) for text in shown),
        *itertools.chain.from_iterable(
            hits(str(path.relative_to(tmp_path)), path.read_bytes()) for path in (tmp_path / "data").rglob("*") if path.is_file()
        ),
    ]
    assert found == [], "\n".join(found)
    sent = b"".join(received.body for received in runtime.journal)
    assert PROMPT.encode() in sent, "the marks went through"
    assert any(UPSTREAM_KEY in str(received.headers) for received in runtime.journal)
    assert {200, 400, 401, 403} <= set(asked.statuses)
    assert b"server.started" in log.read_bytes()
    assert len(runtime.journal) > 60


def test_a_mark_would_be_found() -> None:
    assert hits("x", f"... {PROMPT} ...".encode())
    assert hits("x", base64.b64encode(f"{OWN_KEY}".encode()))
    assert not hits("x", b"nothing here")
