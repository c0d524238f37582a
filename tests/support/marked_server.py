"""A server that is asked everything while its runtimes make trouble, and the search of all it wrote and told for marks."""

import asyncio
import contextlib
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from freehold.gateways.fake import Act, FakeRuntime
from freehold.gateways.fake.script import Called
from support.gateway import NO_ENGINE, base_url, deployment_toml, runtime_toml
from support.marked_requests import (
    ANSWER,
    LEFT,
    NAMED,
    ONCE,
    OWN_KEY,
    PROMPT,
    TOOL,
    UPSTREAM_KEY,
    WRONG_KEY,
    chat,
    hits,
    requests,
    wrong_requests,
)
from support.place import Place, end

FORMATS = ("openai_chat", "anthropic_messages", "openai_responses", "openai_completions", "ollama")
"""A runtime of each, asked by its name, with nothing to fall back to."""
EMBEDS = "{ embeddings = true, chat = false }"
MEDIA = "{ chat = false, image_generation = true, transcription = true, speech = true, moderation = true, rerank = true }"
OF_REQUESTS = (("log", "-n", "5000", "--json"), ("explain", "--json"), ("audit", "export"))
COMMANDS = (
    *OF_REQUESTS,
    ("log", "-n", "5000"),
    ("explain",),
    *((name, *form) for name in ("cost", "runtimes", "models", "doctor", "check") for form in ((), ("--json",))),
    ("budget", "list", "--json"),
)
OPEN = ("/healthz", "/readyz", "/openapi.json", "/v1/models", "/api/tags", "/api/ps", "/admin/keys")


def told(status: int) -> bytes:
    """An error that quotes what it was asked, and the key it was asked with, as some vendors do."""
    said = f"Incorrect value {PROMPT!r} in messages[0].content; key {UPSTREAM_KEY} said {ANSWER}"
    body = json.dumps({"error": {"message": said, "type": "invalid_request_error", "code": PROMPT, "param": PROMPT}}).encode()
    marked = "".join(
        f"{name}: {ANSWER}\r\n" for name in ("x-request-id", "request-id", "set-cookie", "retry-after", "www-authenticate")
    )
    head = f"HTTP/1.1 {status} {ANSWER}\r\ncontent-type: application/json\r\n{marked}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


ODD: list[dict[str, Any]] = [
    {"type": ANSWER, "object": ANSWER, "choices": [{"finish_reason": ANSWER, "index": 0, "message": {"role": ANSWER, "content": ANSWER}, "delta": {"role": ANSWER, "content": ANSWER}, "text": ANSWER}]},
    {"choices": {ANSWER: ANSWER}, "content": ANSWER, "output": ANSWER, "message": ANSWER, "usage": ANSWER},
    {"usage": {"prompt_tokens": ANSWER, ANSWER: ANSWER}, "choices": [{"index": ANSWER, "message": {"content": {ANSWER: 1}}, "delta": {"content": [ANSWER]}}]},
    {"type": "message", "role": ANSWER, "content": [{"type": ANSWER, ANSWER: ANSWER}], "stop_reason": ANSWER},
    {"type": "content_block_delta", "index": ANSWER, "delta": {"type": ANSWER, "text": ANSWER}},
    {"object": "response", "status": ANSWER, "output": [{"type": ANSWER, "content": [{"type": ANSWER, "text": ANSWER}]}]},
    {"type": "response.output_text.delta", "delta": {ANSWER: ANSWER}, "output_index": ANSWER},
    {"message": {"role": ANSWER, "content": [ANSWER], "tool_calls": ANSWER}, "done": ANSWER, "done_reason": ANSWER},
    {"error": ANSWER},
    {"error": {"message": ANSWER, "type": ANSWER, "code": ANSWER}},
    {"type": "error", "error": {"type": ANSWER, "message": ANSWER}},
    {"type": "response.failed", "response": {"status": "failed", "error": {"code": ANSWER, "message": ANSWER}}},
    {"detail": ANSWER},
    {ANSWER: ANSWER},
]  # fmt: skip
"""Replies that no format allows, with a mark wherever a name or a number should be."""


