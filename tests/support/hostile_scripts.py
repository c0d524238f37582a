"""What the hostile ways are made of: scripts that spell one kind of wrong in every wire format."""

from typing import Any

import msgspec

from support.hostile import KEEP, Asked, Script, Step
from support.hostile_pieces import (
    SSE_HEAD,
    answer,
    as_json,
    begun,
    chunked,
    event,
    finished,
    good,
    head,
    head_chunked,
    mark,
    one,
    opened,
    reply,
    said,
)


class Way(msgspec.Struct, frozen=True):
    script: Script
    whole: str
    stream: str
    """Expected of each, unless one of the names below is set."""
    translated_stream: str | None = None
    own: dict[str, str] = {}
    """Expected of one upstream alone: `WIRE_FORMAT_whole`, `WIRE_FORMAT_stream`, `WIRE_FORMAT_translated_stream`."""

    def expected(self, upstream: str, client: str, *, stream: bool) -> str:
        names = ["stream" if stream else "whole"]
        if stream and upstream != client:
            names.insert(0, "translated_stream")
        for name in names:
            if expected := self.own.get(f"{upstream}_{name}"):
                return expected
        if stream and self.translated_stream and upstream != client:
            return self.translated_stream
        return self.stream if stream else self.whole


INVALID, BROKEN, SILENT = "next invalid_reply", "next broken_stream", "next first_content_timeout"
OK = b"HTTP/1.1 200 OK\r\n"
JSON = b"content-type: application/json\r\n"
HTML = b"<!doctype html><html><body>Sign in to the network</body></html>"


def plays(*steps: Step) -> Script:
    return lambda _: list(steps)


def way(script: Script | bytes, whole: str, stream: str | None = None, translated_stream: str | None = None, **own: str) -> Way:
    """`own` is what one upstream's format makes of it, as `Way.own` says; `anthropic_` stands for `anthropic_messages_`."""
    named = {name.replace("anthropic_", "anthropic_messages_", 1): expected for name, expected in own.items()}
    played = plays(script) if isinstance(script, bytes) else script
    return Way(played, whole, stream or whole, translated_stream, named)


def whole_or(stream: bytes | Any, whole: bytes | Any) -> Script:
    """One script for streams, another for whole answers; each is bytes or makes them from what was asked."""

    def script(asked: Asked) -> list[Step]:
        made = stream if asked.stream else whole
        made = made(asked) if callable(made) else made
        return list(made) if isinstance(made, list) else [made]

    return script


def body(value: bytes | Any) -> Script:
    """This body as a whole answer, or as the one event of a stream."""

    def script(asked: Asked) -> list[Step]:
        made = value(asked) if callable(value) else value
        raw = made if isinstance(made, bytes) else as_json(made)
        return [head(asked.format) + one(asked.format, raw)] if asked.stream else [answer(raw)]

    return script


def events(*parts: Any) -> Script:
    """A stream of these parts, made from the format; a whole answer is good."""

    def script(asked: Asked) -> list[Step]:
        if not asked.stream:
            return [good(asked)]
        return [head(asked.format) + b"".join(part(asked.format) if callable(part) else part for part in parts)]

    return script


def hello(form: Any) -> bytes:
    return said(form, "bad")


def status(
    code: int, kind: str = "application/json", text: bytes = b'{"error":{"message":"no","type":"x"}}', more: str = ""
) -> bytes:
    return answer(text, status=f"{code} Some Words", kind=kind, more=more)


def says(raw: bytes) -> Any:
    """A piece of a stream that says just this."""
    return lambda form: one(form, raw)


def call(**piece: Any) -> bytes:
    """A chunk with one piece of a tool call; to a Messages client the delta of a block that never began."""
    return event({"choices": [{"index": 0, "delta": {"tool_calls": [piece]}}]})


def delta_without_start(asked: Asked) -> list[Step]:
    if asked.format == "openai_chat":
        return [SSE_HEAD + opened("openai_chat") + call(index=7, function={"arguments": "{"}) + finished("openai_chat")]
    if asked.format in {"openai_completions", "ollama"}:
        return [good(asked)]  # they have no such thing
    if asked.format == "openai_responses":
        orphan = {"type": "response.function_call_arguments.delta", "item_id": "x", "output_index": 7, "delta": "{"}
        return [SSE_HEAD + opened(asked.format) + event(orphan) + hello(asked.format) + mark(asked.format)]
    orphan = {"type": "content_block_delta", "index": 7, "delta": {"type": "input_json_delta", "partial_json": "{"}}
    return [SSE_HEAD + event(orphan, "content_block_delta") + finished("anthropic_messages")]


