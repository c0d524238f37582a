"""A client for proofs that takes nobody's word: bytes out, bytes in, and whether the framing itself was whole."""

import asyncio
import json
from typing import Any, Literal

ClientFormat = Literal["openai_chat", "anthropic_messages", "openai_responses", "openai_completions", "ollama"]
PATIENCE_S = 20.0
PATHS: dict[ClientFormat, str] = {
    "openai_chat": "/v1/chat/completions",
    "anthropic_messages": "/v1/messages",
    "openai_responses": "/v1/responses",
    "openai_completions": "/v1/completions",
    "ollama": "/api/chat",
}


class Answer:
    """What came back before the connection closed."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.rest = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1]) if len(lines[0].split()) > 1 else 0
        self.headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        self.body, self.is_whole = self._unframed()

    def _unframed(self) -> tuple[bytes, bool]:
        if self.headers.get("transfer-encoding") != "chunked":
            length = int(self.headers.get("content-length", len(self.rest)))
            return self.rest, bool(self.status) and len(self.rest) == length
        body, rest = b"", self.rest
        while True:
            size, found, rest = rest.partition(b"\r\n")
            if not found or len(rest) < int(size, 16) + 2:
                return body + rest, False
            if int(size, 16) == 0:
                return body, True
            body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]

    @property
    def events_tail(self) -> bytes:
        """The last event's bytes."""
        return self.body.strip().rpartition(b"\n" if self._is_lines else b"\n\n")[2]

    @property
    def _is_lines(self) -> bool:
        return "ndjson" in self.headers.get("content-type", "")

    @property
    def events(self) -> list[Any]:
        """The data of a stream's events; `[DONE]` stays a text, and so does what is no JSON."""
        if self._is_lines:
            return [json.loads(line) for line in self.body.split(b"\n") if line.strip()]
        found = []
        for block in self.body.replace(b"\r\n", b"\n").split(b"\n\n"):
            data = b"".join(line[5:].strip() for line in block.split(b"\n") if line.startswith(b"data:"))
            if data:
                try:
                    found.append("[DONE]" if data == b"[DONE]" else json.loads(data))
                except ValueError:
                    found.append(data.decode(errors="replace"))
        return found


def body_of(client_format: ClientFormat, prompt: str, *, stream: bool, model: str = "auto") -> bytes:
    """A plain question."""
    if client_format == "openai_responses":
        return json.dumps({"model": model, "stream": stream, "input": prompt}).encode()
    if client_format == "openai_completions":
        return json.dumps({"model": model, "stream": stream, "prompt": prompt, "max_tokens": 4096}).encode()
    asked: dict[str, Any] = {"model": model, "stream": stream, "messages": [{"role": "user", "content": prompt}]}
    if client_format == "anthropic_messages":
        asked["max_tokens"] = 4096
    return json.dumps(asked).encode()


def request_bytes(client_format: ClientFormat, port: int, body: bytes) -> bytes:
    """The whole request, on a connection of its own."""
    return (
        f"POST {PATHS[client_format]} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
        f"anthropic-version: 2023-06-01\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body


async def ask(client_format: ClientFormat, port: int, prompt: str, *, stream: bool, model: str = "auto") -> Answer:
    """One request, read to the end of its connection. Raises TimeoutError when that does not come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(PATIENCE_S):
            writer.write(request_bytes(client_format, port, body_of(client_format, prompt, stream=stream, model=model)))
            return Answer(await reader.read(-1))
    finally:
        writer.close()


def text_of(client_format: ClientFormat, got: Answer, *, stream: bool) -> str:
    """The words of an answer. Raises KeyError, IndexError or TypeError for what is none."""
    if not stream:
        return _text_of_whole(client_format, json.loads(got.body))
    events = [event for event in got.events if isinstance(event, dict)]
    match client_format:
        case "openai_chat":
            return "".join(c["delta"].get("content") or "" for e in events for c in e.get("choices", ()) if "delta" in c)
        case "openai_completions":
            return "".join(c.get("text") or "" for e in events for c in e.get("choices", ()))
        case "openai_responses":
            return "".join(e["delta"] for e in events if e.get("type") == "response.output_text.delta")
        case "ollama":
            return "".join(e["message"].get("content") or "" for e in events if "message" in e)
        case _:
            return "".join(e["delta"].get("text", "") for e in events if e.get("type") == "content_block_delta")


def _text_of_whole(client_format: ClientFormat, whole: dict[str, Any]) -> str:
    match client_format:
        case "openai_chat":
            return whole["choices"][0]["message"]["content"] or ""
        case "openai_completions":
            return whole["choices"][0]["text"]
        case "openai_responses":
            return "".join(part.get("text", "") for item in whole["output"] for part in item.get("content") or ())
        case "ollama":
            return whole["message"].get("content") or ""
        case _:
            return "".join(part.get("text", "") for part in whole["content"])


_ENDS = ("message_stop", "response.completed", "response.incomplete")


def ended_well(client_format: ClientFormat, got: Answer, *, stream: bool) -> bool:
    """Whether a client takes this for a whole answer: framed to its end, one end mark, no error."""
    if got.status != 200 or not got.is_whole:
        return False
    if not stream:
        return True
    said = [event for event in got.events if isinstance(event, dict)]
    failed = any(e.get("error") or e.get("type") in {"error", "response.failed"} for e in said)
    if client_format in {"openai_chat", "openai_completions"}:
        marks = got.events.count("[DONE]")
    elif client_format == "ollama":
        marks = sum(e.get("done") is True for e in said) if said and said[-1].get("done") is True else 0
    else:
        marks = sum(e.get("type") in _ENDS for e in said)
    return marks == 1 and not failed