def odd(data: str, content_type: str) -> Act:
    """Any of them as a whole answer or as the events of a stream, whatever was asked for."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {len(data)}\r\n\r\n"
    return Act(raw=head.encode() + data.encode())


TROUBLES: dict[str, Act] = {
    **{f"odd reply {number}": odd(json.dumps(one), "application/json") for number, one in enumerate(ODD)},
    **{
        f"odd event {number}": odd(f"event: {ANSWER}\ndata: {json.dumps(one)}\n\n", "text/event-stream")
        for number, one in enumerate(ODD)
    },
    **{f"odd line {number}": odd(f"{json.dumps(one)}\n", "application/x-ndjson") for number, one in enumerate(ODD[7:10])},
    "odd bytes": odd(f'data: {{"{ANSWER}": "{ANSWER}\n\n', "text/event-stream"),
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


SINGLES: dict[str, dict[str, Any]] = {
    "/v1/embeddings": {"model": "embed", "input": PROMPT},
    "/api/embed": {"model": "embed", "input": PROMPT},
    "/v1/images/generations": {"model": "media", "prompt": PROMPT},
    "/v1/audio/speech": {"model": "media", "input": PROMPT, "voice": "alloy"},
    "/v1/moderations": {"model": "media", "input": PROMPT},
    "/v1/rerank": {"model": "media", "query": PROMPT, "documents": [PROMPT]},
    "/v1/messages/count_tokens": chat(PROMPT, model="anthropic_messages/m"),
}
ENDED = {"completed", "failed", "expired", "cancelled"}


class MarkedRuntime(FakeRuntime):
    """Answers every request with a mark, in the way it is told to."""

    def __init__(self) -> None:
        self.act = Act(say=ANSWER)
        super().__init__(script=lambda _: self.act)


class Asked:
    """The running server, and what it told of itself."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{place.port}", timeout=60, trust_env=False, headers={"authorization": f"Bearer {OWN_KEY}"}
        )
        self.faults: list[bytes] = []
        """Bodies of answers that are faults of this server's own."""
        self.headers: list[bytes] = []
        """Of every answer."""
        self.statuses: list[int] = []

    async def post(self, path: str, body: bytes, **headers: str) -> httpx.Response:
        async with self.client.stream(
            "POST", path, content=body, headers={"content-type": "application/json", **headers}
        ) as answer:
            with contextlib.suppress(httpx.RemoteProtocolError):  # audio that broke off breaks off
                await answer.aread()
        self.statuses.append(answer.status_code)
        self.headers.append(repr(answer.headers.raw).encode())
        return answer


def config(place: Place, runtime: FakeRuntime, log_format: str, shares: int) -> str:
    """`shares`: how many deployments share the troubles. Five in a row would open a breaker, and nothing would reach the runtime."""
    return "\n".join(
        [
            (
                f'[server]\nport = {place.port}\napi_key = "env:OWN_KEY"\n[log]\nlevel = "debug"\nformat = "{log_format}"\n'
                "[discovery]\nlocal = false\n"
            ),
            NO_ENGINE,
            runtime_toml("cloud", "vendor", base_url(runtime), api_key='"env:UPSTREAM_KEY"'),
            runtime_toml(
                "team", "self_hosted", base_url(runtime), formats='["anthropic_messages"]', api_key='"env:UPSTREAM_KEY"'
            ),
            *(
                runtime_toml(name, "vendor", base_url(runtime), formats=f'["{name}"]', api_key='"env:UPSTREAM_KEY"')
                for name in FORMATS
            ),
            *(deployment_toml(name, f"m{number}", "m") for name in (*FORMATS, "cloud", "team") for number in range(shares)),
            *(deployment_toml("cloud", f"embed{number}", "fake-embed", abilities=EMBEDS) for number in range(shares)),
            *(deployment_toml("cloud", f"media{number}", "fake-media", abilities=MEDIA) for number in range(shares)),
            deployment_toml("cloud", "m", "m"),
            deployment_toml("team", "m", "m"),
            deployment_toml("cloud", "embed", "fake-embed", abilities=EMBEDS),
            deployment_toml("cloud", "media", "fake-media", abilities=MEDIA),
            (
                '[aliases]\nauto = ["cloud/m", "team/m"]\n'
                + "".join(f'auto{number} = ["cloud/m{number}", "team/m{number}"]\n' for number in range(shares))
                + '[[rules]]\nname = "r"\ntry = ["vendor", "self_hosted"]\ncache = { ttl_s = 60 }\n'
                'escalate = { on = ["empty", "refusal", "truncated", "invalid_json", "invalid_tool_arguments", "repeats"], to = '
                '["self_hosted"], hold = "tools" }'
            ),
        ]
    )


