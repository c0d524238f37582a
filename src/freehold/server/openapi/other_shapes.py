"""Bodies of Responses, images, audio, moderations, reranking, files and batches, and of Freehold's own endpoints.

Source: OpenAI's published OpenAPI document; Cohere's and Jina's form for reranking. Most of these are relayed, so only
what is read here is named; everything else is taken and passed on.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from freehold.features import Label, Right
from freehold.limits.standings import AccountStanding
from freehold.runtime import Egress
from freehold.server.openapi.openai_shapes import ChatStreamOptions

Name = Annotated[str, Meta(min_length=1)]
Upload = Annotated[str, Meta(extra_json_schema={"format": "binary"})]


class ResponsesRequest(msgspec.Struct, kw_only=True):
    """`POST /v1/responses`."""

    model: Name
    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None
    stream: bool | None = None
    stream_options: ChatStreamOptions | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    background: bool | None = None
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning: dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None


class ResponsesAnswer(msgspec.Struct, kw_only=True):
    """A whole answer."""

    id: str
    object: Literal["response"]
    model: str
    status: str
    output: list[dict[str, Any]]


class ImagesRequest(msgspec.Struct, kw_only=True):
    """`POST /v1/images/generations`."""

    model: Name
    prompt: str
    n: Annotated[int, Meta(ge=1)] | None = None
    size: str | None = None
    response_format: str | None = None
    user: str | None = None


class ImageEditForm(msgspec.Struct, kw_only=True):
    """`POST /v1/images/edits` and `/v1/images/variations`, as a form."""

    model: Name
    image: Upload
    prompt: str = ""


class AudioForm(msgspec.Struct, kw_only=True):
    """`POST /v1/audio/transcriptions` and `/v1/audio/translations`, as a form."""

    model: Name
    file: Upload
    language: str = ""
    response_format: str = "json"


class SpeechRequest(msgspec.Struct, kw_only=True):
    """`POST /v1/audio/speech`."""

    model: Name
    input: str
    voice: str | dict[str, Any]
    response_format: str | None = None
    speed: float | None = None


class ModerationRequest(msgspec.Struct, kw_only=True):
    """`POST /v1/moderations`."""

    model: Name
    input: str | list[str | dict[str, Any]]


class RerankRequest(msgspec.Struct, kw_only=True):
    """`POST /v1/rerank`."""

    model: Name
    query: str
    documents: Annotated[list[str | dict[str, Any]], Meta(min_length=1)]
    top_n: Annotated[int, Meta(ge=1)] | None = None


class FileForm(msgspec.Struct, kw_only=True):
    """`POST /v1/files`, as a form."""

    purpose: str
    file: Upload


class BatchRequest(msgspec.Struct, kw_only=True):
    """`POST /v1/batches`."""

    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: dict[str, str] | None = None


class KeptFile(msgspec.Struct, kw_only=True):
    """A file."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    filename: str
    purpose: Literal["batch", "batch_output"]
    status: Literal["processed"]


class KeptFilesPage(msgspec.Struct, kw_only=True):
    """Files, newest first."""

    object: Literal["list"]
    data: list[KeptFile]
    first_id: str
    last_id: str
    has_more: bool


class DroppedFile(msgspec.Struct, kw_only=True):
    """A file that is gone."""

    id: str
    object: Literal["file"]
    deleted: bool


class Batch(msgspec.Struct, kw_only=True):
    """A batch. Times of what has not happened are left out, and so are files that are not there yet."""

    id: str
    object: Literal["batch"]
    endpoint: str
    input_file_id: str
    completion_window: str
    status: str
    created_at: int
    expires_at: int
    request_counts: dict[str, int]
    metadata: dict[str, str] | None = None
    errors: dict[str, Any] | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None


class BatchesPage(msgspec.Struct, kw_only=True):
    """Batches, newest first."""

    object: Literal["list"]
    data: list[Batch]
    first_id: str
    last_id: str
    has_more: bool


class AnyAnswer(msgspec.Struct):
    """The runtime's answer, passed on."""


class ModelsPage(msgspec.Struct):
    """Models, in OpenAI's form (`object`), or in Anthropic's (`has_more`, `first_id`, `last_id`)."""

    data: list[dict[str, Any]]


class OneModel(msgspec.Struct):
    """A model, in OpenAI's form or in Anthropic's."""

    id: str


class Health(msgspec.Struct):
    """The process answers."""

    status: Literal["ok"]
    name: str
    version: str


class KeySecret(msgspec.Struct):
    """A secret of a virtual key, by how it begins."""

    begins: str
    created_ms: int
    ends_ms: int | None


class VirtualKey(msgspec.Struct):
    """A virtual key, without what opens it."""

    name: str
    state: Literal["active", "expired", "revoked"]
    user: str
    team: str | None
    project: str | None
    ceiling: Egress
    label: Label | None
    operations: list[Right] | None
    models: list[str] | None
    datasets: list[str] | None
    created_ms: int
    created_by: str
    expires_ms: int | None
    revoked_ms: int | None
    secrets: list[KeySecret]


class MadeKey(VirtualKey):
    """A virtual key with its new secret, which is told once."""

    key: str


class KeysPage(msgspec.Struct):
    """All virtual keys."""

    object: Literal["list"]
    data: list[VirtualKey]


class AccountsPage(msgspec.Struct):
    """The accounts of all budgets, in their present windows."""

    object: Literal["list"]
    data: list[AccountStanding]
