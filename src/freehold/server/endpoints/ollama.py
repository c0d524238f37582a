"""Ollama's endpoints that are not a plain chat: load requests, embeddings, what models there are, and what is not done here.

A chat or a generate without a prompt asks to load the model, or to unload it: that is answered without a call, since engines
are kept loaded by whoever runs them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Protocol

from freehold.dispatch.runner import Dispatch
from freehold.dispatch.singles import Singles
from freehold.fault import FaultError, Kind, faulty
from freehold.features import Caller
from freehold.routing.permitted import usable
from freehold.runtime import Placed
from freehold.server.context import Context
from freehold.server.delivery import Conversation, stream_headers
from freehold.server.endpoints.chat import ChatEndpoint
from freehold.server.endpoints.health import Readiness
from freehold.server.endpoints.recorded import RecordedEndpoint, decision_headers
from freehold.server.faults import JSON_HEADER, id_headers, send_fault
from freehold.server.rows import RequestRow
from freehold.wire.codec import Asked, Codec, Envelope
from freehold.wire.embeddings import EmbeddingsEnvelope
from freehold.wire.formats import CODECS
from freehold.wire.ollama.models import (
    ModelFacts,
    not_found,
    read_show,
    write_loaded,
    write_show,
    write_tags,
    write_version,
)

LOADED_FOR_S = 365 * 24 * 3600
"""Nobody unloads what is loaded here; the format wants a time at which somebody does."""
UNLOADING = (b"0", b'"0"', b'"0s"', b'"0m"', b"0.0")
"""Values of `keep_alive` that ask to unload at once."""


class OllamaCodec(Codec, Protocol):
    """A chat codec that can also answer a request without a prompt."""

    def write_load(self, asked: Asked, *, unloads: bool) -> bytes:
        """The answer."""


class OllamaChatEndpoint(ChatEndpoint):
    """`POST /api/chat` and `POST /api/generate`."""

    def __init__(self, context: Context, dispatch: Dispatch, codec: OllamaCodec) -> None:
        super().__init__(context, dispatch, codec)
        self._load_codec = codec

    async def _answer_here(self, conversation: Conversation, envelope: Envelope, row: RequestRow) -> bool:
        if envelope.blocks:
            return False
        if not self._context.intake.policy.knows(envelope.model):
            raise not_found(envelope.model)
        asked = Asked(model=envelope.model, stream_usage=True, reply_id=row.request_id, now_s=row.at_ms // 1000)
        unloads = bytes(envelope.top.get("keep_alive", b"")) in UNLOADING
        said = stream_headers(self._codec.STREAM_TYPE) if envelope.stream else [JSON_HEADER]
        headers = [*said, *id_headers(row.request_id)]
        await conversation.send_whole(200, headers, self._load_codec.write_load(asked, unloads=unloads))
        row.served()
        return True


class AnswerWriter(Protocol):
    """Writes an embeddings answer."""

    def __call__(self, body: bytes, *, total_ns: int) -> bytes:
        """From one of OpenAI's shape."""


class OllamaEmbedEndpoint(RecordedEndpoint):
    """`POST /api/embed` and the older `POST /api/embeddings`."""

    def __init__(
        self, context: Context, singles: Singles, peek: Callable[[bytes], EmbeddingsEnvelope], write: AnswerWriter
    ) -> None:
        super().__init__(context, "embeddings", "ollama", CODECS["ollama"])
        self._singles = singles
        self._peek = peek
        self._write = write

    async def _serve(self, conversation: Conversation, headers: Mapping[str, str], row: RequestRow) -> None:
        context = self._context
        context.admit()
        row.caller = caller = context.intake.identify(headers, "embeddings")
        body = await conversation.read_body(context.max_body_bytes, headers.get("content-length"))
        envelope = self._peek(body)
        row.flight = flight = await context.intake.decide_embeddings(envelope, headers, caller, row.request_id)
        if flight.rates is not None:
            await self._hold_to_rates(conversation, flight, row)
        conversation.watch(None)
        row.answer = answer = await self._singles.embed(flight, envelope)
        answer.take()
        written = self._write(answer.body, total_ns=int((context.now() - row.started_s) * 1e9))
        await conversation.send_whole(200, [JSON_HEADER, *decision_headers(flight, answer)], written)
        row.served()


class _Looking(ABC):
    """An answer without a call and without a row; `_answer` gives its body and raises FaultError."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, conversation: Conversation, headers: Mapping[str, str]) -> None:
        """Answer one request."""
        context = self._context
        request_id = context.intake.new_request_id()
        try:
            caller = context.intake.identify(headers, None)
            body = await conversation.read_body(context.max_body_bytes, headers.get("content-length"))
            answer = self._answer(body, caller)
        except FaultError as error:
            if error.fault.kind is not Kind.CLIENT_GONE:
                await send_fault(conversation, CODECS["ollama"], error.fault, request_id)
            return
        await conversation.send_whole(200, [JSON_HEADER, *id_headers(request_id)], answer)

    @abstractmethod
    def _answer(self, body: bytes, caller: Caller) -> bytes:
        """The answer's body."""


