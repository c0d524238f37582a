"""A scripted runtime on loopback: OpenAI chat completions, completions, embeddings, batches and models, Anthropic messages and counts.

Promised: requests are read and answers written by the product's own wire codecs, so both formats behave alike; the
same request gets the same answer; every request is in the journal, with the moment its client left early. What it does
is told by the model's name, by directives in the last user message, or by a script handed in (see `script`).

Deliberately not done: it computes nothing, checks no API key unless it is given one, and listens on loopback only.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from freehold.chat import WireFormat
from freehold.fault import FaultError, Kind, faulty
from freehold.gateways.fake.answer import CREATED_S, act_for, answer, count_prompt
from freehold.gateways.fake.batches import FakeBatches
from freehold.gateways.fake.completion import complete
from freehold.gateways.fake.media import PATHS as MEDIA_PATHS
from freehold.gateways.fake.media import answer_media
from freehold.gateways.fake.script import NAMED, Act
from freehold.gateways.fake.single import complete_count, embed, embed_as_ollama, list_models
from freehold.gateways.fake.stage import Close, Pause, Send, Stall, Step, error_body, misbehave, stream, unstreamed, whole
from freehold.wire.codec import Asked, Codec
from freehold.wire.formats import CODECS
from freehold.wire.ollama import generate as ollama_generate


class Received:
    """One request in the journal. Times are the event loop's."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes, at_s: float) -> None:
        self.number = 0
        """From 1, in the order of the journal."""
        self.method = method
        self.path = path
        self.headers = headers
        """Names in lower case."""
        self.body = body
        self.at_s = at_s
        self.format = _format_of(path.partition("?")[0])
        self.act = Act()
        self.answered_s: float | None = None
        """The whole answer was written."""
        self.aborted_s: float | None = None
        """The client closed the connection before the whole answer was written."""

    @property
    def aborted(self) -> bool:
        """The client left early."""
        return self.aborted_s is not None


def _format_of(path: str) -> WireFormat:
    if path.startswith("/api/"):
        return "ollama"
    if "/messages" in path:
        return "anthropic_messages"
    if path.endswith("/responses"):
        return "openai_responses"
    return "openai_completions" if path.endswith("/completions") and "/chat/" not in path else "openai_chat"


_BATCH_PATH = re.compile(r"/(?:files|batches)(?:/|$)")
OLLAMA_PATHS = ("/api/chat", "/api/generate", "/api/embed")
Script = Callable[[Received], Act | None] | Sequence[Act]


