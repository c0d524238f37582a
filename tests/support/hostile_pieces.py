"""What a good runtime would send, in pieces, in each wire format: the hostile ways take them apart and put them together wrongly."""

import json
from typing import Any

from support.hostile import Asked
from support.rawclient import ClientFormat

SSE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
LINES_HEAD = SSE_HEAD.replace(b"text/event-stream", b"application/x-ndjson")
USED = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def head(form: ClientFormat) -> bytes:
    """The head of a stream that lasts until the connection closes."""
    return LINES_HEAD if form == "ollama" else SSE_HEAD


def head_chunked(form: ClientFormat) -> bytes:
    """The same in chunks."""
    return head(form).replace(b"connection: close", b"transfer-encoding: chunked")


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def answer(body: bytes, *, status: str = "200 OK", kind: str = "application/json", more: str = "") -> bytes:
    """A whole answer with its length."""
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


def event(value: object, name: str = "") -> bytes:
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + as_json(value) + b"\n\n"


def one(form: ClientFormat, raw: bytes) -> bytes:
    """One piece of a stream, whatever it says."""
    return raw + b"\n" if form == "ollama" else b"data: " + raw + b"\n\n"


def _response(kind: str, **fields: Any) -> bytes:
    return event({"type": f"response.{kind}"} | fields, f"response.{kind}")


def _line(content: str, **fields: Any) -> bytes:
    message = {"role": "assistant", "content": content}
    line = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": message, "done": False}
    return as_json(line | fields) + b"\n"


def said(form: ClientFormat, text: str) -> bytes:
    """A piece of content."""
    match form:
        case "openai_chat":
            return event({"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]})
        case "openai_completions":
            return event({"id": "c", "object": "text_completion", "choices": [{"index": 0, "text": text}]})
        case "openai_responses":
            return _response("output_text.delta", item_id="i", output_index=0, content_index=0, delta=text)
        case "ollama":
            return _line(text)
        case _:
            delta = {"type": "text_delta", "text": text}
            return event({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta")


def opened(form: ClientFormat, **more: Any) -> bytes:
    """What stands before content."""
    match form:
        case "openai_chat":
            begun = [{"index": 0, "delta": {"role": "assistant"}}]
            return event({"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": begun} | more)
        case "openai_completions":
            return event({"id": "c", "object": "text_completion", "model": "m", "choices": [{"index": 0, "text": ""}]} | more)
        case "openai_responses":
            response = {"id": "r", "object": "response", "created_at": 1, "model": "m", "status": "in_progress", "output": []}
            item = {"id": "i", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
            return _response("created", response=response | more) + _response("output_item.added", output_index=0, item=item)
        case "ollama":
            return _line("", **more)
        case _:
            usage = {"input_tokens": 3}
            message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
            block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
            return event({"type": "message_start", "message": message | more}, "message_start") + event(
                block, "content_block_start"
            )


def finished(form: ClientFormat, **usage: Any) -> bytes:
    """The finish, without the end mark. Of formats where both are one, what comes before it."""
    told = {"usage": usage} if usage else {}
    match form:
        case "openai_chat":
            return event({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]} | told)
        case "openai_completions":
            return event({"id": "c", "choices": [{"index": 0, "text": "", "finish_reason": "stop"}]} | told)
        case "openai_responses":
            return _response("output_text.done", item_id="i", output_index=0, content_index=0, text="bad")
        case "ollama":
            return _line("")
        case _:
            stop = event({"type": "content_block_stop", "index": 0}, "content_block_stop")
            delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2} | usage}
            return stop + event(delta, "message_delta")


def mark(form: ClientFormat, **usage: Any) -> bytes:
    """The end mark; where it is the finish too, with the usage."""
    match form:
        case "openai_responses":
            return _response("completed", response=reply(form) | ({"usage": usage} if usage else {}))
        case "ollama":
            return _line("", done=True, done_reason="stop", **({"prompt_eval_count": 3, "eval_count": 2} | usage))
        case "anthropic_messages":
            return event({"type": "message_stop"}, "message_stop")
        case _:
            return b"data: [DONE]\n\n"


def ping(form: ClientFormat) -> bytes:
    match form:
        case "anthropic_messages":
            return event({"type": "ping"}, "ping")
        case "ollama":
            return b"\n"
        case "openai_responses":
            return _response("in_progress", response={"id": "r", "status": "in_progress", "output": []})
        case _:
            return b": ping\n\n"


def reply(form: ClientFormat, text: str = "bad", **more: Any) -> dict[str, Any]:
    """A whole reply."""
    match form:
        case "openai_chat":
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USED}
        case "openai_completions":
            choice = {"index": 0, "text": text, "finish_reason": "stop", "logprobs": None}
            whole = {"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [choice], "usage": USED}
        case "openai_responses":
            part = {"type": "output_text", "text": text, "annotations": []}
            item = {"id": "i", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
            whole = {"id": "r", "object": "response", "created_at": 1, "model": "m", "status": "completed", "output": [item]}
            whole["usage"] = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
        case "ollama":
            whole = json.loads(_line(text, done=True, done_reason="stop", prompt_eval_count=3, eval_count=2))
        case _:
            content = [{"type": "text", "text": text}]
            whole = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": content}
            whole |= {"stop_reason": "end_turn", "usage": {"input_tokens": 3, "output_tokens": 2}}
    return whole | more


def good(asked: Asked, text: str = "bad", **more: Any) -> bytes:
    """A proper answer as it was asked for, streams until the connection closes."""
    form = asked.format
    if not asked.stream:
        return answer(as_json(reply(form, text, **more)))
    return head(form) + opened(form, **more) + said(form, text) + finished(form) + mark(form)


def begun(asked: Asked, text: str = "bad") -> bytes:
    """A stream up to its first content; of a whole answer half."""
    form = asked.format
    if asked.stream:
        return head(form) + opened(form) + said(form, text)
    whole = answer(as_json(reply(form, text)))
    return whole[:-20]