def odd_index(index: int) -> Script:
    def script(asked: Asked) -> list[Step]:
        if not asked.stream:
            return [good(asked)]
        raw = good(asked)
        for name in (b'"index": ', b'"output_index": '):
            raw = raw.replace(name + b"0", name + b"%d" % index)
        return [raw]

    return script


COUNTS = {
    "anthropic_messages": ("output_tokens",),
    "openai_responses": ("input_tokens", "output_tokens"),
    "ollama": ("prompt_eval_count", "eval_count"),
}


def odd_usage(value: int) -> Script:
    def script(asked: Asked) -> list[Step]:
        raw = as_json(reply(asked.format)) if not asked.stream else b""
        if not asked.stream:
            for count in (b": 3", b": 2", b": 5"):
                raw = raw.replace(count, b": %d" % value)
            return [answer(raw)]
        form = asked.format
        usage = dict.fromkeys(COUNTS.get(form, ("prompt_tokens", "completion_tokens")), value)
        at_end = form in {"openai_responses", "ollama"}
        end = finished(form) + mark(form, **usage) if at_end else finished(form, **usage) + mark(form)
        return [head(form) + opened(form) + hello(form) + end]

    return script


def compressed(coding: str, raw: bytes) -> Way:
    return way(answer(raw, more=f"content-encoding: {coding}\r\n"), INVALID)


def split_answer(asked: Asked) -> list[Step]:
    """A second answer right behind the first, for whoever asks next."""
    first = good(asked) if not asked.stream else b""
    if asked.stream:
        form = asked.format
        first = head_chunked(form) + chunked(opened(form) + hello(form) + finished(form) + mark(form)) + b"0\r\n\r\n"
    return [first + answer(as_json(reply(asked.format, "SMUGGLED"))), KEEP]


def error_event(asked: Asked) -> bytes:
    match asked.format:
        case "openai_chat" | "openai_completions":
            return event({"error": {"message": "it broke", "type": "server_error", "code": 500}})
        case "openai_responses":
            failed = {"id": "r", "status": "failed", "error": {"code": "server_error", "message": "it broke"}, "output": []}
            return event({"type": "response.failed", "response": failed}, "response.failed")
        case "ollama":
            return b'{"error":"it broke"}\n'
        case _:
            return event({"type": "error", "error": {"type": "api_error", "message": "it broke"}}, "error")


def error_object(asked: Asked) -> bytes:
    match asked.format:
        case "anthropic_messages":
            return answer(b'{"type":"error","error":{"type":"api_error","message":"it broke"}}')
        case "ollama":
            return answer(b'{"error":"it broke"}')
        case _:
            return answer(b'{"error":{"message":"it broke","type":"server_error"}}')


def mid_error(asked: Asked) -> bytes:
    return begun(asked) + error_event(asked)


def deep(asked: Asked) -> bytes:
    nested = b'{"a":' * 1_000_000 + b"1" + b"}" * 1_000_000
    name = {"openai_chat": b"choices", "openai_completions": b"choices", "ollama": b"message"}.get(asked.format, b"type")
    return b'{"%b":' % name + nested + b"}"


def surrogate(asked: Asked) -> list[Step]:
    return (
        [good(asked).replace(b'"bad"', b'"\\ud800b\\udfffad"')]
        if asked.stream
        else [answer(as_json(reply(asked.format)).replace(b'"bad"', b'"\\ud800b\\udfffad"'))]
    )


def twice(asked: Asked) -> bytes:
    raw = as_json(reply(asked.format))
    return answer(raw[:-1] + b',"model":"n","id":"other"}')


def same_length(asked: Asked, old: bytes, new: bytes) -> bytes:
    raw = as_json(reply(asked.format)).replace(old, new)
    return good(asked).replace(old, new) if asked.stream else answer(raw)


def with_length(wrong: int) -> Script:
    """The length in the head is `wrong` bytes more than the body; of a stream too."""

    def script(asked: Asked) -> list[Step]:
        if not asked.stream:
            raw = as_json(reply(asked.format))
            return [OK + JSON + b"content-length: %d\r\n\r\n" % (len(raw) + wrong) + raw]
        form = asked.format
        raw = opened(form) + hello(form) + finished(form) + (mark(form) if form in {"openai_responses", "ollama"} else b"")
        return [OK + b"content-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % (len(raw) + wrong) + raw]

    return script


def chunk_error(bad: bytes) -> Script:
    """A chunked body whose framing goes wrong: before content, so that the next one serves."""
    return plays(OK + JSON + b"transfer-encoding: chunked\r\n\r\n" + bad)
