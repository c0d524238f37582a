"""Writes a request of the neutral middle for an upstream that speaks the Responses format.

Promised: stateless. A request that came in another format asks the vendor to store nothing, and for its thinking in
encrypted form, so that the next turn can bring it back. What is dropped or refused is listed in docs/wire.md. Quirks read
here: `system_first`, `no_reasoning_effort`, `reasoning_content_in`, `no_sampling`.
"""

from typing import Any

import msgspec

from freehold.chat import ChatRequest, Message, Opaque, OutputFormat, Reasoning, TextPart, Tool, ToolChoice
from freehold.fault import Kind, faulty
from freehold.wire.codec import Sent
from freehold.wire.openai_responses.items_out import ItemWriter, unsupported
from freehold.wire.openai_responses.peek import LOGPROBS
from freehold.wire.openai_responses.tools import FORMAT, ToolName, names_of_tools, own_original

SMALLEST_MAX_TOKENS = 16
"""The format refuses less."""
ENCRYPTED = "reasoning.encrypted_content"

_encode = msgspec.json.Encoder().encode
_read_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_SAME_IN_CHAT = frozenset(
    {
        "metadata",
        "store",
        "service_tier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prompt_cache_options",
        "safety_identifier",
        "moderation",
    }
)
"""Fields of Chat Completions with the same meaning here."""
_REFUSED_FIELDS = frozenset({"audio", "modalities", "logit_bias", "web_search_options", "functions", "function_call", "grammar"})
_NOT_AS_OPAQUE = frozenset({"verbosity", "reasoning", "include", "tool_choice"})
"""Written together with what the middle says of them."""


def write_request(request: ChatRequest, sent: Sent) -> bytes:
    """See `wire.codec.Codec.write_request`."""
    _refuse_unsayable(request)
    own = {opaque.key: opaque.value for opaque in request.opaque if opaque.format == FORMAT}
    names = names_of_tools(request.tools)
    messages = request.messages
    body: dict[str, Any] = {"model": sent.model}
    if "system_first" in sent.quirks:
        messages = _lift_system(body, messages)
    body["input"] = ItemWriter(names, sent.quirks).write(messages)
    _write_tools(body, request, names, own)
    _write_sampling(body, request, sent)
    _write_text(body, request, own)
    _write_reasoning(body, request.reasoning, own, sent)
    _write_include(body, request, own)
    if request.stream:
        body["stream"] = True
    _write_opaque(body, request, own)
    body.update(sent.extra)
    try:
        return _encode(body)
    except RecursionError:
        raise faulty(Kind.INVALID_REQUEST, "a tool's or an output's schema is nested too deeply") from None


def _refuse_unsayable(request: ChatRequest) -> None:
    if request.n > 1:
        raise unsupported("more than one answer (`n`)", "n")
    if any(request.stop):
        raise unsupported("stop sequences (`stop`)", "stop")


