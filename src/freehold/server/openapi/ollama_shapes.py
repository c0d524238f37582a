"""Bodies of Ollama's API, as far as they are read or written here. Source: Ollama's published OpenAPI document."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Name = Annotated[str, Meta(min_length=1)]
Think = bool | Literal["low", "medium", "high", "max"] | None
KeepAlive = str | int | float | None


class OllamaCallFunction(msgspec.Struct):
    """The function and its arguments, an object."""

    name: str
    arguments: dict[str, Any]


class OllamaCall(msgspec.Struct):
    """A call the model asks for."""

    function: OllamaCallFunction


class OllamaMessage(msgspec.Struct):
    """A message of the conversation. Images are base64, without a `data:` prefix."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[OllamaCall] | None = None
    tool_name: str | None = None


class OllamaFunction(msgspec.Struct):
    """A function: its name, what it is for, and the JSON schema of its arguments."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class OllamaTool(msgspec.Struct, tag_field="type", tag="function"):
    """A function the model may call."""

    function: OllamaFunction


class OllamaChatRequest(msgspec.Struct, kw_only=True):
    """`POST /api/chat`. It streams unless told not to."""

    model: Name
    messages: list[OllamaMessage]
    stream: bool | None = None
    format: Literal["json", ""] | dict[str, Any] | None = None
    tools: list[OllamaTool] | None = None
    think: Think = None
    options: dict[str, Any] | None = None
    keep_alive: KeepAlive = None


class OllamaGenerateRequest(msgspec.Struct, kw_only=True):
    """`POST /api/generate`. It streams unless told not to; with `suffix` the model fills in the middle."""

    model: Name
    prompt: str = ""
    suffix: str | None = None
    system: str | None = None
    images: list[str] | None = None
    stream: bool | None = None
    raw: bool | None = None
    format: Literal["json", ""] | dict[str, Any] | None = None
    think: Think = None
    options: dict[str, Any] | None = None
    keep_alive: KeepAlive = None


class OllamaEmbedRequest(msgspec.Struct, kw_only=True):
    """`POST /api/embed`."""

    model: Name
    input: str | list[str]
    truncate: bool | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    options: dict[str, Any] | None = None
    keep_alive: KeepAlive = None


class OllamaEmbeddingsRequest(msgspec.Struct, kw_only=True):
    """`POST /api/embeddings`, the older form: one prompt, one vector."""

    model: Name
    prompt: str = ""


class OllamaShowRequest(msgspec.Struct, kw_only=True):
    """`POST /api/show`."""

    model: Name
    verbose: bool | None = None


class OllamaManagedRequest(msgspec.Struct, kw_only=True):
    """What would manage a library of weights."""

    model: str | None = None


class OllamaVersion(msgspec.Struct):
    """The version of the API that is spoken."""

    version: str


class OllamaAnswer(msgspec.Struct, kw_only=True):
    """The last or only object of an answer; a stream is a line of JSON for each."""

    model: str
    created_at: str
    done: bool
    done_reason: str | None = None
    message: dict[str, Any] | None = None
    response: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None


class OllamaEmbeddings(msgspec.Struct, kw_only=True):
    """Vectors, in the order of the inputs."""

    model: str
    embeddings: list[list[float]]


class OllamaEmbedding(msgspec.Struct):
    """One vector."""

    embedding: list[float]


class OllamaModels(msgspec.Struct):
    """Models, one object each."""

    models: list[dict[str, Any]]


class OllamaError(msgspec.Struct):
    """An error in Ollama's spelling."""

    error: str
