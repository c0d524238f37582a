"""Writes a request of the neutral middle for an upstream that speaks Ollama's API.

Promised: the prompt is never cut (`truncate` and `shift` are off, `options.num_ctx` is what the deployment serves). What is
dropped, moved or refused is listed in docs/wire.md. Quirk read here: `think`, without which a wish for thinking is dropped,
since Ollama refuses it for models that cannot.
"""

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
    ToolResultPart,
)
from freehold.fault import FaultError, Kind, faulty
from freehold.wire.body import UNREADABLE
from freehold.wire.codec import Sent
from freehold.wire.failed_result import mark_failed
from freehold.wire.ollama.images import write_image
from freehold.wire.ollama.relay import NEVER_CUT

_encode = msgspec.json.Encoder().encode
_OBJECT = msgspec.json.Decoder(dict[str, Any])
_OPTIONS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_EFFORTS = {"minimal": "low", "xhigh": "max"}
_MAY_NOT_DROP = frozenset(
    {
        ("anthropic_messages", "container"),
        ("anthropic_messages", "mcp_servers"),
        ("anthropic_messages", "thread"),
        ("openai_chat", "audio"),
        ("openai_chat", "logit_bias"),
        ("openai_chat", "modalities"),
        ("openai_chat", "tool_choice"),
        ("openai_chat", "web_search_options"),
        ("openai_responses", "previous_response_id"),
        ("openai_responses", "conversation"),
        ("openai_responses", "prompt"),
    }
)
"""Top-level fields of other formats that change what is asked; every other one is a hint and is dropped."""
_SAYS_NOTHING = (b"null", b"{}", b"[]", b'["text"]', b'""')


def write_request(request: ChatRequest, sent: Sent) -> bytes:
    """See `wire.codec.Codec.write_request`: for `/api/chat`."""
    body: dict[str, Any] = {"model": sent.model, "messages": _Turns().write(request.messages)}
    tools = _write_tools(request)
    if tools:
        body["tools"] = tools
    return _finish(body, request, sent)


def write_generate_request(request: ChatRequest, sent: Sent) -> bytes:
    """See `wire.codec.Codec.write_request`: for `/api/generate`, whose request was read from that format."""
    body: dict[str, Any] = {"model": sent.model}
    system = [_join(_texts(message.parts)) for message in request.messages if message.role == "system"]
    if system:
        body["system"] = "\n\n".join(system)
    said = [message for message in request.messages if message.role != "system"]
    if len(said) != 1 or said[0].role != "user" or request.tools:
        raise _unsupported("a conversation (ask /api/chat)", "prompt")
    body["prompt"] = _join(_texts(said[0].parts))
    if request.suffix is not None:
        body["suffix"] = request.suffix
    images = [write_image(part, "images") for part in said[0].parts if isinstance(part, ImagePart)]
    if images:
        body["images"] = images
    return _finish(body, request, sent)


def _finish(body: dict[str, Any], request: ChatRequest, sent: Sent) -> bytes:
    if request.n > 1:
        raise _unsupported("`n` over 1", "n")
    body["stream"] = request.stream
    if request.output is not None:
        body["format"] = _write_format(request.output)
    think = _write_think(request.reasoning, sent.quirks)
    if think is not None:
        body["think"] = think
    if request.logprobs:
        body["logprobs"] = True
        if request.top_logprobs is not None:
            body["top_logprobs"] = request.top_logprobs
    options = _write_options(request, sent)
    _write_opaque(body, options, request)
    if sent.window is not None:
        options["num_ctx"] = sent.window
    if options:
        body["options"] = options
    body |= NEVER_CUT | sent.extra
    try:
        return _encode(body)
    except RecursionError:
        raise faulty(Kind.INVALID_REQUEST, "a tool's or an output's schema is nested too deeply") from None


def _write_options(request: ChatRequest, sent: Sent) -> dict[str, Any]:
    limit, ceiling = request.max_tokens, sent.max_tokens_ceiling
    if ceiling is not None:
        limit = ceiling if limit is None else min(limit, ceiling)
    options: dict[str, Any] = {} if limit is None else {"num_predict": limit}
    for field in ("temperature", "top_k", "top_p", "seed", "presence_penalty", "frequency_penalty"):
        value = getattr(request, field)
        if value is not None:
            options[field] = value
    if request.stop:
        options["stop"] = request.stop
    return options


def _write_opaque(body: dict[str, Any], options: dict[str, Any], request: ChatRequest) -> None:
    for opaque in request.opaque:
        if opaque.format == "ollama":
            if opaque.key == "options":
                options |= {key: value for key, value in _OPTIONS.decode(opaque.value).items() if key not in options}
            else:
                body[opaque.key] = opaque.value
        elif opaque.may_drop is False or (
            opaque.may_drop is None
            and (opaque.format, opaque.key) in _MAY_NOT_DROP
            and bytes(opaque.value).replace(b" ", b"") not in _SAYS_NOTHING
        ):
            raise _unsupported(f"`{opaque.key}`", opaque.key, opaque.remedy)


def _write_format(output: OutputFormat) -> object:
    return "json" if output.kind == "json_object" or output.schema is None else output.schema


