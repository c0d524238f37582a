"""The shapes of Chat Completions replies, as upstreams really send them, and what their words mean in the middle.

Sources: OpenAI's published schema (`CreateChatCompletionResponse`, `CreateChatCompletionStreamResponse`,
`CompletionUsage`), Mistral's (`ThinkChunk`), and what vLLM, llama.cpp, DeepSeek, xAI and OpenRouter add to it or leave out.
Wrong JSON types are refused; missing fields are tolerated here and judged by the reader.
"""

import msgspec

from freehold.chat import Usage
from freehold.fault import FaultError, Kind, faulty
from freehold.wire.body import UNREADABLE
from freehold.wire.openai_faults import read_fault
from freehold.wire.openai_replies import Timings, WireUsage, read_usage

_NOTHING = msgspec.Raw(b"")
_STRING = msgspec.json.Decoder(str)


class CallFunction(msgspec.Struct, frozen=True):
    """The function of a call; `arguments` is a JSON string, or from careless servers the object itself."""

    name: str | None = None
    arguments: msgspec.Raw = _NOTHING


class CallPiece(msgspec.Struct, frozen=True):
    """An entry of `tool_calls`, in a message or a delta."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: CallFunction | None = None


class ContentPart(msgspec.Struct, frozen=True):
    """An entry of content that is a list: Mistral's models that think answer so."""

    text: str | None = None
    thinking: "list[ContentPart] | str | None" = None


class Said(msgspec.Struct, frozen=True):
    """A `message` or a `delta`: what the assistant said."""

    content: str | list[ContentPart] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[CallPiece] | None = None
    function_call: CallFunction | None = None
    audio: msgspec.Raw = _NOTHING


class LogProbs(msgspec.Struct, frozen=True):
    """Lists of token objects, kept raw."""

    content: msgspec.Raw = _NOTHING
    refusal: msgspec.Raw = _NOTHING


class ChunkChoice(msgspec.Struct, frozen=True):
    """One alternative in a chunk (`delta`) or in a whole reply (`message`)."""

    index: int = 0
    delta: Said | None = None
    message: Said | None = None
    finish_reason: str | None = None
    logprobs: LogProbs | None = None
    stop_reason: str | int | None = None
    """vLLM: the stop string that ended the text."""


class PromptProgress(msgspec.Struct, frozen=True):
    """llama.cpp's server, while it reads a prompt: its tokens by the model's own vocabulary and template (`return_progress`)."""

    total: int = 0
    cache: int = 0
    """Of them in its memory already."""
    processed: int = 0
    """Of them read so far, those included."""


class Chunk(msgspec.Struct, frozen=True):
    """A `chat.completion.chunk`, a `chat.completion`, or an error object."""

    id: str | None = None
    object: str | None = None
    created: int | float | None = None
    model: str | None = None
    system_fingerprint: str | None = None
    choices: list[ChunkChoice] | None = None
    usage: WireUsage | None = None
    timings: Timings | None = None
    prompt_progress: PromptProgress | None = None
    error: msgspec.Raw = _NOTHING


def read_prompt(progress: PromptProgress) -> Usage | None:
    """What is known of the usage once the prompt is read, for who may never hear the rest; None: it is not read yet."""
    if progress.total <= 0 or progress.processed < progress.total:
        return None
    return Usage(input_tokens=progress.total, output_tokens=0, cached_tokens=progress.cache, basis="estimated")


_decode = msgspec.json.Decoder(Chunk).decode


def read_chunk(data: bytes) -> Chunk:
    """Decode one. Raises FaultError(INVALID_REPLY) for what is not this format."""
    try:
        if not data.isascii():
            data.decode()  # what stays raw JSON is not looked at otherwise
        return _decode(data)
    except UNREADABLE as error:
        raise faulty(Kind.INVALID_REPLY, f"the runtime's answer is no chat completion: {error}") from None


def read_whole_usage(chunk: Chunk) -> Usage | None:
    """The usage of a whole reply. llama.cpp, which alone tells timings, counts the first of several answers: the others are
    taken to be as long.
    """
    if chunk.usage is None:
        return None
    usage, answers = read_usage(chunk.usage, chunk.timings), len(chunk.choices or ())
    if chunk.timings is None or answers < 2:
        return usage
    return msgspec.structs.replace(usage, output_tokens=usage.output_tokens * answers, basis="estimated")


def refuse_error(chunk: Chunk, event_name: bytes, data: bytes) -> None:
    """Raise the fault that an error object stands for; old vLLM says `error` in `object`, others in the event's name."""
    if (chunk.error and bytes(chunk.error) != b"null") or chunk.object == "error" or event_name == b"error":
        raise FaultError(read_fault(200, {}, data))


def read_arguments(raw: msgspec.Raw) -> str:
    """The JSON text of a call's arguments. Raises one of `UNREADABLE`."""
    text = bytes(raw)
    if text[:1] == b'"':
        return _STRING.decode(text)
    return "" if text == b"null" else text.decode()
