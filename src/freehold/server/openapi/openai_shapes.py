"""Bodies of OpenAI's Chat Completions, Completions, Embeddings and Models, as far as they are read or written here.

Source: OpenAI's published OpenAPI document. Fields that are not named here are taken and, in a relay, passed on.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Name = Annotated[str, Meta(min_length=1)]
Limit = Annotated[int, Meta(ge=-1, extra_json_schema={"not": {"const": 0}}, description="-1 says: no limit of mine.")]

_TOKENS = {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}}
_TEXTS = {"type": "array", "minItems": 1, "maxItems": 2048, "items": {"type": "string", "minLength": 1}}
TextsOrTokens = Annotated[
    Any,
    Meta(
        extra_json_schema={
            "anyOf": [{"type": "string", "minLength": 1}, _TEXTS, _TOKENS, {"type": "array", "minItems": 1, "items": _TOKENS}]
        }
    ),
]
"""One input or many, as texts or as token ids. (One union of lists, which msgspec's own schemas do not have.)"""


class ChatTextPart(msgspec.Struct, tag_field="type", tag="text"):
    """Text."""

    text: str


class ChatRefusalPart(msgspec.Struct, tag_field="type", tag="refusal"):
    """A refusal the assistant spoke earlier."""

    refusal: str


class ChatImageUrl(msgspec.Struct):
    """A `data:` URL, or the address of an image, which the runtime fetches and Freehold never does."""

    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class ChatImagePart(msgspec.Struct, tag_field="type", tag="image_url"):
    """An image."""

    image_url: ChatImageUrl


class ChatAudio(msgspec.Struct):
    """Base64 audio."""

    data: str
    format: Literal["wav", "mp3"]


class ChatAudioPart(msgspec.Struct, tag_field="type", tag="input_audio"):
    """Audio; relayed only."""

    input_audio: ChatAudio


class ChatFilePart(msgspec.Struct, tag_field="type", tag="file"):
    """A file; relayed only."""

    file: dict[str, Any]


ChatTexts = str | list[ChatTextPart]
ChatUserContent = str | list[ChatTextPart | ChatImagePart | ChatAudioPart | ChatFilePart]


class ChatCallFunction(msgspec.Struct):
    """The function and its arguments, which are JSON text as the model wrote it."""

    name: str
    arguments: str


class ChatFunctionCall(msgspec.Struct, tag_field="type", tag="function"):
    """A call of a function."""

    id: str
    function: ChatCallFunction


class ChatCustomInput(msgspec.Struct):
    """A custom tool and its input."""

    name: str
    input: str


class ChatCustomCall(msgspec.Struct, tag_field="type", tag="custom"):
    """A call of a custom tool; relayed only."""

    id: str
    custom: ChatCustomInput


class ChatSystemMessage(msgspec.Struct, tag_field="role", tag="system"):
    """Instructions."""

    content: ChatTexts
    name: str | None = None


class ChatDeveloperMessage(msgspec.Struct, tag_field="role", tag="developer"):
    """Instructions, under their newer name."""

    content: ChatTexts
    name: str | None = None


class ChatUserMessage(msgspec.Struct, tag_field="role", tag="user"):
    """What the user says."""

    content: ChatUserContent
    name: str | None = None


class ChatAssistantMessage(msgspec.Struct, tag_field="role", tag="assistant"):
    """What the model said before."""

    content: str | list[ChatTextPart | ChatRefusalPart] | None = None
    refusal: str | None = None
    name: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ChatFunctionCall | ChatCustomCall] | None = None


class ChatToolMessage(msgspec.Struct, tag_field="role", tag="tool"):
    """The result of a call."""

    content: ChatTexts
    tool_call_id: str


ChatMessage = ChatSystemMessage | ChatDeveloperMessage | ChatUserMessage | ChatAssistantMessage | ChatToolMessage


class ChatFunction(msgspec.Struct):
    """A function: its name, what it is for, and the JSON schema of its arguments."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ChatFunctionTool(msgspec.Struct, tag_field="type", tag="function"):
    """A function the model may call."""

    function: ChatFunction


class ChatCustomTool(msgspec.Struct, tag_field="type", tag="custom"):
    """A custom tool; relayed only."""

    custom: dict[str, Any]


class ChatNamed(msgspec.Struct):
    """A function by name."""

    name: str


class ChatNamedChoice(msgspec.Struct, tag_field="type", tag="function"):
    """The function of that name, and no other."""

    function: ChatNamed


class ChatTextFormat(msgspec.Struct, tag_field="type", tag="text"):
    """Text, the default."""


class ChatJsonFormat(msgspec.Struct, tag_field="type", tag="json_object"):
    """Any JSON object."""


class ChatJsonSchema(msgspec.Struct):
    """A named JSON schema."""

    name: str
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class ChatJsonSchemaFormat(msgspec.Struct, tag_field="type", tag="json_schema"):
    """JSON that satisfies a schema."""

    json_schema: ChatJsonSchema


class ChatStreamOptions(msgspec.Struct):
    """What a stream carries beside the answer."""

    include_usage: bool | None = None


class ChatCompletionRequest(msgspec.Struct, kw_only=True):
    """`POST /v1/chat/completions`."""

    model: Annotated[str, Meta(min_length=1, description="A model, an alias or a deployment; `GET /v1/models` lists them.")]
    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: ChatStreamOptions | None = None
    max_tokens: Limit | None = None
    max_completion_tokens: Limit | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: str | list[str] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: list[ChatFunctionTool | ChatCustomTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | ChatNamedChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ChatTextFormat | ChatJsonFormat | ChatJsonSchemaFormat | None = None
    reasoning_effort: str | None = None
    user: str | None = None
    prompt_cache_key: str | None = None


class ChatUsage(msgspec.Struct):
    """Tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, Any] | None = None
    completion_tokens_details: dict[str, Any] | None = None


class ChatAnswerMessage(msgspec.Struct):
    """What the model says."""

    role: Literal["assistant"]
    content: str | None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ChatFunctionCall | ChatCustomCall] | None = None


class ChatAnswerChoice(msgspec.Struct):
    """One of the alternatives."""

    index: int
    message: ChatAnswerMessage
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter", "function_call"]
    logprobs: dict[str, Any] | None = None


class ChatCompletion(msgspec.Struct, kw_only=True):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatAnswerChoice]
    usage: ChatUsage | None = None
    system_fingerprint: str | None = None


class CompletionRequest(msgspec.Struct, kw_only=True):
    """`POST /v1/completions`; with `suffix` the model fills in the middle."""

    model: Name
    prompt: str | list[str | int | list[int]] = ""
    suffix: str | None = None
    max_tokens: Limit | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: ChatStreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    echo: bool | None = None
    user: str | None = None


class CompletionChoice(msgspec.Struct):
    """One of the alternatives."""

    index: int
    text: str
    finish_reason: str | None
    logprobs: dict[str, Any] | None = None


class Completion(msgspec.Struct, kw_only=True):
    """A whole completion."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: ChatUsage | None = None


class EmbeddingsRequest(msgspec.Struct, kw_only=True):
    """`POST /v1/embeddings`."""

    model: Name
    input: TextsOrTokens
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    user: str | None = None


class Embedding(msgspec.Struct):
    """One vector: numbers, or base64 of little-endian float32."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingsUsage(msgspec.Struct):
    """Tokens."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(msgspec.Struct, kw_only=True):
    """Vectors, in the order of the inputs."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingsUsage


class OpenAIErrorBody(msgspec.Struct):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(msgspec.Struct):
    """An error in OpenAI's spelling."""

    error: OpenAIErrorBody