def _write_think(reasoning: Reasoning | None, quirks: frozenset[str]) -> bool | str | None:
    """Off may always be said. A budget without a level becomes the level it is nearest to."""
    if reasoning is None:
        return None
    if reasoning.enabled is False or reasoning.effort == "none":
        return False
    if "think" not in quirks:
        return None
    effort = reasoning.effort
    if effort is not None:
        return _EFFORTS.get(effort, effort)
    budget = reasoning.budget_tokens
    if budget is None:
        return True if reasoning.enabled else None
    return "low" if budget < 4096 else "medium" if budget < 16384 else "high"


def _write_tools(request: ChatRequest) -> list[dict[str, Any]]:
    """None at all where the model may call none: the format has no `tool_choice`."""
    choice = request.tool_choice
    if choice is not None and choice.mode == "none":
        return []
    if choice is not None and choice.mode != "auto" and request.tools:
        remedy = "leave it out, or give the deployment the quirk tools_by_schema, which forces calls by a schema"
        raise _unsupported("`tool_choice` that forces a call", "tool_choice", remedy)
    return [_write_tool(tool) for tool in request.tools]


def _write_tool(tool: Tool | Opaque) -> dict[str, Any]:
    if isinstance(tool, Opaque):
        raise _unsupported(f"the server tool `{tool.key}`", "tools", tool.remedy)
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.parameters or {"type": "object", "properties": {}}
    return {"type": "function", "function": function}


class _Turns:
    """The messages while they are written: which id is which tool's, and images that wait for a user's turn."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._written: list[dict[str, Any]] = []

    def write(self, messages: tuple[Message, ...]) -> list[dict[str, Any]]:
        for at, message in enumerate(messages):
            param = f"messages[{at}]"
            if message.role == "assistant":
                self._written.append(self._write_assistant(param, message.parts))
            else:
                self._write_said(param, message)
        return self._written

    def _write_said(self, param: str, message: Message) -> None:
        """Results first, each as its own message; then what else was said, with the images of the results."""
        texts: list[str] = []
        images: list[str] = []
        has_results = False
        for part in message.parts:
            match part:
                case ToolResultPart():
                    has_results = True
                    self._write_result(param, part, texts, images)
                case TextPart(text):
                    texts.append(text)
                case ImagePart():
                    images.append(write_image(part, f"{param}.content"))
                case _:
                    raise _odd_part(part, f"{param}.content")
        if texts or images or not has_results:
            said: dict[str, Any] = {"role": message.role, "content": _join(texts)}
            self._written.append({**said, "images": images} if images else said)

    def _write_result(self, param: str, result: ToolResultPart, texts: list[str], images: list[str]) -> None:
        """Its images go with the user's turn behind it, under a line that names the call: templates show them nowhere else."""
        kept: list[str] = []
        moved: list[str] = []
        for part in result.content:
            match part:
                case TextPart(text):
                    kept.append(text)
                case ImagePart():
                    moved.append(write_image(part, f"{param}.content"))
                case _:
                    raise _odd_part(part, f"{param}.content")
        if moved:
            texts.append(f"Image returned by the tool call {result.call_id}:")
            images += moved
        content = _join(kept)
        if result.is_error:
            content = mark_failed(content)
        written = {"role": "tool", "content": content, "tool_call_id": result.call_id}
        name = self._names.get(result.call_id)
        self._written.append({**written, "tool_name": name} if name is not None else written)

    def _write_assistant(self, param: str, parts: tuple[Part, ...]) -> dict[str, Any]:
        texts: list[str] = []
        thoughts: list[str] = []
        calls: list[dict[str, Any]] = []
        for part in parts:
            match part:
                case TextPart(text):
                    texts.append(text)
                case ReasoningPart(text):
                    thoughts.append(text)
                case ToolCallPart(call_id, name, arguments):
                    self._names[call_id] = name
                    function = {"name": name, "arguments": _read_object(arguments, f"{param}.tool_calls[{len(calls)}]")}
                    calls.append({"id": call_id, "function": function})
                case Opaque("openai_chat", "refusal", value):
                    texts.append(str(msgspec.json.decode(value)["refusal"]))
                case _:
                    raise _odd_part(part, f"{param}.content")
        written: dict[str, Any] = {"role": "assistant", "content": _join(texts)}
        if any(thoughts):
            written["thinking"] = "".join(thoughts)
        if calls:
            written["tool_calls"] = calls
        return written


def _read_object(arguments: str, param: str) -> dict[str, Any]:
    try:
        return _OBJECT.decode(arguments) if arguments.strip() else {}
    except UNREADABLE:
        raise faulty(Kind.INVALID_REQUEST, f"{param}: Ollama takes a JSON object as a call's arguments", param=param) from None


def _texts(parts: tuple[Part, ...]) -> list[str]:
    return [part.text for part in parts if isinstance(part, TextPart)]


def _join(texts: list[str]) -> str:
    return "\n\n".join(texts)


def _odd_part(part: Part, param: str) -> FaultError:
    what = f"a content part of type `{part.key}`" if isinstance(part, Opaque) else "this content here"
    return _unsupported(what, param, part.remedy if isinstance(part, Opaque) else None)


def _unsupported(what: str, param: str, remedy: str | None = None) -> FaultError:
    helps = remedy or "drop it or pick a model that is served in your own wire format"
    return faulty(Kind.UNSUPPORTED, f"Ollama cannot be told {what}; {helps}", param=param)