async def ask_everything(asked: Asked, runtime: MarkedRuntime, *, is_whole: bool) -> None:
    """Every API, whole and streamed, and everything that can go wrong with it."""
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
        {"host": f"{NAMED}.example"},
        {"origin": f"http://{NAMED}.example"},
        {
            "user-agent": f"{PROMPT}/1.0",
            "cookie": f"a={PROMPT}",
            "referer": f"http://x/{PROMPT}",
            f"x-{PROMPT}": PROMPT,
            "x-own": PROMPT,
        },
        {"x-freehold-project": f"not a name: {PROMPT}"},
        {"x-freehold-session": f"{PROMPT}\t{PROMPT}"},
        {"traceparent": PROMPT, "baggage": PROMPT, "openai-organization": PROMPT, "anthropic-beta": PROMPT},
        {"accept": PROMPT, "expect": PROMPT},
        {"content-type": f"text/{PROMPT}"},
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
        f"/v1/models?key={PROMPT}",
        f"/v1/files?after={PROMPT}&limit={PROMPT}&purpose={PROMPT}",
        f"/v1/batches?after={PROMPT}",
        f"/admin/keys/{PROMPT}",
        f"/admin/budgets?{PROMPT}",
    ):
        answer = await asked.client.get(path)
        asked.headers.append(repr(answer.headers.raw).encode())
    await asked.post(f"/v1/chat/completions?key={PROMPT}", json.dumps(chat(PROMPT)).encode())
    for _ in range(2):  # the second is given what was kept of the first
        await asked.post("/v1/chat/completions", json.dumps(chat(PROMPT)).encode(), **{"idempotency-key": ONCE})
    assert (
        await asked.post("/v1/chat/completions", json.dumps(chat(f"not {PROMPT}")).encode(), **{"idempotency-key": ONCE})
    ).status_code == 422
    await leave_a_batch(asked)
    await meet_troubles(asked, runtime, is_whole=is_whole)


async def leave_a_batch(asked: Asked) -> None:
    """Files and a batch of one good line and one that cannot be served, and files that are none."""
    lines = [
        {"custom_id": f"a {LEFT}", "method": "POST", "url": "/v1/chat/completions", "body": chat(LEFT)},
        {
            "custom_id": f"b {LEFT}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "nothing", "messages": LEFT},
        },
    ]
    whole = "\n".join(map(json.dumps, lines)).encode()
    for name, data in ((f"{NAMED}.jsonl", whole), (f"{NAMED}.txt", f"no json {LEFT}".encode())):
        kept = await asked.client.post("/v1/files", data={"purpose": "batch"}, files={"file": (name, data, "application/jsonl")})
        made = await asked.client.post(
            "/v1/batches",
            json={
                "input_file_id": kept.json().get("id", LEFT),
                "endpoint": "/v1/chat/completions",
                "completion_window": "24h",
                "metadata": {"a": NAMED},
            },
        )
        if made.status_code == 200:
            async with asyncio.timeout(60):
                while (await asked.client.get(f"/v1/batches/{made.json()['id']}")).json()["status"] not in ENDED:  # noqa: ASYNC110 - it is another process's
                    await asyncio.sleep(0.02)
    await asked.post("/v1/batches", json.dumps({"input_file_id": LEFT, "endpoint": LEFT, "completion_window": LEFT}).encode())


def own_requests(name: str, stream: bool) -> tuple[str, dict[str, Any]]:
    """A request in the runtime's own format, for that runtime."""
    own: dict[str, tuple[str, dict[str, Any]]] = {
        "openai_chat": ("/v1/chat/completions", chat(PROMPT)),
        "anthropic_messages": ("/v1/messages", chat(PROMPT, max_tokens=50)),
        "openai_responses": ("/v1/responses", {"input": PROMPT}),
        "openai_completions": ("/v1/completions", {"prompt": PROMPT}),
        "ollama": ("/api/chat", chat(PROMPT)),
    }
    path, body = own[name]
    return path, {**body, "model": f"{name}/m", "stream": stream}


def translated_requests(name: str, stream: bool) -> tuple[str, dict[str, Any]]:
    """One in another format, so that the answer is read and written, and not passed through."""
    path, body = own_requests("anthropic_messages" if name == "openai_chat" else "openai_chat", stream)
    return path, {**body, "model": f"{name}/m"}


def falling_requests(path: str, stream: bool) -> tuple[str, dict[str, Any]]:
    """One that falls back and escalates."""
    if path.endswith("responses"):
        return path, {"model": "auto", "stream": stream, "input": PROMPT}
    return path, chat(PROMPT, stream=stream, max_tokens=50, **({"tools": [TOOL]} if path.endswith("completions") else {}))


