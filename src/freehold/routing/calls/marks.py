"""The marks that model families put around the calls they print, and how what stands between them is written.

Sources: the families' chat templates and model cards. Marks are compared without regard to case.
"""

from typing import Literal

import msgspec

Body = Literal["any", "json", "function", "named", "deepseek", "kimi", "gemma", "harmony", "recipient"]
"""any: JSON, tags or keyed tags; json: JSON or Python calls; function: `<function=NAME>`; named: Mistral's name before JSON."""


class Family(msgspec.Struct, frozen=True):
    """One way to print calls."""

    opening: str
    closing: tuple[str, ...]
    """None of them may come: then the answer's end closes."""
    body: Body


TURN_ENDS = ("<|eom_id|>", "<|eot_id|>", "<|im_end|>", "<|end_of_text|>", "<|endoftext|>", "<|return|>", "</s>", "<eos>")
"""Ends of a turn, which some runtimes let through."""

FAMILIES: tuple[Family, ...] = (
    # Hermes 2 and 3, Qwen 2.5 and 3, Granite 4, GLM 4.5, Qwen3-Coder
    Family("<tool_call>", ("</tool_call>",), "any"),
    Family("<toolcall>", ("</toolcall>",), "any"),  # Nemotron
    Family("<tool_calls>", ("</tool_calls>",), "any"),  # Jamba
    Family("<tools>", ("</tools>",), "json"),  # Qwen2.5-Coder
    Family("<function_call>", ("</function_call>",), "any"),
    Family("<tool_code>", ("</tool_code>",), "json"),
    Family("<tool_use>", ("</tool_use>",), "any"),
    Family("<function=", ("</function>",), "function"),  # Qwen3-Coder, Llama 3.1, Functionary 3.1
    Family("<function_calls>", ("</function_calls>",), "any"),  # Claude's older form, and who learnt from it
    Family("<invoke name=", ("</invoke>",), "function"),
    Family("<minimax:tool_call>", ("</minimax:tool_call>",), "any"),
    Family("<｜dsml｜function_calls>", ("</｜dsml｜function_calls>",), "any"),  # DeepSeek 3.2
    Family("<｜dsml｜tool_calls>", ("</｜dsml｜tool_calls>",), "any"),
    Family("<seed:tool_call>", ("</seed:tool_call>",), "any"),
    Family("<|python_tag|>", TURN_ENDS, "json"),  # Llama 3.1 and later
    Family("<|python_start|>", ("<|python_end|>", *TURN_ENDS), "json"),  # Llama 4
    Family("[tool_calls]", TURN_ENDS, "named"),  # Mistral
    Family("<|tool_call|>", ("<|/tool_call|>", "</tool_call>", *TURN_ENDS), "json"),  # Granite 3, Phi-4-mini
    Family("<|tool_calls|>", ("<|/tool_calls|>", *TURN_ENDS), "json"),
    Family("<｜tool▁calls▁begin｜>", ("<｜tool▁calls▁end｜>",), "deepseek"),
    Family("<｜tool▁call▁begin｜>", ("<｜tool▁call▁end｜>",), "deepseek"),
    Family("<|tool_calls_begin|>", ("<|tool_calls_end|>",), "deepseek"),
    Family("<|tool_calls_section_begin|>", ("<|tool_calls_section_end|>",), "kimi"),
    Family("<|tool_call_begin|>", ("<|tool_call_end|>",), "kimi"),
    Family("<start_function_call>", ("<end_function_call>",), "gemma"),  # FunctionGemma
    Family("<|action_start|>", ("<|action_end|>",), "json"),  # InternLM
    Family("<|start_action|>", ("<|end_action|>",), "json"),  # Command R
    Family("<|channel|>", ("<|call|>", *TURN_ENDS), "harmony"),  # gpt-oss
    Family("<|recipient|>", ("<|stop|>", *TURN_ENDS), "recipient"),  # Functionary 2
)

ORPHANS = tuple({mark for family in FAMILIES for mark in family.closing if mark not in TURN_ENDS} | set(TURN_ENDS))
"""Closing marks, which some models write behind a call that they never opened."""

FENCES = frozenset(
    {
        "",
        "json",
        "json5",
        "jsonc",
        "xml",
        "tool",
        "tools",
        "tool_call",
        "tool_calls",
        "tool_code",
        "function",
        "function_call",
        "tool_use",
    }
)
"""What may stand behind the backticks of a fence that holds nothing but calls."""
PYTHON_FENCES = frozenset({"tool_code", "tool_call", "tool_calls", "tool", "tools"})
"""Of those, where calls may be written as Python has them (Gemma)."""
