"""Writes a request of the neutral middle for an upstream that speaks Chat Completions.

What is dropped, moved or refused is listed in docs/wire.md. Quirks read here: `system_first`, `max_completion_tokens`,
`no_reasoning_effort`, `thinking_switch`, `reasoning_content_in`, `top_k`, `string_content`, `alternating_roles`, `cache_control`. Usage is
always asked for.
"""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from freehold.chat import (
    ChatRequest,
    ImagePart,
    Message,
    Opaque,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningPart,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
)
from freehold.fault import FaultError, Kind, faulty
from freehold.wire.codec import Sent
from freehold.wire.failed_result import mark_failed
from freehold.wire.openai_chat.alternation import alternate

_encode = msgspec.json.Encoder().encode
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAY_NOT_DROP = frozenset(
    {
        ("anthropic_messages", "container"),
        ("anthropic_messages", "mcp_servers"),
        ("anthropic_messages", "thread"),
        ("openai_responses", "previous_response_id"),
        ("openai_responses", "conversation"),
        ("openai_responses", "prompt"),
    }
)
"""Top-level fields of other formats that change what is asked; every other one is a hint and is dropped."""


def write_request(request: ChatRequest, sent: Sent) -> bytes:
    """See `wire.codec.Codec.write_request`."""
    quirks = sent.quirks
    body: dict[str, Any] = {"model": sent.model, "messages": _write_messages(request.messages, quirks)}
    if request.tools:
        body["tools"] = [_write_tool(tool) for tool in request.tools]
        _put(body, "tool_choice", _write_choice(request.tool_choice))
        _put(body, "parallel_tool_calls", request.parallel_tool_calls)
    _write_sampling(body, request, sent)
    _put(body, "response_format", _write_output(request.output))
    if "no_reasoning_effort" not in quirks:
        _put(body, "reasoning_effort", _write_effort(request.reasoning))
    if "thinking_switch" in quirks:
        _put(body, "chat_template_kwargs", _write_switch(request.reasoning))
    if request.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    _write_opaque(body, request)
    body.update(sent.extra)
    try:
        return _encode(body)
    except RecursionError:
        raise faulty(Kind.INVALID_REQUEST, "a tool's or an output's schema is nested too deeply") from None


def _write_sampling(body: dict[str, Any], request: ChatRequest, sent: Sent) -> None:
    limit = request.max_tokens
    if sent.max_tokens_ceiling is not None:
        limit = sent.max_tokens_ceiling if limit is None else min(limit, sent.max_tokens_ceiling)
    _put(body, "max_completion_tokens" if "max_completion_tokens" in sent.quirks else "max_tokens", limit)
    for field in ("temperature", "top_p", "frequency_penalty", "presence_penalty", "seed", "top_logprobs", "user"):
        _put(body, field, getattr(request, field))
    if "top_k" in sent.quirks:
        _put(body, "top_k", request.top_k)
    if request.stop:
        body["stop"] = request.stop
    if request.n != 1:
        body["n"] = request.n
    if request.logprobs:
        body["logprobs"] = True


def _put(body: dict[str, Any], field: str, value: object) -> None:
    if value is not None:
        body[field] = value


def _write_opaque(body: dict[str, Any], request: ChatRequest) -> None:
    for opaque in request.opaque:
        if opaque.format == "openai_chat":
            if opaque.key != "tool_choice" or request.tools:
                body[opaque.key] = opaque.value
        elif opaque.may_drop is False or (opaque.format, opaque.key) in _MAY_NOT_DROP:
            raise _unsupported(f"`{opaque.key}`", opaque.key, opaque.remedy)


def _write_output(output: OutputFormat | None) -> dict[str, Any] | None:
    if output is None:
        return None
    if output.kind == "json_object" or output.schema is None:
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": output.name or "answer", "schema": output.schema}
    _put(schema, "strict", output.strict)
    return {"type": "json_schema", "json_schema": schema}


def _write_effort(reasoning: Reasoning | None) -> str | None:
    """The client's word; a budget without one becomes the level it is nearest to."""
    if reasoning is None:
        return None
    if reasoning.effort is not None or reasoning.budget_tokens is None:
        return reasoning.effort
    if reasoning.budget_tokens < 4096:
        return "low"
    return "medium" if reasoning.budget_tokens < 16384 else "high"


def _write_switch(reasoning: Reasoning | None) -> dict[str, bool] | None:
    """The variables of chat templates: `enable_thinking` of Qwen, GLM and SmolLM3, `thinking` of DeepSeek and Granite.

    A template takes the one it knows (vLLM's page on reasoning outputs).
    """
    if reasoning is None:
        return None
    thinks = reasoning.enabled
    if thinks is None:
        thinks = reasoning.effort != "none" if reasoning.effort is not None else reasoning.budget_tokens != 0
    return {"enable_thinking": thinks, "thinking": thinks}


def _write_tool(tool: Tool | Opaque) -> object:
    if isinstance(tool, Opaque):
        if tool.format == "openai_chat":
            return tool.value
        raise _unsupported(f"the server tool `{tool.key}`", "tools")
    function: dict[str, Any] = {"name": _write_name(tool.name)}
    _put(function, "description", tool.description)
    _put(function, "parameters", tool.parameters)
    _put(function, "strict", tool.strict)
    return {"type": "function", "function": function}


