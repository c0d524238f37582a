"""The encrypted content of reasoning items, and whose thinking it is.

The format's own vendor encrypts thinking; the Messages format signs it, or encrypts all of it. A client keeps encrypted
content as the text it is and brings it back, so another vendor's stands in it behind the name of its format.
"""

from typing import Final

from freehold.wire.signatures import mark, unmark

FORMAT: Final = "openai_responses"
_SIGNED = "anthropic_messages:"
_REDACTED = "anthropic_messages_redacted:"


def seal(signature: str | None, redacted: str | None) -> str | None:
    """The encrypted content that carries a signature, or thinking without text; None where there is neither."""
    if redacted is not None:
        return _REDACTED + redacted
    if not signature:
        return None
    return unmark(signature, FORMAT) or _SIGNED + signature


def unseal(encrypted: str) -> tuple[str | None, str | None]:
    """The signature and the thinking without text, as the middle holds them."""
    if encrypted.startswith(_REDACTED):
        return None, encrypted.removeprefix(_REDACTED)
    if encrypted.startswith(_SIGNED):
        return encrypted.removeprefix(_SIGNED), None
    return mark(encrypted, FORMAT), None