def _lift_system(body: dict[str, Any], messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """All system text as `instructions`, for runtimes whose templates refuse any other place."""
    texts: list[str] = []
    for at, message in enumerate(messages):
        if message.role == "system":
            for part in message.parts:
                if not isinstance(part, TextPart):
                    raise unsupported("system content that is not text", f"messages[{at}].content")
                texts.append(part.text)
    if texts:
        body["instructions"] = "\n\n".join(texts)
    return tuple(message for message in messages if message.role != "system")


def _write_tools(body: dict[str, Any], request: ChatRequest, names: dict[str, ToolName], own: dict[str, msgspec.Raw]) -> None:
    tools: list[Any] = []
    originals: set[bytes] = set()
    for at, tool in enumerate(request.tools):
        if isinstance(tool, Opaque):
            if tool.format != FORMAT:
                raise unsupported(f"the server tool `{tool.key}`", f"tools[{at}]")
            tools.append(tool.value)
        elif (original := own_original(tool)) is not None:
            if bytes(original.value) not in originals:  # a namespace stands behind each of its functions
                originals.add(bytes(original.value))
                tools.append(original.value)
        else:
            tools.append(_function(tool))
    if not tools:
        return
    body["tools"] = tools
    choice = own.get("tool_choice") or _choice(request.tool_choice, names)
    if choice is not None:
        body["tool_choice"] = choice
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls


def _function(tool: Tool) -> dict[str, Any]:
    """Unsaid strictness means strict here and not strict elsewhere, so it is always said."""
    written: dict[str, Any] = {"type": "function", "name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    written["parameters"] = tool.parameters if tool.parameters is not None else {"type": "object", "properties": {}}
    written["strict"] = tool.strict is True
    return written


def _choice(choice: ToolChoice | None, names: dict[str, ToolName]) -> object:
    if choice is None:
        return None
    if choice.mode != "named":
        return choice.mode
    known = names.get(choice.name or "")
    if known is None:
        return {"type": "function", "name": choice.name}
    namespace = {"namespace": known.namespace} if known.namespace else {}
    return {"type": known.kind, "name": known.name, **namespace}


def _write_sampling(body: dict[str, Any], request: ChatRequest, sent: Sent) -> None:
    limit = request.max_tokens
    if sent.max_tokens_ceiling is not None:
        limit = sent.max_tokens_ceiling if limit is None else min(limit, sent.max_tokens_ceiling)
    if limit is not None:
        body["max_output_tokens"] = max(limit, SMALLEST_MAX_TOKENS)
    if "no_sampling" not in sent.quirks:
        for field in ("temperature", "top_p"):
            value = getattr(request, field)
            if value is not None:
                body[field] = value
    if request.logprobs and request.top_logprobs is not None:
        body["top_logprobs"] = request.top_logprobs


def _write_text(body: dict[str, Any], request: ChatRequest, own: dict[str, msgspec.Raw]) -> None:
    text: dict[str, Any] = {}
    if request.output is not None:
        text["format"] = _format(request.output)
    verbosity = own.get("verbosity") or _of_chat(request, "verbosity")
    if verbosity is not None:
        text["verbosity"] = verbosity
    if text:
        body["text"] = text


def _format(output: OutputFormat) -> dict[str, Any]:
    if output.kind == "json_object" or output.schema is None:
        return {"type": "json_object"}
    written: dict[str, Any] = {"type": "json_schema", "name": output.name or "answer", "schema": output.schema}
    if output.strict is not None:
        written["strict"] = output.strict
    return written


def _of_chat(request: ChatRequest, key: str) -> msgspec.Raw | None:
    return next((one.value for one in request.opaque if one.format == "openai_chat" and one.key == key), None)


def _write_reasoning(body: dict[str, Any], reasoning: Reasoning | None, own: dict[str, msgspec.Raw], sent: Sent) -> None:
    written: dict[str, Any] = dict(_read_object(own["reasoning"])) if "reasoning" in own else {}
    written.pop("effort", None)
    effort = _effort(reasoning)
    if effort is not None and "no_reasoning_effort" not in sent.quirks:
        written["effort"] = effort
    if written:
        body["reasoning"] = written


def _effort(reasoning: Reasoning | None) -> str | None:
    """The client's word; a budget without one becomes the level it is nearest to."""
    if reasoning is None:
        return None
    if reasoning.effort is not None or reasoning.budget_tokens is None:
        return reasoning.effort
    if reasoning.budget_tokens < 4096:
        return "low"
    return "medium" if reasoning.budget_tokens < 16384 else "high"


def _write_include(body: dict[str, Any], request: ChatRequest, own: dict[str, msgspec.Raw]) -> None:
    if "include" in own:
        body["include"] = own["include"]
        return
    include = [LOGPROBS] if request.logprobs else []
    if "reasoning" in body and "store" not in own:
        include.append(ENCRYPTED)
    if include:
        body["include"] = include


def _write_opaque(body: dict[str, Any], request: ChatRequest, own: dict[str, msgspec.Raw]) -> None:
    is_own = False
    for opaque in request.opaque:
        if opaque.format == FORMAT:
            is_own = True
            if opaque.key not in _NOT_AS_OPAQUE:
                body.setdefault(opaque.key, opaque.value)
        elif opaque.format == "openai_chat" and opaque.key in _SAME_IN_CHAT:
            body.setdefault(opaque.key, opaque.value)
        elif opaque.key in _REFUSED_FIELDS and not _says_nothing(opaque):
            raise unsupported(f"`{opaque.key}`", opaque.key)
    if request.user is not None and not ({"user", "safety_identifier"} & own.keys()):
        body["user"] = request.user
    if not is_own:
        body.setdefault("store", False)


def _says_nothing(field: Opaque) -> bool:
    """Null, empty, or the value every request has anyway."""
    return bytes(field.value).replace(b" ", b"") in (b"null", b"{}", b"[]", b'["text"]', b'"auto"', b'""')
