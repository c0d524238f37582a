"""Output items while they are being written: a message, thinking, a call of a function or of a freeform tool.

Each one begins, goes on and ends with the events the format documents, and is an item of the finished response. Events
are made here as pairs of a type and its fields; the writer numbers and encodes them.
"""

from abc import ABC, abstractmethod
from typing import Any

import msgspec

from freehold.wire.body import UNREADABLE
from freehold.wire.openai_responses.items_out import freeform
from freehold.wire.openai_responses.thinking import seal
from freehold.wire.openai_responses.tools import ToolName

Said = tuple[str, dict[str, Any]]
"""An event: its type and its fields, without the place of its item and without its number."""
_read_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Item(ABC):
    """One output item. `kind` says which events of an answer it takes."""

    kind: str
    item_id: str

    def __init__(self, item_id: str) -> None:
        self.item_id = item_id
        self.texts: list[str] = []
        self.status = "in_progress"

    @abstractmethod
    def begin(self) -> list[Said]:
        """The events it begins with."""

    @abstractmethod
    def end(self) -> list[Said]:
        """The events it ends with, but for `output_item.done`."""

    @abstractmethod
    def shown(self) -> dict[str, Any]:
        """The item as it stands."""

    @property
    def is_open(self) -> bool:
        """It may still go on."""
        return self.status == "in_progress"

    def text(self) -> str:
        """All that was said."""
        return "".join(self.texts)


class Spoken(Item):
    """A message of one part: text, or a refusal."""

    def __init__(self, item_id: str, *, refusal: bool = False) -> None:
        super().__init__(item_id)
        self.kind = "refusal" if refusal else "text"
        self.logprobs: list[msgspec.Raw] = []

    def begin(self) -> list[Said]:
        """As `Item.begin`."""
        empty = self._part("", [])
        return [("response.content_part.added", {"content_index": 0, "part": empty})]

    def end(self) -> list[Said]:
        """As `Item.end`."""
        text, tokens = self.text(), join_tokens(self.logprobs)
        if self.kind == "refusal":
            done: Said = ("response.refusal.done", {"content_index": 0, "refusal": text})
        else:
            done = ("response.output_text.done", {"content_index": 0, "text": text, "logprobs": tokens})
        return [done, ("response.content_part.done", {"content_index": 0, "part": self._part(text, tokens)})]

    def shown(self) -> dict[str, Any]:
        """As `Item.shown`."""
        content = [self._part(self.text(), join_tokens(self.logprobs))] if self.texts or not self.is_open else []
        return {"id": self.item_id, "type": "message", "status": self.status, "role": "assistant", "content": content}

    def _part(self, text: str, tokens: object) -> dict[str, Any]:
        if self.kind == "refusal":
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": tokens}


class Thought(Item):
    """Thinking: as a summary for a client that asked for one, otherwise as the thinking it is."""

    kind = "thinking"

    def __init__(self, item_id: str, *, summarised: bool) -> None:
        super().__init__(item_id)
        self.summarised = summarised
        self.signature: str | None = None
        self.redacted: str | None = None
        self._has_part = False

    def begin(self) -> list[Said]:
        """As `Item.begin`."""
        return []

    def say(self, text: str) -> list[Said]:
        """More of it."""
        begun: list[Said] = []
        if not self._has_part:
            self._has_part = True
            if self.summarised:
                begun = [("response.reasoning_summary_part.added", {"summary_index": 0, "part": self._part("")})]
            else:
                begun = [("response.content_part.added", {"content_index": 0, "part": self._part("")})]
        self.texts.append(text)
        if self.summarised:
            return [*begun, ("response.reasoning_summary_text.delta", {"summary_index": 0, "delta": text})]
        return [*begun, ("response.reasoning_text.delta", {"content_index": 0, "delta": text})]

    def end(self) -> list[Said]:
        """As `Item.end`."""
        if not self._has_part:
            return []
        text = self.text()
        if self.summarised:
            return [
                ("response.reasoning_summary_text.done", {"summary_index": 0, "text": text}),
                ("response.reasoning_summary_part.done", {"summary_index": 0, "part": self._part(text)}),
            ]
        return [
            ("response.reasoning_text.done", {"content_index": 0, "text": text}),
            ("response.content_part.done", {"content_index": 0, "part": self._part(text)}),
        ]

    def shown(self) -> dict[str, Any]:
        """As `Item.shown`."""
        parts = [self._part(self.text())] if self.texts else []
        item: dict[str, Any] = {"id": self.item_id, "type": "reasoning", "summary": parts if self.summarised else []}
        if parts and not self.summarised:
            item["content"] = parts
        sealed = seal(self.signature, self.redacted)
        if sealed is not None:
            item["encrypted_content"] = sealed
        item["status"] = self.status
        return item

    def _part(self, text: str) -> dict[str, str]:
        return {"type": "summary_text" if self.summarised else "reasoning_text", "text": text}


class Called(Item):
    """A call of a function."""

    kind = "call"

    def __init__(self, item_id: str, call_id: str, name: ToolName) -> None:
        super().__init__(item_id)
        self.call_id = call_id
        self.name = name

    def begin(self) -> list[Said]:
        """As `Item.begin`."""
        return []

    def say(self, text: str) -> list[Said]:
        """More of its arguments."""
        self.texts.append(text)
        return [("response.function_call_arguments.delta", {"delta": text})]

    def is_whole(self) -> bool:
        """Whether its arguments are a whole JSON object, so that nothing can follow."""
        if not self.texts or not self.texts[-1].rstrip().endswith("}"):
            return False
        self.texts = [self.text()]
        try:
            _read_object(self.texts[0])
        except (*UNREADABLE, UnicodeEncodeError):
            return False
        return True

    def end(self) -> list[Said]:
        """As `Item.end`."""
        empty = [] if self.text().strip() else self.say("{}")
        done = {"name": self.name.name, "arguments": self.text()}
        return [*empty, ("response.function_call_arguments.done", done)]

    def shown(self) -> dict[str, Any]:
        """As `Item.shown`."""
        return {**self._head("function_call"), "arguments": self.text()}

    def _head(self, kind: str) -> dict[str, Any]:
        head = {"id": self.item_id, "type": kind, "status": self.status, "call_id": self.call_id, "name": self.name.name}
        return {**head, "namespace": self.name.namespace} if self.name.namespace else head


class Freeform(Called):
    """A call of a freeform tool, which the model made as a function with one argument: told when it is whole."""

    def say(self, text: str) -> list[Said]:
        """As `Called.say`, told at the end."""
        self.texts.append(text)
        return []

    def end(self) -> list[Said]:
        """As `Item.end`."""
        given = freeform(self.text())
        delta: list[Said] = [("response.custom_tool_call_input.delta", {"delta": given})] if given else []
        return [*delta, ("response.custom_tool_call_input.done", {"input": given})]

    def shown(self) -> dict[str, Any]:
        """As `Item.shown`."""
        return {**self._head("custom_tool_call"), "input": "" if self.is_open else freeform(self.text())}


def join_tokens(lists: list[msgspec.Raw]) -> msgspec.Raw:
    """One list of token objects from the lists of all deltas."""
    inner = (bytes(one).strip()[1:-1].strip() for one in lists)
    return msgspec.Raw(b"[" + b",".join(tokens for tokens in inner if tokens) + b"]")
