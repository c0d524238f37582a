"""Bodies of Anthropic's Messages API, as far as they are read or written here.

Source: Anthropic's published API reference. Fields and block types that are not named here are taken and, in a relay,
passed on.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

LARGEST_MAX_TOKENS = 2**31 - 1
CacheControl = dict[str, Any] | None


class TextBlock(msgspec.Struct, tag_field="type", tag="text"):
    """Text."""

    text: str
    cache_control: CacheControl = None


class Base64Source(msgspec.Struct, tag_field="type", tag="base64"):
    """The bytes themselves."""

    media_type: str
    data: str


class UrlSource(msgspec.Struct, tag_field="type", tag="url"):
    """An address, which the runtime fetches and Freehold never does."""

    url: str


class ImageBlock(msgspec.Struct, tag_field="type", tag="image"):
    """An image."""

    source: Base64Source | UrlSource
    cache_control: CacheControl = None


class ThinkingBlock(msgspec.Struct, tag_field="type", tag="thinking"):
    """Thinking, signed by the vendor that made it."""

    thinking: str
    signature: str


class RedactedThinkingBlock(msgspec.Struct, tag_field="type", tag="redacted_thinking"):
    """Encrypted thinking."""

    data: str


class ToolUseBlock(msgspec.Struct, tag_field="type", tag="tool_use"):
    """A call of a tool."""

    id: str
    name: str
    input: dict[str, Any]
    cache_control: CacheControl = None


class ToolResultBlock(msgspec.Struct, tag_field="type", tag="tool_result"):
    """The result of a call."""

    tool_use_id: str
    content: str | list[TextBlock | ImageBlock] = ""
    is_error: bool | None = None
    cache_control: CacheControl = None


class DocumentBlock(msgspec.Struct, tag_field="type", tag="document"):
    """A document; relayed only."""

    source: dict[str, Any]
    title: str | None = None
    context: str | None = None
    cache_control: CacheControl = None


AskedBlock = TextBlock | ImageBlock | ThinkingBlock | RedactedThinkingBlock | ToolUseBlock | ToolResultBlock | DocumentBlock


class Turn(msgspec.Struct):
    """A message of the conversation."""

    role: Literal["user", "assistant", "system"]
    content: str | list[AskedBlock]


class MessagesTool(msgspec.Struct):
    """A tool the model may call: one of the client's, with a schema, or one the vendor hosts, with a `type`; those are relayed."""

    name: str
    input_schema: dict[str, Any] | None = None
    type: str | None = None
    description: str = ""
    strict: bool | None = None
    cache_control: CacheControl = None


_HOSTED = {"required": ["type"], "properties": {"type": {"type": "string", "not": {"const": "custom"}}}}
_OWN = {"required": ["input_schema"], "properties": {"input_schema": {"type": "object"}}}
AnyTool = Annotated[MessagesTool, Meta(extra_json_schema={"anyOf": [_OWN, _HOSTED]})]


class AutoChoice(msgspec.Struct, tag_field="type", tag="auto"):
    """The model decides."""

    disable_parallel_tool_use: bool | None = None


class AnyChoice(msgspec.Struct, tag_field="type", tag="any"):
    """Any tool."""

    disable_parallel_tool_use: bool | None = None


class ToolNamedChoice(msgspec.Struct, tag_field="type", tag="tool"):
    """The tool of that name, and no other."""

    name: str
    disable_parallel_tool_use: bool | None = None


class NoToolChoice(msgspec.Struct, tag_field="type", tag="none"):
    """No tool."""


class ThinkingOn(msgspec.Struct, tag_field="type", tag="enabled"):
    """Think, up to so many tokens."""

    budget_tokens: Annotated[int, Meta(ge=1024, le=LARGEST_MAX_TOKENS)]


class ThinkingOff(msgspec.Struct, tag_field="type", tag="disabled"):
    """Do not think."""


class ThinkingAdaptive(msgspec.Struct, tag_field="type", tag="adaptive"):
    """The model decides."""


class MessagesMetadata(msgspec.Struct):
    """About the request."""

    user_id: str | None = None


class CountTokensRequest(msgspec.Struct, kw_only=True):
    """`POST /v1/messages/count_tokens`."""

    model: Annotated[str, Meta(min_length=1, description="A model, an alias or a deployment; `GET /v1/models` lists them.")]
    messages: Annotated[list[Turn], Meta(min_length=1)]
    system: str | list[TextBlock] | None = None
    tools: list[AnyTool] | None = None
    tool_choice: AutoChoice | AnyChoice | ToolNamedChoice | NoToolChoice | None = None
    thinking: ThinkingOn | ThinkingOff | ThinkingAdaptive | None = None


class MessagesRequest(CountTokensRequest, kw_only=True):
    """`POST /v1/messages`."""

    max_tokens: Annotated[int, Meta(ge=0, le=LARGEST_MAX_TOKENS)]
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: Annotated[int, Meta(ge=0, le=LARGEST_MAX_TOKENS)] | None = None
    metadata: MessagesMetadata | None = None


class MessagesUsage(msgspec.Struct):
    """Tokens. `input_tokens` leaves cached ones out."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class AnswerBlock(msgspec.Struct):
    """A block of the answer: `text`, `thinking`, `tool_use` and what else the model's vendor has."""

    type: str


class MessagesAnswer(msgspec.Struct, kw_only=True):
    """A whole answer."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[AnswerBlock]
    stop_reason: str | None
    stop_sequence: str | None
    usage: MessagesUsage


class TokenCount(msgspec.Struct):
    """Tokens of the prompt."""

    input_tokens: int


class AnthropicErrorBody(msgspec.Struct):
    """What went wrong."""

    type: str
    message: str
    details: dict[str, Any] | None = None


class AnthropicError(msgspec.Struct):
    """An error in Anthropic's spelling."""

    type: Literal["error"]
    error: AnthropicErrorBody
    request_id: str | None = None
