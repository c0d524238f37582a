"""The route table: which endpoint answers which method and path."""

from collections.abc import Callable, Mapping

from freehold.dispatch.runner import Dispatch
from freehold.dispatch.singles import Singles
from freehold.server.access import require_rules
from freehold.server.context import Context
from freehold.server.endpoints.batches import BatchesEndpoint
from freehold.server.endpoints.budgets import BudgetsEndpoint
from freehold.server.endpoints.chat import ChatEndpoint
from freehold.server.endpoints.counts import CountTokensEndpoint
from freehold.server.endpoints.embeddings import EmbeddingsEndpoint
from freehold.server.endpoints.files import FilesEndpoint
from freehold.server.endpoints.health import HealthEndpoint, Readiness, ReadyEndpoint
from freehold.server.endpoints.keys import KeysEndpoint
from freehold.server.endpoints.models import ModelsEndpoint
from freehold.server.endpoints.ollama import (
    REMEDIES,
    ModelsEndpoints,
    NotDoneHere,
    OllamaChatEndpoint,
    OllamaEmbedEndpoint,
    VersionEndpoint,
)
from freehold.server.endpoints.openapi import OpenApiEndpoint
from freehold.server.endpoints.responses import NoWebSocketEndpoint, StoredResponsesEndpoint
from freehold.server.endpoints.singles import SingleEndpoint
from freehold.server.faults import FaultWriter
from freehold.server.gateway import Endpoint, TailEndpoint
from freehold.server.idempotency.serving import require_keys_kept
from freehold.server.openapi import make_document
from freehold.wire import ollama
from freehold.wire.formats import CODECS
from freehold.wire.ollama import embed, generate
from freehold.wire.singles import SINGLE_SHOTS

ANTHROPIC_PATHS = ("/v1/messages",)
OLLAMA_PATHS = ("/api/",)


def make_routes(
    context: Context, dispatch: Dispatch, singles: Singles, readiness: Callable[[], Readiness]
) -> dict[tuple[str, str], Endpoint]:
    """All fixed paths."""
    health, models = HealthEndpoint(), ModelsEndpoint(context)
    ready = ReadyEndpoint(readiness)
    routes: dict[tuple[str, str], Endpoint] = {
        ("POST", "/v1/chat/completions"): ChatEndpoint(context, dispatch, CODECS["openai_chat"]),
        ("POST", "/v1/responses"): ChatEndpoint(context, dispatch, CODECS["openai_responses"]),
        ("GET", "/v1/responses"): NoWebSocketEndpoint(context),
        ("POST", "/v1/completions"): ChatEndpoint(context, dispatch, CODECS["openai_completions"], "completion"),
        ("POST", "/v1/messages"): ChatEndpoint(context, dispatch, CODECS["anthropic_messages"]),
        ("POST", "/v1/messages/count_tokens"): CountTokensEndpoint(context, dispatch),
        ("POST", "/v1/embeddings"): EmbeddingsEndpoint(context, singles),
        ("GET", "/v1/models"): models.listed,
        ("GET", "/healthz"): health,
        ("GET", "/readyz"): ready,
        ("GET", "/"): health,
        ("GET", "/api/hello"): health,
        **make_ollama_routes(context, dispatch, singles, readiness),
    }
    files, batches = FilesEndpoint(context), BatchesEndpoint(context)
    routes["POST", "/v1/files"], routes["GET", "/v1/files"] = files.add, files.listed
    routes["POST", "/v1/batches"], routes["GET", "/v1/batches"] = batches.add, batches.listed
    keys = KeysEndpoint(context)
    routes["POST", "/admin/keys"], routes["GET", "/admin/keys"] = keys.add, keys.listed
    routes["GET", "/admin/budgets"] = BudgetsEndpoint(context)
    for shot in SINGLE_SHOTS:
        routes["POST", f"/v1{shot.path}"] = SingleEndpoint(context, singles, shot)
    routes["POST", "/rerank"] = routes["POST", "/v1/rerank"]
    routes["GET", "/openapi.json"] = OpenApiEndpoint(lambda: make_document(routes, make_tails(context)))
    require_rules((*(path for _, path in routes), *make_tails(context)))
    require_keys_kept(routes)
    return routes


def make_ollama_routes(
    context: Context, dispatch: Dispatch, singles: Singles, readiness: Callable[[], Readiness]
) -> dict[tuple[str, str], Endpoint]:
    """All paths of Ollama's API."""
    told = ModelsEndpoints(context, readiness)
    return {
        ("POST", "/api/chat"): OllamaChatEndpoint(context, dispatch, ollama),
        ("POST", "/api/generate"): OllamaChatEndpoint(context, dispatch, generate),
        ("POST", "/api/embed"): OllamaEmbedEndpoint(context, singles, embed.peek, embed.write_answer),
        ("POST", "/api/embeddings"): OllamaEmbedEndpoint(context, singles, embed.peek_old, embed.write_old_answer),
        ("GET", "/api/tags"): told.tags,
        ("POST", "/api/show"): told.show,
        ("GET", "/api/ps"): told.loaded,
        ("GET", "/api/version"): VersionEndpoint(context),
        **{route: NotDoneHere(context, remedy) for route, remedy in REMEDIES.items()},
    }


def make_tails(context: Context) -> dict[str, TailEndpoint]:
    """Paths that end in an id."""
    return {
        "/v1/responses/": StoredResponsesEndpoint(context),
        "/v1/models/": ModelsEndpoint(context).one,
        "/v1/files/": FilesEndpoint(context),
        "/v1/batches/": BatchesEndpoint(context),
        "/admin/keys/": KeysEndpoint(context),
    }


def speller_of(path: str, headers: Mapping[str, str]) -> FaultWriter:
    """The wire format that an error at this path is spelled in."""
    if path.startswith(OLLAMA_PATHS):
        return CODECS["ollama"]
    speaks_anthropic = path.startswith(ANTHROPIC_PATHS) or "anthropic-version" in headers
    return CODECS["anthropic_messages" if speaks_anthropic else "openai_chat"]
