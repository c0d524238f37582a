"""Which endpoint a request body is meant for, as far as its own fields tell.

Promised: only the names and kinds of fields are looked at, never what a prompt says. Not done here: reading the body; what
does not fit the endpoint that it looks like is told by the endpoint's own reader.
"""

from collections.abc import Callable

import msgspec

from freehold.fault import FaultError
from freehold.runtime import Abilities
from freehold.wire.body import UNREADABLE, split_top
from freehold.wire.multipart import read_form

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
RESPONSES = "/v1/responses"
_FORM = b"--"
"""What a body begins with that is a form."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How a body for one endpoint looks."""

    endpoint: str
    needs: frozenset[str]
    """Fields without which it is none."""
    marks: frozenset[str]
    """Fields that others with the same needs do not have."""
    ability: str
    """What a deployment must have to serve it."""


def _shape(endpoint: str, needs: str, marks: str, ability: str = "chat") -> Shape:
    return Shape(endpoint=endpoint, needs=frozenset(needs.split()), marks=frozenset(marks.split()), ability=ability)


_OLLAMA = "options keep_alive think"
_SAMPLING = "stop seed logit_bias frequency_penalty presence_penalty stream_options logprobs"
_IMAGE = "size quality background style output_format output_compression response_format moderation partial_images"
SHAPES = (
    _shape(
        CHAT,
        "messages",
        f"{_SAMPLING} n user max_completion_tokens response_format reasoning_effort parallel_tool_calls functions top_logprobs",
    ),
    _shape(MESSAGES, "messages", "system stop_sequences thinking mcp_servers container context_management output_config"),
    _shape("/api/chat", "messages", f"{_OLLAMA} format"),
    _shape("/v1/completions", "model prompt", f"{_SAMPLING} max_tokens temperature top_p suffix echo best_of", "completion"),
    _shape("/v1/images/generations", "prompt", _IMAGE, "image_generation"),
    _shape("/v1/images/edits", "prompt images", f"{_IMAGE} images mask input_fidelity", "image_generation"),
    _shape("/api/generate", "model prompt", f"{_OLLAMA} suffix format raw template context system", "completion"),
    _shape("/api/embeddings", "model prompt", "options keep_alive", "embeddings"),
    _shape(
        RESPONSES,
        "model input",
        "tools tool_choice store previous_response_id conversation max_output_tokens reasoning text include truncation stream "
        "temperature top_p background prompt prompt_cache_key parallel_tool_calls max_tool_calls service_tier",
    ),
    _shape("/v1/embeddings", "model input", "encoding_format", "embeddings"),
    _shape("/api/embed", "model input", "truncate options keep_alive", "embeddings"),
    _shape("/v1/moderations", "input", "", "moderation"),
    _shape("/v1/audio/speech", "model input", "voice speed stream_format", "speech"),
    _shape("/v1/rerank", "query documents", "", "rerank"),
)
_TAKEN = {
    RESPONSES: {"text", "items"},
    "/v1/embeddings": {"text", "texts", "ids"},
    "/api/embed": {"text", "texts"},
    "/v1/moderations": {"text", "texts", "parts"},
    "/v1/audio/speech": {"text"},
}
"""Kinds of `input`, by endpoint."""
_FORMS = (
    _shape("/v1/images/edits", "image prompt", ""),
    _shape("/v1/images/edits", "image[] prompt", ""),
    _shape("/v1/images/variations", "image", ""),
    _shape("/v1/audio/transcriptions", "file", ""),
)
"""The first that fits; a translation looks like a transcription."""


class _Kinded(msgspec.Struct, frozen=True):
    """An entry of a list of messages, items or tools: what tells whose it is."""

    role: str = ""
    type: str = ""
    content: str | list[msgspec.Raw] | None = None
    input_schema: msgspec.Raw = msgspec.Raw(b"")


class _Body(msgspec.Struct, frozen=True):
    model: str = ""
    messages: list[_Kinded] = []
    tools: list[_Kinded] = []
    input: str | list[str | int | list[int] | _Kinded] = ""
    images: list[str | _Kinded] = []


