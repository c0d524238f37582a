"""What an engine is quoted with once it has seen a request: words of ours for what its own mean, since its own quote prompts.

Seen with llama.cpp: a grammar that cannot be parsed is printed whole, and so are names in a schema and what a model said where
that is no call. Whoever asks next would read it in the fault of an engine that died, and anybody in the log. Pure.
"""

_SIGNS = (
    (("out of memory", "failed to allocate", "unable to allocate", "bad_alloc", "MemoryError", "cudaMalloc failed"), "it ran out of memory"),
    (("GGML_ASSERT", "ggml_abort", "Assertion"), "an assertion of its library failed"),
    (("CUDA error", "HIP error", "Metal error", "Vulkan error", "ErrorDeviceLost"), "its graphics card reported an error"),
    (("terminate called", "Segmentation fault", "Traceback (most recent call last)"), "it met an error that it does not handle"),
)  # fmt: skip
"""What stands in a line, and what that means. A prompt that holds such words makes a wrong sentence, and shows nothing of itself."""


def sense_of(line: str) -> str | None:
    """What a line says of the engine's end; None: nothing that is told."""
    return next((sense for signs, sense in _SIGNS if any(sign in line for sign in signs)), None)
