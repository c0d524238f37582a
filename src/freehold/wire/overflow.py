"""Recognises "the prompt does not fit" in an upstream's words.

No runtime agrees with another on a code for it, but the wordings are few and stable. Known ones: OpenAI, Anthropic,
Bedrock, Gemini, xAI, Groq, Mistral, Moonshot, llama.cpp, vLLM, SGLang, TGI, Ollama, LM Studio. Only text is judged here;
codes and types belong to each format's `read_fault`.
"""

import re

_LONGEST_TEXT = 4000
"""Characters of a message that are looked at."""

_WORDINGS = (
    r"prompt (?:is )?too long",
    r"input is too long",
    r"exceed context limit",
    r"max(?:imum)? context length",
    r"context_length_exceeded",
    r"exceed_context_size",
    r"exceeds? (?:the |this model's )?(?:available )?context (?:size|window|length)",
    r"exceeds the limit of \d+",
    r"context window exceeds limit",
    r"context size has been exceeded",
    r"longer than the (?:maximum model|model's context|context) length",
    r"exceeds the maximum number of tokens",
    r"exceeded model token limit",
    r"reduce the length of the (?:messages|input|prompt)",
    r"maximum prompt length",
    r"tokens to keep from the initial prompt is greater than the context length",
    r"tokens when (?:the )?context (?:the )?overflows",
    r"inputs` must have less than \d+ tokens",
    r"`?inputs`? tokens \+ `?max_new_tokens`? must be",
)
_OVERFLOW = re.compile("|".join(_WORDINGS), re.IGNORECASE)

_NUMBER = r"(\d{1,12})"
_COUNTS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?P<prompt>{_NUMBER}) tokens? > (?P<limit>{_NUMBER})",
        rf"exceed context limit: (?P<prompt>{_NUMBER}) \+ \d+ > (?P<limit>{_NUMBER})",
        rf"(?:request|input) \((?P<prompt>{_NUMBER}) tokens\) .{{0,60}}?\((?P<limit>{_NUMBER}) tokens\)",
        rf"input token count \(?(?P<prompt>{_NUMBER})\)? exceeds .{{0,60}}?\(?(?P<limit>{_NUMBER})\)?",
        rf"token count of (?P<prompt>{_NUMBER}) exceeds the limit of (?P<limit>{_NUMBER})",
        rf"\(length (?P<prompt>{_NUMBER})\) is longer than .{{0,40}}?length of (?P<limit>{_NUMBER})",
        rf"less than (?P<limit>{_NUMBER}) tokens\. Given: (?P<prompt>{_NUMBER})",
        rf"Prompt contains (?P<prompt>{_NUMBER}) tokens .{{0,80}}?with (?P<limit>{_NUMBER}) maximum",
        rf"context length is (?P<limit>{_NUMBER}) tokens.{{0,80}}?\((?P<prompt>{_NUMBER}) in (?:the|your) (?:messages|prompt)",
        rf"(?:context|prompt) length is (?P<limit>{_NUMBER}).{{0,100}}?(?P<prompt>{_NUMBER}) (?:input )?tokens",
        rf"first (?P<prompt>{_NUMBER}) tokens when .{{0,80}}?context length of (?:only )?(?P<limit>{_NUMBER})",
        rf"n_keep: (?P<prompt>{_NUMBER}) ?>= ?n_ctx: (?P<limit>{_NUMBER})",
        rf"context length of (?P<limit>{_NUMBER}) tokens.{{0,80}}? (?P<prompt>{_NUMBER}) tokens from the input",
        rf"context length is (?:only )?(?P<limit>{_NUMBER})",
        rf"token limit: (?P<limit>{_NUMBER})",
    )
)


def read_overflow(text: str) -> tuple[bool, int | None, int | None]:
    """Whether `text` says the prompt is too long, and the prompt's and the limit's tokens where it tells them."""
    text = text[:_LONGEST_TEXT]
    if _OVERFLOW.search(text) is None:
        return False, None, None
    for pattern in _COUNTS:
        found = pattern.search(text)
        if found is not None:
            groups = found.groupdict()
            prompt = groups.get("prompt")
            return True, int(prompt) if prompt else None, int(groups["limit"])
    return True, None, None
