import pytest

from freehold.wire.overflow import read_overflow


@pytest.mark.parametrize(
    ("text", "prompt", "limit"),
    [
        ("prompt is too long: 210000 tokens > 200000 maximum", 210000, 200000),
        ("prompt is too long", None, None),
        ("Input is too long for requested model.", None, None),
        ("input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input", 188240, 200000),
        ("This model's maximum context length is 8192 tokens. However, your messages resulted in 10000 tokens.", 10000, 8192),
        ("maximum context length is 4096 tokens. However, you requested 5000 tokens (4500 in the messages, 500 in the completion).", 4500, 4096),
        ("This model's maximum context length is 32768 tokens and your request has 40000 input tokens.", 40000, 32768),
        ("the request exceeds the available context size, try increasing it", None, None),
        ("request (9000 tokens) exceeds the available context size (4096 tokens), try increasing it", 9000, 4096),
        ("The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).", 1196265, 1048575),
        ("This model's maximum prompt length is 131072 but the request contains 537812 tokens.", 537812, 131072),
        ("The input (9 tokens) is longer than the model's context length (5 tokens).", 9, 5),
        ("The decoder prompt (length 100) is longer than the maximum model length of 50.", 100, 50),
        ("Your input exceeds the context window of this model.", None, None),
        ("invalid_request_error context_length_exceeded", None, None),
        ("Please reduce the length of the messages or completion.", None, None),
        ("MAXIMUM CONTEXT LENGTH", None, None),
        ("context window exceeds limit", None, None),
        ("prompt token count of 70000 exceeds the limit of 64000", 70000, 64000),
        ("Trying to keep the first 10136 tokens when context the overflows. However, the model is loaded with context length of only 7866 tokens, which is not enough.", 10136, 7866),
        ("Trying to keep the first 6547 tokens when context overflows. However, the model is loaded with a context length of only 4096 tokens", 6547, 4096),
        ("The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 5000>= n_ctx: 4096). Try to load", 5000, 4096),
        ("Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of 5000 tokens: 4980 tokens from the input messages and 20 tokens for the completion.", 4980, 4096),
    ],
)  # fmt: skip
def test_every_known_wording_is_recognised_with_its_numbers(text: str, prompt: int | None, limit: int | None):
    assert read_overflow(text) == (True, prompt, limit)


@pytest.mark.parametrize(
    "text",
    ["", "model not found", "max_tokens must be at least 1", "Rate limit reached: limit 30000 tokens", "the file is too long"],
)
def test_other_complaints_are_no_overflow(text: str):
    assert read_overflow(text) == (False, None, None)
