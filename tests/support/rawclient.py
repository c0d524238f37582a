"""A client for proofs that takes nobody's word: bytes out, bytes in, and whether the framing itself was whole."""

import asyncio
import json
from typing import Any, Literal

ClientFormat = Literal["openai_chat", "anthropic_messages"]
PATIENCE_S = 20.0
PATHS: dict[ClientFormat, str] = {"openai_chat": "/v1/chat/completions", "anthropic_messages": "/v1/messages"}


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
        return self.body.strip().rpartition(b"\n\n")[2]

    @property
    def events(self) -> list[Any]:
        """The data of a stream's events; `[DONE]` stays a text, and so does what is no JSON."""
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