def troubled_requests(number: int, *, is_whole: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is asked while a runtime makes its trouble of this number: every combination, or enough to meet each format once."""
    ways = [(stream, make) for stream in (False, True) for make in (own_requests, translated_requests)]
    for at, name in enumerate(FORMATS):
        for stream, make in ways if is_whole else [ways[(number + at) % 4]]:
            if not (make is translated_requests and name == "openai_completions"):
                yield make(name, stream)
    paths = ("/v1/chat/completions", "/v1/messages", "/v1/responses")
    for path, stream in itertools.product(paths, (False, True)) if is_whole else [(paths[number % 3], number % 2 == 0)]:
        yield falling_requests(path, stream)
    yield from SINGLES.items() if is_whole else [[*SINGLES.items()][number % len(SINGLES)]]


async def meet_troubles(asked: Asked, runtime: MarkedRuntime, *, is_whole: bool) -> None:
    """Everything that a runtime can do wrong."""
    for number, act in enumerate(TROUBLES.values()):
        runtime.act = act
        for path, body in troubled_requests(number, is_whole=is_whole):
            share = number if is_whole else number // 4
            await asked.post(path, json.dumps({**body, "model": f"{body['model']}{share}"}).encode())
    runtime.act = Act(say=ANSWER)


def process_list() -> bytes:
    """Every command line but our own."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        if path.parent.name != str(os.getpid()):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                found.append(path.read_bytes())
    return b"\n".join(found)


def left_for_batches(folder: Path) -> list[Path]:
    """Clients' own files, for them to fetch."""
    return [path for path in (folder / "data" / "batches").rglob("*") if path.is_file()]


def in_files(folder: Path) -> list[str]:
    """Marks in the files of the data directory: the ledger and what SQLite keeps beside it, journals, locks."""
    own = set(left_for_batches(folder))
    found = []
    for path in (folder / "data").rglob("*"):
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):  # the server that runs has removed it meanwhile
            told = hits(str(path.relative_to(folder)), path.read_bytes())
            found += [hit for hit in told if not (path in own and hit.startswith((LEFT, ANSWER)))]
    return found


async def find_marks(folder: Path, log_format: str, *, is_whole: bool) -> tuple[list[str], Asked, MarkedRuntime]:
    """Ask everything of a real process, and look everywhere: each place with the mark that is in it."""
    runtime = MarkedRuntime()
    await runtime.start()
    place = Place(folder, OWN_KEY=OWN_KEY, UPSTREAM_KEY=UPSTREAM_KEY)
    place.config.write_text(config(place, runtime, log_format, len(TROUBLES) if is_whole else len(TROUBLES) // 4 + 1))
    log, asked = folder / "log.txt", Asked(place)
    with log.open("wb") as out:
        server = place.start("serve", stderr=out, stdout=out)
        try:
            await asyncio.to_thread(place.until_serving, server)
            await ask_everything(asked, runtime, is_whole=is_whole)
            told_of_itself = [(await asked.client.get(path)).content for path in OPEN]
            listed, running = process_list(), in_files(folder)
        finally:
            await asked.client.aclose()
            await asyncio.to_thread(end, server)
            await runtime.stop()
    shown = [(words, await asyncio.to_thread(place.run, *words)) for words in (COMMANDS if is_whole else OF_REQUESTS)]
    assert b"server.started" in log.read_bytes()
    found = [
        *hits("log", log.read_bytes()),
        *hits("process list", listed),
        *itertools.chain.from_iterable(hits(f"own fault {body[:300]!r}", body) for body in asked.faults),
        *itertools.chain.from_iterable(hits(f"headers {head[:300]!r}", head) for head in asked.headers),
        *itertools.chain.from_iterable(hits("what it tells of itself", body) for body in told_of_itself),
        *itertools.chain.from_iterable(hits(f"freehold {' '.join(words)}", text.encode()) for words, text in shown),
        *running,
        *in_files(folder),
    ]
    return [*dict.fromkeys(hit for hit in found if not is_a_name(hit))], asked, runtime


def is_a_name(hit: str) -> bool:
    """What a client named its things by, where the ledger has names and where they are shown; a Host it is told of."""
    return hit.startswith(
        tuple(f"{NAMED} in {where}" for where in ("data/freehold.db", "freehold log", "freehold explain", "own fault"))
    )
