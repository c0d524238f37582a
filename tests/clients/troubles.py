"""What goes wrong with the runtime behind the gateway while a real client works, and the model that goes wrong so."""

import asyncio
import json
from collections.abc import Callable

import msgspec

from freehold.chat import ChatRequest, TextPart, ToolResultPart
from freehold.gateways.fake import Act
from support.reading_model import FILE, ReadingModel

WAIT_S = 3
ASKS_FOR_LESS = ("summar", "compact")
"""Words of a client that has its conversation made shorter."""


def refusal(status: int, error: dict[str, object]) -> Act:
    """An error in words of the runtime's own."""
    body = json.dumps({"error": error}).encode()
    head = f"HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return Act(raw=head.encode() + body)


OVERFLOW = refusal(
    400,
    {
        "code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 40960, "n_ctx": 32768,
        "message": "request (40960 tokens) exceeds the available context size (32768 tokens), try increasing it",
    },
)  # fmt: skip
"""llama.cpp's words."""


class Moment(msgspec.Struct, frozen=True):
    """Where in its work the model is."""

    act: Act
    """What it would do."""
    has_read: bool
    """Results of tools are there."""
    times: int
    """It went wrong so often before."""


Trouble = Callable[[Moment], Act | None]
"""What it does instead; None: what it would do."""


def once(act: Act) -> Trouble:
    """At the first request."""
    return lambda moment: act if moment.times == 0 else None


def once_amid(place: str, *, answer: bool) -> Trouble:
    """The first call of a tool, or the first answer after it, breaks there."""

    def go_wrong(moment: Moment) -> Act | None:
        return msgspec.structs.replace(moment.act, cut=place) if moment.times == 0 and moment.has_read is answer else None

    return go_wrong


class TroubledModel(ReadingModel):
    """Does the reading model's work but for the trouble. What a client asks for beside its work is left alone.

    `calls_tools`: the client does, so that a request without tools is beside its work.
    """

    def __init__(self, trouble: Trouble, *, calls_tools: bool) -> None:
        super().__init__()
        self.times = 0
        """It went wrong so often."""
        self.summaries = 0
        """The client had its conversation made shorter so often."""
        self.asked = asyncio.Event()
        """The client's first request is here."""
        self._trouble = trouble
        self._calls_tools = calls_tools
        self._path = ""

    def _act(self, request: ChatRequest) -> Act:
        self.asked.set()
        texts = [part.text for message in request.messages for part in message.parts if isinstance(part, TextPart)]
        has_read = any(isinstance(part, ToolResultPart) for message in request.messages for part in message.parts)
        path = FILE.search("\n".join(texts))
        self._path = path[0] if path is not None else self._path
        if self._calls_tools and self.times and not request.tools and _asks_for_less(texts):
            self.summaries += 1
            return Act(say=f"<summary>Wanted: the code that stands in {self._path} . The file has to be read again.</summary>")
        act = super()._act(request)
        is_work = bool(request.tools) or not self._calls_tools
        wrong = self._trouble(Moment(act, has_read, self.times)) if is_work else None
        self.times += wrong is not None
        return wrong or act


def _asks_for_less(texts: list[str]) -> bool:
    return bool(texts) and any(word in text.lower() for text in (texts[0][:2000], texts[-1][-4000:]) for word in ASKS_FOR_LESS)