def _write_name(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise _unsupported(f"the tool name `{name[:80]}` (1 to 64 letters, digits, _ and - are allowed)", "tools")
    return name


def _write_choice(choice: ToolChoice | None) -> object:
    if choice is None:
        return None
    if choice.mode != "named":
        return choice.mode
    return {"type": "function", "function": {"name": choice.name}}


def _write_messages(messages: tuple[Message, ...], quirks: frozenset[str]) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = []
    moved: list[Part] = []
    if "system_first" in quirks:
        messages = _merge_system(messages)
    for at, message in enumerate(messages):
        param = f"messages[{at}]"
        results = [part for part in message.parts if isinstance(part, ToolResultPart)]
        written.extend(_write_result(param, result, moved, quirks) for result in results)
        parts: list[Part] = [part for part in message.parts if not isinstance(part, ToolResultPart)]
        if results and not parts:
            continue
        if moved:
            if message.role == "user":
                parts = moved + parts
            else:
                written.append({"role": "user", "content": _write_content(param, moved, quirks)})
            moved = []
        written.append(_write_message(param, message, parts, quirks))
    if moved:
        written.append({"role": "user", "content": _write_content("messages", moved, quirks)})
    return alternate(written) if "alternating_roles" in quirks else written


def _merge_system(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """One leading system message of all system text: many local templates refuse any other place."""
    system = [message for message in messages if message.role == "system"]
    if len(system) == 1 and system[0] is messages[0] and not all(isinstance(part, TextPart) for part in system[0].parts):
        return messages  # nothing to gather
    texts: list[str] = []
    for at, message in enumerate(messages):
        if message.role == "system":
            for part in message.parts:
                if not isinstance(part, TextPart):
                    raise _unsupported("system content that is not text", f"messages[{at}].content")
                texts.append(part.text)
    rest = tuple(message for message in messages if message.role != "system")
    return (Message("system", (TextPart("\n\n".join(texts)),)), *rest) if texts else rest


def _write_message(param: str, message: Message, parts: list[Part], quirks: frozenset[str]) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role}
    if message.role == "assistant":
        _write_assistant(param, parts, quirks, written)
    else:
        written["content"] = _write_content(param, parts, quirks)
    _put(written, "name", message.name)
    return written


def _write_assistant(param: str, parts: list[Part], quirks: frozenset[str], written: dict[str, Any]) -> None:
    said: list[Part] = []
    calls: list[object] = []
    thoughts: list[str] = []
    for part in parts:
        match part:
            case ReasoningPart(text):
                thoughts.append(text)
            case ToolCallPart(call_id, name, arguments):
                function = {"name": _write_name(name), "arguments": arguments or "{}"}
                calls.append({"id": call_id, "type": "function", "function": function})
            case Opaque("openai_chat", "tool_call", value):
                calls.append(value)
            case Opaque("openai_chat", "audio", value):
                written["audio"] = value
            case ImagePart():
                raise _unsupported("an image said by the assistant", f"{param}.content")
            case _:
                said.append(part)
    written["content"] = _write_content(param, said, quirks) if said or not calls else None
    if calls:
        written["tool_calls"] = calls
    if any(thoughts) and "reasoning_content_in" in quirks:
        written["reasoning_content"] = "".join(thoughts)


def _write_result(param: str, result: ToolResultPart, moved: list[Part], quirks: frozenset[str]) -> dict[str, Any]:
    """A tool message. Its images are moved behind the last tool message, into a user message that names the call."""
    kept: list[Part] = []
    images: list[Part] = []
    for part in result.content:
        (images if isinstance(part, ImagePart) else kept).append(part)
    if images:
        moved.append(TextPart(f"Image returned by the tool call {result.call_id}:"))
        moved.extend(images)
    if result.is_error:
        first = kept[0] if kept else None
        if isinstance(first, TextPart):
            kept[0] = TextPart(mark_failed(first.text))
        else:
            kept.insert(0, TextPart(mark_failed("")))
    return {"role": "tool", "tool_call_id": result.call_id, "content": _write_content(param, kept, quirks)}


def _write_content(param: str, parts: list[Part], quirks: frozenset[str]) -> object:
    """A plain string where it is one text, or where the quirk `string_content` asks for it; parts otherwise."""
    marks = "cache_control" in quirks
    if not parts:
        return ""
    first = parts[0]
    if len(parts) == 1 and isinstance(first, TextPart) and not (marks and first.cache_mark):
        return first.text
    if "string_content" in quirks and all(isinstance(part, TextPart) for part in parts):
        return "\n\n".join(_texts(parts))
    return [_write_part(f"{param}.content[{at}]", part, marks) for at, part in enumerate(parts)]


def _texts(parts: Iterable[Part]) -> list[str]:
    return [part.text for part in parts if isinstance(part, TextPart)]


def _write_part(param: str, part: Part, marks: bool) -> object:
    match part:
        case TextPart(text, cache_mark):
            written: dict[str, Any] = {"type": "text", "text": text}
            if marks and cache_mark:
                written["cache_control"] = {"type": "ephemeral"}
            return written
        case ImagePart(media_type, data, url, detail):
            image: dict[str, Any] = {"url": url if data is None else f"data:{media_type};base64,{data}"}
            _put(image, "detail", detail)
            return {"type": "image_url", "image_url": image}
        case Opaque("openai_chat", _, value):
            return value
        case Opaque(_, key):
            raise _unsupported(f"a content part of type `{key}`", param)
    raise _unsupported("this content here", param)


def _unsupported(what: str, param: str, remedy: str | None = None) -> FaultError:
    helps = remedy or "drop it or pick a model that is served in your own wire format"
    said = f"Chat Completions cannot say {what}; {helps}"
    return faulty(Kind.UNSUPPORTED, said, param=param)
