"""What each route is for: one entry per method and path. A test fails for a route without an entry.

To add a route: an entry here, and a shape for a body that has none yet. `{name}` in a path stands for the tail of a
path that ends in an id.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from freehold.identity.issuing import KeyWanted
from freehold.server.endpoints.health import Readiness
from freehold.server.endpoints.keys import RotationWanted
from freehold.server.openapi import anthropic_shapes as anthropic
from freehold.server.openapi import ollama_shapes as ollama
from freehold.server.openapi import openai_shapes as openai
from freehold.server.openapi import other_shapes as other

Spelling = Literal["openai", "anthropic", "ollama", "by_header", "none"]
"""How errors are spelled; `by_header`: Anthropic's way when `anthropic-version` is sent, else OpenAI's; `none`: there are none."""

JSON, SSE, NDJSON, FORM, ANYTHING = (
    "application/json",
    "text/event-stream",
    "application/x-ndjson",
    "multipart/form-data",
    "application/octet-stream",
)


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path."""

    summary: str
    spelling: Spelling
    answer: type | None = None
    """None: it may be anything of `answer_type`."""
    answer_type: str = JSON
    body: type | None = None
    body_type: str = JSON
    stream_type: str | None = None
    """What a streamed answer is, where there is one."""
    statuses: Mapping[int, type] = {}
    """Answers beside 200 that are no errors of the fault table."""
    decides: bool = False
    """The request is routed: policy headers are read, and the answer says who served it."""
    caches: bool = False
    """A rule may have it answered from the cache."""
    keeps_keys: bool = False
    """An `Idempotency-Key` counts, as it does wherever a request is routed."""
    keyless: bool = False
    """No key is asked for."""


def _chat(summary: str, spelling: Spelling, body: type, answer: type, stream_type: str = SSE) -> Operation:
    return Operation(
        summary=summary, spelling=spelling, body=body, answer=answer, stream_type=stream_type, decides=True, caches=True
    )


def _single(
    summary: str, body: type, answer: type | None = None, *, spelling: Spelling = "openai", body_type: str = JSON
) -> Operation:
    return Operation(
        summary=summary,
        spelling=spelling,
        body=body,
        body_type=body_type,
        answer=answer,
        answer_type=ANYTHING if answer is None else JSON,
        decides=True,
    )


def _look(summary: str, answer: type, spelling: Spelling = "openai", *, keyless: bool = False) -> Operation:
    return Operation(summary=summary, spelling=spelling, answer=answer, keyless=keyless)


def _not_done(summary: str) -> Operation:
    return Operation(summary=summary, spelling="ollama", answer=other.AnyAnswer, body=ollama.OllamaManagedRequest)


_HEALTH = Operation(summary="The process answers", spelling="none", answer=other.Health, keyless=True)

CHAT: dict[tuple[str, str], Operation] = {
    ("POST", "/v1/chat/completions"): _chat(
        "Chat, in OpenAI's Chat Completions form", "openai", openai.ChatCompletionRequest, openai.ChatCompletion
    ),
    ("POST", "/v1/messages"): _chat(
        "Chat, in Anthropic's Messages form", "anthropic", anthropic.MessagesRequest, anthropic.MessagesAnswer
    ),
    ("POST", "/v1/messages/count_tokens"): Operation(
        summary="Count the tokens of a prompt, on this machine",
        spelling="anthropic",
        body=anthropic.CountTokensRequest,
        answer=anthropic.TokenCount,
    ),
    ("POST", "/v1/responses"): _chat("Chat, in OpenAI's Responses form", "openai", other.ResponsesRequest, other.ResponsesAnswer),
    ("POST", "/v1/completions"): _chat(
        "Complete a text, or fill in its middle", "openai", openai.CompletionRequest, openai.Completion
    ),
    ("POST", "/api/chat"): _chat("Chat, in Ollama's form", "ollama", ollama.OllamaChatRequest, ollama.OllamaAnswer, NDJSON),
    ("POST", "/api/generate"): _chat(
        "Complete a text, in Ollama's form", "ollama", ollama.OllamaGenerateRequest, ollama.OllamaAnswer, NDJSON
    ),
}

SINGLE: dict[tuple[str, str], Operation] = {
    ("POST", "/v1/embeddings"): _single("Embed texts", openai.EmbeddingsRequest, openai.Embeddings),
    ("POST", "/api/embed"): _single("Embed texts", ollama.OllamaEmbedRequest, ollama.OllamaEmbeddings, spelling="ollama"),
    ("POST", "/api/embeddings"): _single(
        "Embed one text", ollama.OllamaEmbeddingsRequest, ollama.OllamaEmbedding, spelling="ollama"
    ),
    ("POST", "/v1/images/generations"): _single("Make images", other.ImagesRequest, other.AnyAnswer),
    ("POST", "/v1/images/edits"): _single("Edit an image", other.ImageEditForm, other.AnyAnswer, body_type=FORM),
    ("POST", "/v1/images/variations"): _single("Vary an image", other.ImageEditForm, other.AnyAnswer, body_type=FORM),
    ("POST", "/v1/audio/transcriptions"): _single("Write down what is said", other.AudioForm, None, body_type=FORM),
    ("POST", "/v1/audio/translations"): _single("Translate what is said", other.AudioForm, None, body_type=FORM),
    ("POST", "/v1/audio/speech"): _single("Speak a text", other.SpeechRequest, None),
    ("POST", "/v1/moderations"): _single("Judge texts", other.ModerationRequest, other.AnyAnswer),
    ("POST", "/v1/rerank"): _single("Order documents by a query", other.RerankRequest, other.AnyAnswer),
    ("POST", "/rerank"): _single("The same, where some clients look for it", other.RerankRequest, other.AnyAnswer),
}

