"""Whether a runtime read less of a prompt than it was sent: some drop the beginning of what is too long, without a word.

Told by tokens: as counted here, against those the runtime says it evaluated. Promised: no alarm for what tokenizers and
templates differ by. Not done: prompts with images, whose tokens nobody publishes; and cuts that are smaller than that.
"""

LEAST_MISSING_TOKENS = 512
EXACT_SHARE = 0.9
"""Of a count with the model's own tokenizer: its template is all there is to differ."""
ESTIMATED_SHARE = 0.7
"""Of an estimate: other tokenizers need more tokens than ours for the same text, hardly ever a fifth less."""
BYTES_PER_TOKEN = 4
"""Of a body as JSON: what was left out of it before it was sent (thinking, for most) was not there to be read."""


def find_cut(counted_tokens: int, *, is_exact: bool, sent_bytes: int, read_tokens: int) -> str:
    """What the numbers say in words; "": all of it was read, as far as they tell. `read_tokens` includes cached ones."""
    expected = min(counted_tokens, sent_bytes // BYTES_PER_TOKEN)
    missing = expected - read_tokens
    if missing < LEAST_MISSING_TOKENS or read_tokens <= 0:
        return ""
    if read_tokens >= expected * (EXACT_SHARE if is_exact else ESTIMATED_SHARE):
        return ""
    return f"of about {expected} prompt tokens the runtime read {read_tokens}; raise its context length, or say its window"
