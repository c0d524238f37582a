"""What every wire format offers, spoken both ways, sans-IO.

A codec is a package or module with the functions of `Codec`; `wire.formats.CODECS` is the table of them. Codecs do not
know each other: two formats meet only through the neutral middle (`freehold.chat`).

Relay is for equal formats: bytes are kept but for a closed list of named edits. Translation reads events with the
upstream's `Reader` and writes them with the client's `Writer`.
"""

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import msgspec

from freehold.chat import ChatRequest, Event, FinishReason, Reply, Usage, WireFormat
from freehold.fault import Fault
from freehold.runtime import FillIn

EditName = Literal[
    "model", "usage_asked", "max_tokens_clamped", "engine_options", "reply_model", "usage_hidden", "fim_prompt", "end_mark",
    "call_from_text", "call_json", "call_name", "call_arguments", "call_defaults", "call_left", "call_by_schema",
    "max_tokens_for_budget", "redacted", "steady_prefix", "tool_names", "search_left_out"
]  # fmt: skip


class ToolUse(msgspec.Struct, frozen=True):
    """A call as the conversation has it: `arguments` is JSON text, or the free text of a tool that takes one."""

    id: str
    """As the client sent it; "" where its format has none."""
    name: str
    arguments: str


class ToolOutcome(msgspec.Struct, frozen=True):
    """What came of a call: `is_error` where the client marks it."""

    id: str
    text: str
    is_error: bool = False


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """What one piece of a prompt holds, as far as features need it. Cached by the hash of the piece's bytes."""

    role: str
    """system, user, assistant, tool or tools."""
    texts: tuple[str, ...] = ()
    """Every text a model would read: contents, tool arguments, tool results, tool descriptions and schemas."""
    images: int = 0
    tool_errors: int = 0
    token_ids: int = 0
    """Tokens that came as ids, beside the texts."""
    uses: tuple[ToolUse, ...] = ()
    outcomes: tuple[ToolOutcome, ...] = ()

    @property
    def tool_calls(self) -> int:
        """How many."""
        return len(self.uses)

    @property
    def tool_results(self) -> int:
        """How many."""
        return len(self.outcomes)


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A request decoded once and lazily: the top level split, nothing below it interpreted."""

    format: WireFormat
    body: bytes
    top: dict[str, msgspec.Raw]
    """Top-level fields in the client's order, values as raw JSON."""
    model: str
    stream: bool
    stream_usage: bool
    """The client asked to see usage in the stream."""
    max_tokens: int | None
    choices: int
    tools: int
    schema: bool
    logprobs: bool
    blocks: tuple[msgspec.Raw, ...]
    """The prompt's pieces in order: system, each message, the tools array. `describe` reads one."""
    session_hint: str | None = None
    """A session id the body carries (`metadata.user_id`, `prompt_cache_key`, `user`), unchecked."""
    operation: Literal["chat", "completion"] = "chat"
    """`completion`: a text to go on with, which no chat template is put around."""
    fill_in: bool = False
    """A completion has a suffix: what is asked for lies between two texts."""
    needs_raw: bool = False
    """A completion says what only its own format can: token ids, several prompts, `echo`, `best_of` ..."""
    needs_echo: bool = False
    """It wants `echo` or `best_of`, which some servers of that format pass over without a word."""
    blocks_apart: bool = False
    """Each block is a prompt of its own and has the window to itself."""


class Tap:
    """What a stream has shown so far. One per attempt; written by the pipe, read by dispatch and the ledger."""

    __slots__ = ("answered_model", "content", "edits", "fingerprint", "finish", "tool_calls", "usage")

    def __init__(self) -> None:
        self.content = False
        """A first content event was seen: text, reasoning or a tool call, not a preamble, not a comment."""
        self.finish: FinishReason | None = None
        self.usage: Usage | None = None
        self.answered_model: str | None = None
        self.fingerprint: str | None = None
        self.tool_calls = 0
        self.edits: set[EditName] = set()


class Pipe(Protocol):
    """One upstream stream on its way to the client, in the client's format."""

    tap: Tap

    def feed(self, data: bytes) -> bytes:
        """Take upstream bytes, cut anywhere; return the client's bytes ready so far (maybe b"").

        Raises FaultError: INVALID_REPLY for what is no stream of this format, or the fault an error event carries.
        """

    def end(self) -> bytes:
        """The upstream closed; return the last bytes. Raises FaultError(BROKEN_STREAM) when it was cut."""

    def fault(self, fault: Fault) -> bytes:
        """The error event that ends this stream, where it depends on what the stream said before; b"": it does not."""