STORED: dict[tuple[str, str], Operation] = {
    ("POST", "/v1/files"): Operation(
        summary="Keep a file for a batch", spelling="openai", body=other.FileForm, body_type=FORM, answer=other.KeptFile
    ),
    ("GET", "/v1/files"): _look("Your files, newest first", other.KeptFilesPage),
    ("GET", "/v1/files/{id}"): _look("One file of yours", other.KeptFile),
    ("DELETE", "/v1/files/{id}"): _look("Delete a file of yours", other.DroppedFile),
    ("GET", "/v1/files/{id}/content"): Operation(summary="The bytes of a file of yours", spelling="openai", answer_type=ANYTHING),
    ("POST", "/v1/batches"): Operation(
        summary="Do many requests later", spelling="openai", body=other.BatchRequest, answer=other.Batch, keeps_keys=True
    ),
    ("GET", "/v1/batches"): _look("Your batches, newest first", other.BatchesPage),
    ("GET", "/v1/batches/{id}"): _look("One batch of yours", other.Batch),
    ("POST", "/v1/batches/{id}/cancel"): _look("End a batch of yours; what it has is kept", other.Batch),
}

ADMIN: dict[tuple[str, str], Operation] = {
    ("GET", "/admin/budgets"): _look("How budgets stand", other.AccountsPage),
    ("POST", "/admin/keys"): Operation(
        summary="Make a virtual key; the answer is the only place its secret is in",
        spelling="openai",
        body=KeyWanted,
        answer=other.MadeKey,
    ),
    ("GET", "/admin/keys"): _look("All virtual keys", other.KeysPage),
    ("GET", "/admin/keys/{id}"): _look("One virtual key", other.VirtualKey),
    ("DELETE", "/admin/keys/{id}"): _look("Revoke a virtual key, now and for good", other.VirtualKey),
    ("POST", "/admin/keys/{id}/rotate"): Operation(
        summary="Give a virtual key a new secret", spelling="openai", body=RotationWanted, answer=other.MadeKey
    ),
}

LOOKING: dict[tuple[str, str], Operation] = {
    ("GET", "/v1/responses"): Operation(
        summary="There is no WebSocket: clients that try one first go on by POST at once",
        spelling="openai",
        answer=other.AnyAnswer,
        statuses={426: openai.OpenAIError},
    ),
    ("GET", "/v1/responses/{id}"): _look("Responses are not stored here: always 404", other.AnyAnswer),
    ("GET", "/v1/models"): _look("The models a client may ask for", other.ModelsPage, "by_header"),
    ("GET", "/v1/models/{id}"): _look("One model; ids may hold slashes", other.OneModel, "by_header"),
    ("GET", "/api/tags"): _look("The models a client may ask for, in Ollama's form", ollama.OllamaModels, "ollama"),
    ("GET", "/api/ps"): _look("The models that are loaded, in Ollama's form", ollama.OllamaModels, "ollama"),
    ("GET", "/api/version"): _look("The version of Ollama's API that is spoken", ollama.OllamaVersion, "ollama"),
    ("POST", "/api/show"): Operation(
        summary="One model, in Ollama's form", spelling="ollama", body=ollama.OllamaShowRequest, answer=other.AnyAnswer
    ),
    ("POST", "/api/pull"): _not_done("Refused: weights are not pulled through this API"),
    ("POST", "/api/push"): _not_done("Refused: weights are not pushed through this API"),
    ("POST", "/api/create"): _not_done("Refused: models are not made through this API"),
    ("POST", "/api/copy"): _not_done("Refused: models get second names as aliases"),
    ("DELETE", "/api/delete"): _not_done("Refused: models are not deleted through this API"),
    ("GET", "/healthz"): _HEALTH,
    ("GET", "/readyz"): Operation(
        summary="Whether some chat deployment can serve, and the state of every runtime",
        spelling="none",
        answer=Readiness,
        statuses={503: Readiness},
        keyless=True,
    ),
    ("GET", "/"): _HEALTH,
    ("GET", "/api/hello"): _HEALTH,
    ("GET", "/openapi.json"): _look("This document", other.AnyAnswer, "none", keyless=True),
}

OPERATIONS: Mapping[tuple[str, str], Operation] = {**CHAT, **SINGLE, **STORED, **ADMIN, **LOOKING}