class FakeRuntime:
    """The server. `script`: asked for each request, or acts used one after the other; None goes by name and directives."""

    def __init__(self, script: Script | None = None, *, api_key: str | None = None, models: Sequence[str] = tuple(NAMED)) -> None:
        self.journal: list[Received] = []
        self.connections: set[_Stage] = set()
        """Open now."""
        self.accepted = 0
        """Connections ever accepted."""
        self._script = script
        self._api_key = api_key
        self._models = tuple(models)
        self._used = 0
        self.batches = FakeBatches(self._line)
        """Its Batch API."""
        self._defects: list[Exception] = []
        self._server: asyncio.Server | None = None
        self._watches: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    async def start(self, port: int = 0) -> str:
        """Listen on 127.0.0.1; the base URL, ending in /v1. Port 0: any free one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Stage(self, loop), "127.0.0.1", port)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def stop(self) -> None:
        """Stop listening and close every connection. Raises what a script raised, if one did."""
        if self._server is not None:
            self._server.close()
            for stage in list(self.connections):
                stage.abort()
            await self._server.wait_closed()
            self._server = None
        if self._defects:
            raise self._defects.pop()

    async def received(self, count: int = 1) -> None:
        """Wait until so many requests arrived, since the start."""
        await self._watch(lambda: len(self.journal) >= count)

    async def closed(self, count: int = 1) -> None:
        """Wait until so many clients were seen to leave before their answer was whole, since the start."""
        await self._watch(lambda: sum(received.aborted for received in self.journal) >= count)

    async def empty(self) -> None:
        """Wait until no connection is open."""
        await self._watch(lambda: not self.connections)

    async def _watch(self, holds: Callable[[], bool]) -> None:
        if not holds():
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._watches.append((holds, future))
            await future

    def notice(self) -> None:
        """Told by a connection: something happened."""
        for watch in list(self._watches):
            holds, future = watch
            if future.done() or holds():
                self._watches.remove(watch)
                if not future.done():
                    future.set_result(None)

    def plan(self, received: Received) -> list[Step]:
        """The steps of the answer to a request."""
        self.journal.append(received)
        received.number = len(self.journal)
        self.notice()
        try:
            self._check_key(received)
            return self._route(received)
        except FaultError as error:
            status = error.fault.meaning.status
            return whole(status, error_body(received.format, status, error.fault.message))
        except Exception as error:  # noqa: BLE001 - whatever a script raises: it is raised again by `stop`
            self._defects.append(error)
            return whole(500, error_body(received.format, 500, f"the fake's script failed: {type(error).__name__}"))

    def _line(self, url: str, body: bytes) -> tuple[int, bytes]:
        """One line of a batch, answered as a call of its own would be; it is in no journal but that of batches."""
        received = Received("POST", url, {}, body, asyncio.get_running_loop().time())
        try:
            [sent] = self._ask(received, url, None)
        except FaultError as error:
            return error.fault.meaning.status, error_body(received.format, error.fault.meaning.status, error.fault.message)
        assert isinstance(sent, Send)
        head, _, said = sent.data.partition(b"\r\n\r\n")
        return int(head[9:12]), said

    def _check_key(self, received: Received) -> None:
        given = received.headers.get("x-api-key") or received.headers.get("authorization", "").removeprefix("Bearer ")
        if self._api_key is not None and given != self._api_key:
            raise faulty(Kind.UNAUTHENTICATED, "the fake runtime was given another key")

    def _route(self, received: Received) -> list[Step]:
        path = received.path.partition("?")[0]
        scripted = self._next_act(received)
        if scripted is not None:
            received.act = scripted
            steps = misbehave(scripted, received.format)
            if steps is not None:
                return steps
        if _BATCH_PATH.search(path):
            said = received.headers.get("content-type", "")
            return self.batches.answer(received.method, received.path, said, received.body)
        return self._ask(received, path, scripted)

    def _ask(self, received: Received, path: str, scripted: Act | None) -> list[Step]:
        if path.endswith("/models"):
            return whole(200, list_models(self._models))
        media = next((known for known in MEDIA_PATHS if path.endswith(known)), None)
        if media is not None and received.method == "POST":
            return answer_media(media, received.headers.get("content-type", ""), received.body, received.act)
        if not path.endswith(("/completions", "/responses", "/messages", "/messages/count_tokens", "/embeddings", *OLLAMA_PATHS)):
            raise faulty(Kind.NOT_FOUND, f"there is nothing at {path[:100]}")
        if received.method != "POST":
            raise faulty(Kind.METHOD_NOT_ALLOWED, f"{path[:100]} is called by POST")
        if path.endswith("/embeddings"):
            return whole(200, embed(received.body))
        if path == "/api/embed":
            return whole(200, embed_as_ollama(received.body))
        if received.format == "openai_completions":
            return self._complete(received, scripted, as_chat=path.endswith("/fim/completions"))
        return self._chat(received, scripted, counts=path.endswith("/count_tokens"))

    def _complete(self, received: Received, scripted: Act | None, *, as_chat: bool) -> list[Step]:
        """Completions; `as_chat`: as Mistral's fill-in endpoint has it, with a chat's answer and no `stream_options`."""
        codec = CODECS["openai_completions"]
        envelope = codec.peek(received.body)
        if as_chat and "stream_options" in envelope.top:
            raise faulty(Kind.INVALID_REQUEST, "stream_options: extra inputs are not permitted", param="stream_options")
        try:
            act, events, prompt_tokens = complete(envelope, scripted, received.number)
        except ValueError as error:
            raise faulty(Kind.INVALID_REQUEST, str(error)) from None
        received.act = act
        steps = misbehave(act, received.format)
        if steps is not None:
            return steps
        asked = Asked(
            model=act.model or envelope.model,
            stream_usage=(envelope.stream_usage or as_chat) and act.usage != "none",
            reply_id=f"fake-{received.number}",
            now_s=CREATED_S,
            prompt_tokens=prompt_tokens,
        )
        return (stream if envelope.stream else unstreamed)(act, events, CODECS["openai_chat"] if as_chat else codec, asked)

    def _chat(self, received: Received, scripted: Act | None, *, counts: bool) -> list[Step]:
        codec: Codec = ollama_generate if received.path == "/api/generate" else CODECS[received.format]
        envelope = codec.peek(complete_count(received.body) if counts else received.body)
        request = codec.read_request(envelope)
        if received.format == "ollama" and not envelope.blocks:
            raise faulty(Kind.INVALID_REQUEST, "the fake runtime loads no models: say something")
        try:
            act = received.act = scripted or act_for(request)
        except ValueError as error:
            raise faulty(Kind.INVALID_REQUEST, str(error)) from None
        steps = misbehave(act, received.format)
        if steps is not None:
            return steps
        if counts:
            return whole(200, b'{"input_tokens":%d}' % count_prompt(request))
        events = answer(request, act, received.number)
        asked = Asked(
            model=act.model or request.model,
            stream_usage=envelope.stream_usage and act.usage != "none",
            reply_id=f"fake-{received.number}",
            now_s=CREATED_S,
            prompt_tokens=count_prompt(request),
            top=envelope.top,
        )
        return (stream if request.stream else unstreamed)(act, events, codec, asked)

    def _next_act(self, received: Received) -> Act | None:
        if self._script is None or callable(self._script):
            return self._script(received) if self._script is not None else None
        if self._used >= len(self._script):
            return None
        self._used += 1
        return self._script[self._used - 1]


class _Stage(asyncio.Protocol):
    """One connection: reads requests, plays the steps of each answer in turn."""

    def __init__(self, runtime: FakeRuntime, loop: asyncio.AbstractEventLoop) -> None:
        self._runtime = runtime
        self._loop = loop
        self._parser = HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: list[Received] = []
        self._playing: Received | None = None
        self._steps: list[Step] = []
        self._timer: asyncio.TimerHandle | None = None
        self._begin()

    def _begin(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self._transport = cast("asyncio.Transport", transport)
        self._runtime.connections.add(self)
        self._runtime.accepted += 1

    def data_received(self, data: bytes) -> None:
        """Bytes of requests."""
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's signature
        """The client left, or we closed."""
        if self._timer is not None:
            self._timer.cancel()
        if self._playing is not None:
            self._playing.aborted_s = self._loop.time()
            self._playing = None
        self._runtime.connections.discard(self)
        self._runtime.notice()

    def on_url(self, url: bytes) -> None:
        """Told by the parser."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Told by the parser."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Told by the parser."""
        if self._headers.get("expect", "").lower() == "100-continue" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        """Told by the parser."""
        self._body.append(data)

    def on_message_complete(self) -> None:
        """Told by the parser: a request is whole. It waits for the answers to those before it."""
        method = self._parser.get_method().decode("latin-1")
        path = self._target.decode("latin-1")
        self._waiting.append(Received(method, path, self._headers, b"".join(self._body), self._loop.time()))
        self._begin()
        if self._playing is None:
            self._next()

    def _next(self) -> None:
        if self._waiting:
            self._playing = self._waiting.pop(0)
            self._steps = self._runtime.plan(self._playing)[::-1]
            self._play()

    def _play(self) -> None:
        """Play steps up to the next pause."""
        transport, playing = self._transport, self._playing
        if transport is None or playing is None:
            return
        while self._steps:
            match self._steps.pop():
                case Send(data):
                    transport.write(data)
                case Pause(seconds):
                    self._timer = self._loop.call_later(seconds, self._play)
                    return
                case Stall():
                    return
                case Close():
                    self._playing = None
                    transport.close()
                    return
        playing.answered_s = self._loop.time()
        self._playing = None
        self._next()