class Reader(Protocol):
    """Reads an upstream's reply into events."""

    def feed(self, data: bytes) -> list[Event]:
        """Events completed by these stream bytes. Raises FaultError as `Pipe.feed` does."""

    def end(self) -> list[Event]:
        """The upstream closed. Raises FaultError(BROKEN_STREAM) when the stream was cut."""

    def whole(self, body: bytes) -> list[Event]:
        """Events of a whole (unstreamed) reply. Raises FaultError(INVALID_REPLY)."""


class Writer(Protocol):
    """Writes events as the client's stream."""

    def write(self, event: Event) -> bytes:
        """The bytes this event becomes (maybe b"": usage and finish may wait for `close`)."""

    def close(self) -> bytes:
        """The proper end of the stream."""

    def fault(self, fault: Fault) -> bytes:
        """The format's error event; afterwards nothing more is written, no `[DONE]`, no stop."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a reply must match: how the client asked."""

    model: str
    """The id the client asked for: every reply carries it."""
    stream_usage: bool
    reply_id: str
    """Used where the upstream gave no id."""
    now_s: int
    prompt_tokens: int = 0
    """Our count, for formats that must state input usage before the upstream has said any."""
    top: dict[str, msgspec.Raw] = {}
    """The client's own top-level fields, for formats whose replies repeat what was asked."""

    spent_ns: Callable[[], int] | None = None
    """Nanoseconds since the request came, for formats whose replies tell them."""


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """How a request is to be sent: the deployment's side of it."""

    model: str
    """The model's name at the runtime."""
    max_tokens_ceiling: int | None = None
    """The answer may not be longer; a larger or missing value is clamped (`max_tokens_clamped`)."""
    quirks: frozenset[str] = frozenset()
    extra: dict[str, msgspec.Raw] = {}
    """Engine options added at the top level (`engine_options`), such as `cache_prompt`."""
    fill_in: FillIn | None = None
    """The marks by which the model fills in the middle (`fim_prompt`)."""
    searches: bool = True
    """Whether tools may be offered with which the runtime itself searches the web."""
    window: int | None = None
    """Tokens the deployment serves, prompt and answer together, for formats that must ask for them; None: not known."""


class Codec(Protocol):
    """One wire format."""

    FORMAT: WireFormat
    PATH: str
    """The endpoint below a runtime's base URL, such as `/chat/completions`."""
    STREAM_TYPE: bytes
    """Content type of a stream."""
    KEEP_ALIVE: bytes
    """What a waiting stream may carry without saying anything: an SSE comment; b"" where the format has nothing of the kind."""

    def peek(self, body: bytes) -> Envelope:
        """Split a client's body. Raises FaultError(INVALID_REQUEST) naming the field."""

    def describe(self, block: msgspec.Raw) -> Block:
        """Read one of the envelope's blocks. Raises FaultError(INVALID_REQUEST)."""

    def read_request(self, envelope: Envelope) -> ChatRequest:
        """The whole request in the neutral middle. Raises FaultError(INVALID_REQUEST)."""

    def write_request(self, request: ChatRequest, sent: Sent) -> bytes:
        """The request for an upstream of this format; usage is always asked for.

        Raises FaultError(UNSUPPORTED) for what this format cannot say and may not drop (see docs/wire.md).
        """

    def relay_request(self, envelope: Envelope, sent: Sent) -> tuple[bytes, tuple[EditName, ...]]:
        """The client's own body with only the named edits made. With no edit: the very same bytes."""

    def relay_pipe(self, asked: Asked) -> Pipe:
        """A stream of this format passed to a client of the same format."""

    def relay_whole(self, body: bytes, asked: Asked) -> tuple[bytes, Tap]:
        """A whole reply passed on with only `reply_model` edited. Raises FaultError(INVALID_REPLY)."""

    def reader(self) -> Reader:
        """A reader of an upstream of this format."""

    def writer(self, asked: Asked) -> Writer:
        """A writer to a client of this format."""

    def write_whole(self, reply: Reply, asked: Asked) -> bytes:
        """A whole reply for a client of this format."""

    def read_fault(self, status: int, headers: Mapping[str, str], body: bytes) -> Fault:
        """What an upstream's error answer (status >= 400, or an error object under 200) means.

        Header names are lower case. `retry-after` (seconds or HTTP date) and `retry-after-ms` become `retry_after_s`.
        """

    def write_fault(self, fault: Fault, request_id: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (content-type, retry-after) and body of an error in this format's spelling."""