class VersionEndpoint(_Looking):
    """`GET /api/version`."""

    def _answer(self, body: bytes, caller: Caller) -> bytes:  # noqa: ARG002 - a GET has none
        return write_version()


class ModelsEndpoints:
    """The endpoints that tell of models, which share what is known."""

    def __init__(self, context: Context, readiness: Callable[[], Readiness]) -> None:
        self._context = context
        self._readiness = readiness
        self.tags = _Told(context, self._tags)
        self.show = _Told(context, self._show)
        self.loaded = _Told(context, self._loaded)

    def _tags(self, body: bytes, caller: Caller) -> bytes:  # noqa: ARG002 - a GET has none
        windows = self._windows()
        policy = self._context.intake.policy
        found = [(name, usable(policy, name, caller)) for name in policy.listed()]
        facts = [self._facts(name, placed, windows) for name, placed in found if placed]
        return write_tags(facts, modified_s=self._now_s())

    def _show(self, body: bytes, caller: Caller) -> bytes:
        name = read_show(body)
        placed = usable(self._context.intake.policy, name, caller)
        if not placed:
            raise not_found(name)
        return write_show(self._facts(name, placed, self._windows()), modified_s=self._now_s())

    def _loaded(self, body: bytes, caller: Caller) -> bytes:  # noqa: ARG002 - a GET has none
        """Models whose engine we run and know to be ready; whether another runtime has one loaded is not asked."""
        readiness, placed = self._readiness(), self._context.intake.policy.placed
        ready = {one.name for one in readiness.runtimes if one.status == "ready"}
        windows = self._windows()
        loaded = [
            one for one in placed.values() if one.runtime.name in ready and usable(self._context.intake.policy, one.id, caller)
        ]
        facts = [self._facts(one.deployment.model, (one,), windows) for one in loaded]
        return write_loaded(facts, expires_s=self._now_s() + LOADED_FOR_S)

    def _now_s(self) -> int:
        """What is listed is what serves now: when it last changed is not kept."""
        return self._context.wall_ms() // 1000

    def _windows(self) -> dict[str, int]:
        """Tokens an engine said it really serves, by runtime."""
        return {one.name: one.context for one in self._readiness().runtimes if one.context is not None}

    def _facts(self, name: str, placed: tuple[Placed, ...], windows: Mapping[str, int]) -> ModelFacts:
        """Of all deployments behind the name: a request goes to one that can do what it needs."""
        known = [windows.get(one.runtime.name, one.deployment.abilities.context) for one in placed]
        able = [one.deployment.abilities for one in placed]
        has = {
            "completion": any(one.chat for one in able),
            "tools": any(one.chat and one.tools for one in able),
            "vision": any(one.chat and one.images for one in able),
            "thinking": any(one.chat and one.reasoning for one in able),
            "embedding": any(one.embeddings for one in able),
        }
        return ModelFacts(
            name=name,
            context=max((one for one in known if one is not None), default=None),
            capabilities=tuple(ability for ability, is_there in has.items() if is_there),
            licence=placed[0].model.licence if placed else None,
        )


class _Told(_Looking):
    """Answers by a function of the body."""

    def __init__(self, context: Context, tell: Callable[[bytes, Caller], bytes]) -> None:
        super().__init__(context)
        self._tell = tell

    def _answer(self, body: bytes, caller: Caller) -> bytes:
        return self._tell(body, caller)


class NotDoneHere(_Looking):
    """Endpoints that manage a library of weights, which is not kept through this API."""

    def __init__(self, context: Context, remedy: str) -> None:
        super().__init__(context)
        self._remedy = remedy

    def _answer(self, body: bytes, caller: Caller) -> bytes:  # noqa: ARG002 - whatever is asked
        raise faulty(Kind.UNSUPPORTED, f"Freehold does not do this through Ollama's API: {self._remedy}")


REMEDIES: dict[tuple[str, str], str] = {
    ("POST", "/api/pull"): "`freehold pull` fetches the weights of embedded models; for others, pull where the runtime runs",
    ("POST", "/api/push"): "push from where the weights are",
    ("POST", "/api/create"): "name a model in [[deployments]] of freehold.toml, or create it where the runtime runs",
    ("POST", "/api/copy"): "give a model a second name in [aliases] of freehold.toml",
    ("DELETE", "/api/delete"): "take it out of freehold.toml, or delete the weights where the runtime runs",
}
"""What helps instead, by method and path."""
