"""Writes a request from the neutral middle for an upstream that speaks the Messages format.

Promised: what goes out is a body that format allows, or a fault that names the place: nothing that would change the
meaning is lost in silence. What is dropped on purpose is listed in docs/wire.md. Not done: models differ in what
they take beyond the common body, so `effort`, `structured_output`, `adaptive_thinking`, `no_sampling` and
`one_sampler` are quirks of the deployment, and without them the field is dropped or refused as listed.
"""

from typing import Any

import msgspec

from freehold.chat import ChatRequest, Opaque, Reasoning, Tool
from freehold.wire.anthropic_messages.places import unsupported, wrong
from freehold.wire.anthropic_messages.turns import is_tool_name, write_turns
from freehold.wire.codec import Sent

DEFAULT_MAX_TOKENS = 4096
"""Asked for where neither the client nor the deployment names a length; the format demands one."""

SMALLEST_THINKING_BUDGET = 1024
"""Tokens; the format refuses less."""

_FORMAT = "anthropic_messages"
_EPHEMERAL = {"type": "ephemeral"}
_REFUSED_FIELDS = frozenset({"audio", "modalities", "logit_bias", "web_search_options", "functions", "function_call", "grammar"})
"""Fields of other formats that change what is answered and cannot be said here; all others are dropped."""

_encode = msgspec.json.Encoder().encode


def write_request(request: ChatRequest, sent: Sent) -> bytes:
    """The request body. Raises FaultError: UNSUPPORTED for what the format cannot say, INVALID_REQUEST for what
    breaks its rules (a tool's name, a call's arguments).
    """
    _refuse_unsayable(request)
    body: dict[str, Any] = {"model": sent.model, "max_tokens": _max_tokens(request, sent)}
    turns = write_turns(request.messages)
    if turns.system:
        body["system"] = turns.system
    body["messages"] = turns.messages
    _write_tools(body, request, sent)
    _write_sampling(body, request, sent)
    _write_reasoning(body, request.reasoning, sent, can_think=turns.can_think)
    _write_output(body, request, sent)
    if request.user:
        body["metadata"] = {"user_id": request.user}
    if request.stream:
        body["stream"] = True
    _write_opaque(body, request)
    body.update(sent.extra)
    return _encode(body)


def _refuse_unsayable(request: ChatRequest) -> None:
    if request.n > 1:
        raise unsupported("n", "the Messages format gives one answer; ask with n = 1")
    if request.logprobs:
        raise unsupported("logprobs", "the Messages format has no log probabilities")


def _max_tokens(request: ChatRequest, sent: Sent) -> int:
    ceiling = sent.max_tokens_ceiling
    if request.max_tokens is None:
        return DEFAULT_MAX_TOKENS if ceiling is None else ceiling
    return request.max_tokens if ceiling is None else min(request.max_tokens, ceiling)


def _write_tools(body: dict[str, Any], request: ChatRequest, sent: Sent) -> None:
    tools = [_tool(tool, f"tools[{index}]", sent) for index, tool in enumerate(request.tools)]
    if not tools:
        return
    body["tools"] = tools
    choice: dict[str, Any] = {}
    match request.tool_choice:
        case None:
            pass
        case wanted if wanted.mode == "named":
            choice = {"type": "tool", "name": wanted.name}
        case wanted:
            choice = {"type": "any" if wanted.mode == "required" else wanted.mode}
    if request.parallel_tool_calls is False and choice.get("type") != "none":
        choice = {"type": "auto", **choice, "disable_parallel_tool_use": True}
    if choice:
        body["tool_choice"] = choice


def _tool(tool: Tool | Opaque, at: str, sent: Sent) -> object:
    if isinstance(tool, Opaque):
        if tool.format != _FORMAT:
            raise unsupported(at, f"the Messages format has no tool of type `{tool.key}`")
        return tool.value
    if not is_tool_name(tool.name):
        raise wrong(f"{at}.name", "a tool's name has 1 to 128 letters, digits, `_` or `-`")
    written: dict[str, object] = {"name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    written["input_schema"] = _input_schema(tool.parameters)
    if tool.strict and "structured_output" in sent.quirks:
        written["strict"] = True
    if tool.cache_mark:
        written["cache_control"] = _EPHEMERAL
    return written


def _input_schema(parameters: dict[str, Any] | None) -> dict[str, Any]:
    if not parameters:
        return {"type": "object", "properties": {}}
    return parameters if "type" in parameters else {"type": "object", **parameters}


def _write_sampling(body: dict[str, Any], request: ChatRequest, sent: Sent) -> None:
    stops = [stop for stop in request.stop if stop]
    if any(not stop.strip() for stop in stops):
        raise unsupported("stop", "the Messages format takes no stop sequence of white space alone")
    if stops:
        body["stop_sequences"] = stops
    if "no_sampling" in sent.quirks:
        return
    if request.temperature is not None:
        body["temperature"] = min(request.temperature, 1.0)
    if request.top_p is not None and not (request.temperature is not None and "one_sampler" in sent.quirks):
        body["top_p"] = request.top_p
    if request.top_k is not None:
        body["top_k"] = request.top_k


def _write_reasoning(body: dict[str, Any], reasoning: Reasoning | None, sent: Sent, *, can_think: bool) -> None:
    """Thinking, where asked for and allowed: a forced tool, or a tool turn whose thinking is gone, excludes a budget."""
    if reasoning is None:
        return
    if reasoning.effort not in (None, "none") and "effort" in sent.quirks:
        body["output_config"] = {"effort": "low" if reasoning.effort == "minimal" else reasoning.effort}
    if reasoning.enabled is False:
        body["thinking"] = {"type": "disabled"}
        return
    forced = body.get("tool_choice", {}).get("type") in ("any", "tool")
    if forced:
        return
    budget = reasoning.budget_tokens
    if budget is not None:
        budget = min(max(budget, SMALLEST_THINKING_BUDGET), body["max_tokens"] - 1)
        if budget >= SMALLEST_THINKING_BUDGET and can_think:
            body["thinking"] = {"type": "enabled", "budget_tokens": budget}
            body.pop("top_k", None)
            body.pop("temperature", None)
    elif reasoning.enabled and "adaptive_thinking" in sent.quirks:
        body["thinking"] = {"type": "adaptive"}


def _write_output(body: dict[str, Any], request: ChatRequest, sent: Sent) -> None:
    output = request.output
    if output is None:
        return
    if output.kind != "json_schema":
        raise unsupported("response_format", "the Messages format has no free JSON mode; give a `json_schema`")
    if "structured_output" not in sent.quirks:
        raise unsupported("response_format", f"`{request.model}` is not known to hold to a JSON schema; pick another model")
    config = body.setdefault("output_config", {})
    config["format"] = {"type": "json_schema", "schema": output.schema or {"type": "object"}}


def _write_opaque(body: dict[str, Any], request: ChatRequest) -> None:
    for field in request.opaque:
        if field.format == _FORMAT:
            body.setdefault(field.key, field.value)
        elif field.may_drop is False or (field.key in _REFUSED_FIELDS and not _says_nothing(field)):
            helps = field.remedy or "leave the field out or pick another model"
            raise unsupported(field.key, f"the Messages format cannot say this; {helps}")


def _says_nothing(field: Opaque) -> bool:
    """Null, empty, or the value every request has anyway."""
    return bytes(field.value).replace(b" ", b"") in (b"null", b"{}", b"[]", b'["text"]', b'"auto"', b'""')
