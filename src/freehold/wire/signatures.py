"""Says which format's vendor signed a piece of thinking, so that it goes back to that vendor and to no other.

A vendor refuses thinking it did not sign itself, and a conversation may move from one vendor to another, or through a
client of another format, which keeps a signature as the text it is. So in the neutral middle a signature of the Messages
format stands as it came, and every other one begins with the name of its format and a colon, which no base64 holds.
"""

from freehold.chat import WireFormat


def mark(signature: str, wire_format: WireFormat) -> str:
    """The signature as the middle and every other format's client hold it."""
    return signature if wire_format == "anthropic_messages" else f"{wire_format}:{signature}"


def unmark(signature: str | None, wire_format: WireFormat) -> str | None:
    """The signature as this format's vendor gave it; None where there is none, or it is another's."""
    if not signature:
        return None
    if wire_format == "anthropic_messages":
        return None if ":" in signature else signature
    name, colon, bare = signature.partition(":")
    return bare if colon and name == wire_format and bare else None
