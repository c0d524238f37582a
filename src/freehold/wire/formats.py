"""The table of wire formats that are spoken."""

from freehold.chat import WireFormat
from freehold.wire import anthropic_messages, ollama, openai_chat, openai_completions, openai_responses
from freehold.wire.codec import Codec

CODECS: dict[WireFormat, Codec] = {
    "openai_chat": openai_chat,
    "openai_responses": openai_responses,
    "openai_completions": openai_completions,
    "anthropic_messages": anthropic_messages,
    "ollama": ollama,
}
"""Every format with a codec. One that is missing here is known by name only and cannot be served."""
