"""A vendor whose bill we can read: what its own journal says was spent, whatever anybody else believes."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from freehold.chat import UsageReported
from freehold.gateways.fake import Act, FakeRuntime
from freehold.gateways.fake.answer import answer
from freehold.gateways.fake.runtime import Received
from freehold.wire.formats import CODECS

INPUT_NANO_USD, OUTPUT_NANO_USD = 3_000, 15_000
"""Of each token."""
PRICE = "{ input_usd_per_mtok = 3.0, output_usd_per_mtok = 15.0 }"


def nano_usd(received: Received) -> int:
    """What this request cost, by the usage that its answer reports. One that was turned down cost nothing."""
    if received.act.status not in {None, 200}:
        return 0
    request = CODECS["openai_chat"].read_request(CODECS["openai_chat"].peek(received.body))
    [usage] = [event.usage for event in answer(request, received.act, received.number) if isinstance(event, UsageReported)]
    return usage.input_tokens * INPUT_NANO_USD + usage.output_tokens * OUTPUT_NANO_USD


def billed(runtime: FakeRuntime) -> int:
    """What all requests in its journal cost."""
    return sum(map(nano_usd, runtime.journal))


def says(words: int, *, slow_s: float = 0.0) -> Act:
    return Act(say=" ".join(["word"] * words), slow_s=slow_s)


class Asked:
    """What one client saw."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes, *, is_whole: bool) -> None:
        self.status, self.headers, self.body, self.is_whole = status, headers, body, is_whole

    @property
    def request_id(self) -> str:
        return self.headers.get("x-freehold-request-id", "")


async def ask(port: int, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> Asked:
    """One request on a connection of its own; status 0 where there was no answer."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return Asked(0, {}, b"", is_whole=False)
    try:
        data = json.dumps(body).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        head += f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        answered = await reader.read(-1)
    except OSError:
        return Asked(0, {}, b"", is_whole=False)
    finally:
        writer.close()
    top, found, rest = answered.partition(b"\r\n\r\n")
    lines = top.decode("latin-1").split("\r\n")
    if not found:
        return Asked(0, {}, b"", is_whole=False)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    is_whole = len(rest) == int(headers.get("content-length", "-1"))
    return Asked(int(lines[0].split()[1]), headers, rest, is_whole=is_whole)


def body(number: int = 0, **more: Any) -> dict[str, Any]:
    """A question that the vendor answers as its script says."""
    return {"model": "big", "max_tokens": 4000, "messages": [{"role": "user", "content": f"question {number}"}], **more}
