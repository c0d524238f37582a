"""Tool calls as model families print them, the ways they get broken, and prose that is none: for the tests of `routing.calls`.

The families' forms are those of their chat templates. What is expected of a text is worked out from how it was made, never
from the code under test.
"""

import json
import random
from collections.abc import Callable
from typing import Any

import msgspec

from freehold.chat import Tool
from freehold.routing.calls.finder import Finder
from freehold.routing.calls.mending import Mended, Offer

Arguments = dict[str, Any]
Call = tuple[str, Arguments]

TOOLS: tuple[Tool, ...] = (
    Tool(
        "get_weather", "Weather of a city",
        {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
         "required": ["city"], "additionalProperties": False},
    ),
    Tool(
        "write_file", "Write a file",
        {"type": "object", "properties": {"path": {"type": "string"}, "content": {"type": "string"}, "overwrite": {"type": "boolean"}},
         "required": ["path", "content"], "additionalProperties": False},
    ),
    Tool(
        "search_code", None,
        {"type": "object", "properties": {"query": {"type": "string"}, "paths": {"type": "array", "items": {"type": "string"}},
                                          "options": {"type": "object", "properties": {"case": {"type": "boolean"}, "limit": {"type": "number"}}}},
         "required": ["query"], "additionalProperties": False},
    ),
    Tool("mcp__clock__current_time", "The time", {"type": "object", "properties": {}, "additionalProperties": False}),
)  # fmt: skip
SCHEMAS = {tool.name: tool.parameters or {} for tool in TOOLS}
OFFER = Offer(TOOLS)

CITIES = ["Rome", "São Paulo", "New York", "Zürich", "東京", "O'Fallon", "Val-d'Or"]
CONTENTS = [
    "hello", "def f(x):\n    return x < 3 and [x]\n", 'print("hi")\n', "a\tb\\n", "<b>bold</b> & more", "# Title\n\n```python\nx = 1\n```\n",
    '{"name": "get_weather", "arguments": {"city": "Rome"}}', "if (a > b) { return '}'; }", "line one\r\nline two", "",
]  # fmt: skip
QUERIES = ["def main", "TODO(fix)", "x == y", "import os, sys", "a: b", "[0-9]"]


def draw_call(rng: random.Random, *, simple: bool = False) -> Call:
    """A valid call. `simple`: of values that every form can say."""
    name = rng.choice(list(SCHEMAS))
    match name:
        case "get_weather":
            arguments: Arguments = {"city": rng.choice(CITIES[:4] if simple else CITIES)}
            if rng.random() < 0.5:
                arguments["days"] = rng.randint(-3, 14)
            if rng.random() < 0.4:
                arguments["unit"] = rng.choice(["celsius", "fahrenheit"])
        case "write_file":
            arguments = {
                "path": rng.choice(["a.py", "src/b c.txt", "C:\\x\\y.md" if not simple else "y.md"]),
                "content": rng.choice(CONTENTS[:1] if simple else CONTENTS),
            }
            if rng.random() < 0.4:
                arguments["overwrite"] = rng.random() < 0.5
        case "search_code":
            arguments = {"query": rng.choice(QUERIES[:1] if simple else QUERIES)}
            if rng.random() < 0.5:
                arguments["paths"] = ["src", "tests"][: rng.randint(1, 2)]
            if rng.random() < 0.4:
                arguments["options"] = {"case": True, "limit": rng.choice([5, 2.5])}
        case _:
            arguments = {}
    return name, arguments


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _object(call: Call, key: str = "arguments") -> str:
    return _json({"name": call[0], key: call[1]})


def _value(value: Any) -> str:
    return value if isinstance(value, str) else _json(value)


def _tags(call: Call, opening: str, parameter: str, closing: str) -> str:
    inside = "".join(parameter.format(key=key) + _value(value) + "</parameter>\n" for key, value in call[1].items())
    return opening.format(name=call[0]) + "\n" + inside + closing


def _python(call: Call) -> str:
    return f"{call[0]}({', '.join(f'{key}={value!r}' for key, value in call[1].items())})"


