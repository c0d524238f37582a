"""The table of wire formats that are spoken."""

from freehold.chat import WireFormat
from freehold.wire import anthropic_messages, openai_chat, openai_completions
from freehold.wire.codec import Codec

CODECS: dict[WireFormat, Codec] = {
    "openai_chat": openai_chat,
    "openai_completions": openai_completions,
    "anthropic_messages": anthropic_messages,
}
"""Every format with a codec. One that is missing here is known by name only and cannot be served."""