_BODY = msgspec.json.Decoder(_Body)
_PARTS = msgspec.json.Decoder(list[_Kinded])
_OTHERS_ROLES = frozenset({"system", "developer", "tool", "function"})
"""Roles that Anthropic's messages do not have."""
_ANTHROPIC_PARTS = frozenset({"tool_use", "tool_result", "thinking", "redacted_thinking", "document", "image"})


def guess(body: bytes, able: Callable[[str], tuple[Abilities, ...]]) -> tuple[str, ...]:
    """The endpoints that a body may be meant for; several: its fields fit them all. One that is unreadable is taken for a chat's.

    `able` gives the abilities of what a model's name means: they tell a text to embed from one to answer.
    """
    if body.startswith(_FORM):
        return _guess_form(body)
    try:
        fields = split_top(body).keys()
    except FaultError:
        return (CHAT,)
    try:
        read = _BODY.decode(body)
    except UNREADABLE:  # the endpoint's own reader will say what is wrong
        read = _Body()
    told = {
        shape: len(shape.marks & fields) + _speaks_for(shape.endpoint, read)
        for shape in SHAPES
        if shape.needs <= fields and _may_be(shape.endpoint, read)
    }
    best = [shape for shape in told if told[shape] == max(told.values())]
    if len(best) > 1 and "messages" in fields:
        return (CHAT,) if any(shape.endpoint == CHAT for shape in best) else (best[0].endpoint,)
    if len(best) > 1:
        meant = able(read.model)
        best = [shape for shape in best if any(_has(shape.ability, one) for one in meant)] or best
    if len(best) > 1 and not told[best[0]]:  # nothing of Ollama's own is said
        best = [shape for shape in best if not shape.endpoint.startswith("/api/")]
    return tuple(shape.endpoint for shape in best)


def _guess_form(body: bytes) -> tuple[str, ...]:
    try:
        fields = {part.name for part in read_form(body, content_type_of(body)).parts}
    except FaultError:
        fields = set()
    return tuple(shape.endpoint for shape in _FORMS if shape.needs <= fields)[:1]


def content_type_of(body: bytes) -> str:
    """What a client says of the body: of a form, with the boundary that it begins with."""
    if not body.startswith(_FORM):
        return "application/json"
    boundary = body[len(_FORM) : 200].partition(b"\r\n")[0].decode("latin-1").rstrip()
    return f'multipart/form-data; boundary="{boundary}"'


def _may_be(endpoint: str, read: _Body) -> bool:
    """Whether nothing of its kind of content speaks against it."""
    if endpoint == MESSAGES:
        return not any(one.role in _OTHERS_ROLES for one in read.messages)
    if endpoint == "/v1/images/edits":
        return any(not isinstance(one, str) for one in read.images)
    return endpoint not in _TAKEN or _kind_of(read.input) in _TAKEN[endpoint]


def _kind_of(given: str | list[str | int | list[int] | _Kinded]) -> str:
    if isinstance(given, str):
        return "text"
    first = given[0] if given else ""
    if isinstance(first, _Kinded):
        return "parts" if not first.role and first.type in {"text", "image_url"} else "items"
    return "texts" if isinstance(first, str) else "ids"


def _speaks_for(endpoint: str, read: _Body) -> int:
    """How much of its kind of content speaks for it."""
    if endpoint != MESSAGES:
        return 0
    parts = [part for one in read.messages if isinstance(one.content, list) for part in _read_parts(one.content)]
    return sum(bytes(tool.input_schema) != b"" for tool in read.tools) + sum(part.type in _ANTHROPIC_PARTS for part in parts)


def _read_parts(parts: list[msgspec.Raw]) -> list[_Kinded]:
    try:
        return _PARTS.decode(b"[" + b",".join(bytes(part) for part in parts) + b"]")
    except UNREADABLE:
        return []


def _has(ability: str, abilities: Abilities) -> bool:
    if ability == "completion" and abilities.completion is None:
        return abilities.chat
    return bool(getattr(abilities, ability))