def _deepseek(calls: list[Call]) -> str:
    inside = "\n".join(
        f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n{_json(arguments)}\n```<｜tool▁call▁end｜>"
        for name, arguments in calls
    )
    return f"<｜tool▁calls▁begin｜>{inside}<｜tool▁calls▁end｜>"


def _kimi(calls: list[Call]) -> str:
    inside = "".join(
        f"<|tool_call_begin|>functions.{name}:{at}<|tool_call_argument_begin|>{_json(arguments)}<|tool_call_end|>"
        for at, (name, arguments) in enumerate(calls)
    )
    return f"<|tool_calls_section_begin|>{inside}<|tool_calls_section_end|>"


def _glm(call: Call) -> str:
    pairs = "".join(f"<arg_key>{key}</arg_key>\n<arg_value>{_value(value)}</arg_value>\n" for key, value in call[1].items())
    return f"<tool_call>{call[0]}\n{pairs}</tool_call>"


def _invokes(calls: list[Call]) -> str:
    return "\n".join(_tags(call, '<invoke name="{name}">', '<parameter name="{key}">', "</invoke>") for call in calls)


Print = Callable[[list[Call]], str]
MARKED: dict[str, Print] = {
    "hermes": lambda calls: "\n".join(f"<tool_call>\n{_object(call)}\n</tool_call>" for call in calls),
    "hermes, arguments first": lambda calls: "".join(
        f"<tool_call>{_json({'arguments': call[1], 'name': call[0]})}</tool_call>" for call in calls
    ),
    "qwen3-coder": lambda calls: "\n".join(
        "<tool_call>\n" + _tags(call, "<function={name}>", "<parameter={key}>\n", "</function>") + "\n</tool_call>" for call in calls
    ),
    "qwen3-coder without its opening": lambda calls: "\n".join(
        _tags(call, "<function={name}>", "<parameter={key}>\n", "</function>") + "\n</tool_call>" for call in calls
    ),
    "qwen2.5-coder": lambda calls: "\n".join(f"<tools>\n{_object(call)}\n</tools>" for call in calls),
    "glm": lambda calls: "\n".join(map(_glm, calls)),
    "llama tags": lambda calls: "".join(f"<function={name}>{_json(arguments)}</function>" for name, arguments in calls),
    "llama python tag": lambda calls: "<|python_tag|>" + "; ".join(_object(call, "parameters") for call in calls) + "<|eom_id|>",
    "llama 4": lambda calls: f"<|python_start|>[{', '.join(map(_python, calls))}]<|python_end|>",
    "mistral": lambda calls: f"[TOOL_CALLS][{', '.join(map(_object, calls))}]</s>",
    "mistral, names first": lambda calls: "".join(f"[TOOL_CALLS]{name}[ARGS]{_json(arguments)}" for name, arguments in calls),
    "deepseek": _deepseek,
    "deepseek 3.2": lambda calls: "<｜DSML｜function_calls>\n"
    + _invokes(calls).replace("<invoke", "<｜DSML｜invoke").replace("</invoke", "</｜DSML｜invoke")
    .replace("<parameter", "<｜DSML｜parameter").replace("</parameter", "</｜DSML｜parameter") + "\n</｜DSML｜function_calls>",
    "kimi": _kimi,
    "granite": lambda calls: f"<|tool_call|>[{', '.join(map(_object, calls))}]",
    "phi-4-mini": lambda calls: f"<|tool_call|>[{', '.join(map(_object, calls))}]<|/tool_call|>",
    "jamba": lambda calls: f"<tool_calls>[{', '.join(map(_object, calls))}]</tool_calls>",
    "nemotron": lambda calls: f"<TOOLCALL>[{', '.join(map(_object, calls))}]</TOOLCALL>",
    "claude": lambda calls: f"<function_calls>\n{_invokes(calls)}\n</function_calls>",
    "claude, bare invoke": _invokes,
    "minimax": lambda calls: f"<minimax:tool_call>\n{_invokes(calls)}\n</minimax:tool_call>",
    "gpt-oss": lambda calls: "".join(
        f"<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{_json(arguments)}<|call|>" for name, arguments in calls
    ),
    "command-r": lambda calls: "<|START_ACTION|>"
    + _json([{"tool_call_id": str(at), "tool_name": name, "parameters": arguments} for at, (name, arguments) in enumerate(calls)])
    + "<|END_ACTION|>",
    "internlm": lambda calls: "".join(f"<|action_start|><|plugin|>\n{_object(call, 'parameters')}<|action_end|>" for call in calls),
    "functionary 2": lambda calls: f"<|recipient|>{calls[0][0]}\n<|content|>{_json(calls[0][1])}<|stop|>",
}  # fmt: skip
"""Forms with marks of their own, which may stand behind words."""
BARE: dict[str, Print] = {
    "llama json": lambda calls: "; ".join(_object(call, "parameters") for call in calls),
    "json list": lambda calls: _json([{"name": name, "arguments": arguments} for name, arguments in calls]),
    "json lines": lambda calls: "\n".join(map(_object, calls)),
    "openai json": lambda calls: _json(
        {"tool_calls": [{"id": f"c{at}", "type": "function", "function": {"name": name, "arguments": _json(arguments)}} for at, (name, arguments) in enumerate(calls)]}
    ),
    "xlam": lambda calls: _json({"tool_calls": [{"name": name, "arguments": arguments} for name, arguments in calls]}),
    "mistral nemo": lambda calls: _json([{name: _json(arguments)} for name, arguments in calls]),
    "fenced": lambda calls: "```json\n" + "\n".join(map(_object, calls)) + "\n```",
    "fenced, one each": lambda calls: "\n\n".join(f"```json\n{json.dumps({'name': name, 'arguments': arguments}, indent=2)}\n```" for name, arguments in calls),
    "python list": lambda calls: f"[{', '.join(map(_python, calls))}]",
    "gemma": lambda calls: "```tool_code\n" + "\n".join(map(_python, calls)) + "\n```",
    "phi functools": lambda calls: f"functools[{', '.join(map(_object, calls))}]",
    "functionary 3": lambda calls: "".join(f">>>{name}\n{_json(arguments)}" for name, arguments in calls),
    "without its opening": lambda calls: _object(calls[0]) + "\n</tool_call>",
    "react": lambda calls: f"Action: {calls[0][0]}\nAction Input: {_json(calls[0][1])}",
    "react, observed": lambda calls: f"Action: {calls[0][0]}\nAction Input: {_json(calls[0][1])}\nObservation: it is sunny\nThought: so",
}  # fmt: skip
"""Forms that are a call only as the whole answer."""
ONE_ONLY = frozenset({"functionary 2", "without its opening", "react", "react, observed"})
NO_FENCES_INSIDE = frozenset({"fenced", "fenced, one each", "deepseek"})
"""Forms whose own fences a fence in an argument would end."""
RAW_VALUES = frozenset(
    {"qwen3-coder", "qwen3-coder without its opening", "glm", "claude", "claude, bare invoke", "minimax", "deepseek 3.2"}
)
"""Forms whose values are plain text, which cannot say where blank lines begin."""


def speak(rng: random.Random, family: str, calls: list[Call]) -> str:
    """The calls in that family's form."""
    return (MARKED | BARE)[family](calls[:1] if family in ONE_ONLY else calls)


def draw_calls(rng: random.Random, family: str, *, simple: bool = False) -> list[Call]:
    """One to three calls that this form can say."""
    calls = [draw_call(rng, simple=simple) for _ in range(rng.choice([1, 1, 1, 2, 3]))]
    calls = calls[:1] if family in ONE_ONLY else calls
    if family in RAW_VALUES or family in NO_FENCES_INSIDE:
        for _, arguments in calls:
            if "content" in arguments and ("```" in arguments["content"] or arguments["content"] != arguments["content"].strip()):
                arguments["content"] = "plain words"
    return calls


def cut(rng: random.Random, text: str) -> list[str]:
    """The text in pieces of any length."""
    often = rng.choice([0.02, 0.2, 1.0])
    pieces, begin = [], 0
    for at in range(1, len(text)):
        if rng.random() < often:
            pieces.append(text[begin:at])
            begin = at
    return [*pieces, text[begin:]]


def find(
    pieces: list[str], *, offer: Offer = OFFER, was_limited: bool = False, **options: bool
) -> tuple[str, list[Mended], Finder]:
    """The words and the calls that are found in these pieces."""
    finder = Finder(offer, **options)
    found = [one for piece in pieces for one in finder.feed(piece)] + finder.end(was_limited=was_limited)
    return "".join(one for one in found if isinstance(one, str)), [one for one in found if isinstance(one, Mended)], finder


def said(calls: list[Mended]) -> list[Call]:
    """The calls as names and values."""
    return [(call.name, msgspec.json.decode(call.arguments)) for call in calls]
