"""Ways in which models break the calls they print, and prose that only looks like calls."""

import json
import random
import re
from collections.abc import Callable
from typing import Any

from support.printed_calls import Call

Break = Callable[[random.Random, Call], tuple[str, Call] | None]


def _object(call: Call) -> str:
    return json.dumps({"name": call[0], "arguments": call[1]}, ensure_ascii=False)


def _python_literals(rng: random.Random, call: Call) -> tuple[str, Call] | None:
    return repr({"name": call[0], "arguments": call[1]}), call


def _trailing_commas(rng: random.Random, call: Call) -> tuple[str, Call] | None:
    return re.sub(r"(?<=[\w\"\]}])\}", ",}", _object(call)), call


def _missing_closers(rng: random.Random, call: Call) -> tuple[str, Call] | None:
    text = _object(call)
    return text[: -rng.randint(1, 2)], call


def _extra_closers(rng: random.Random, call: Call) -> tuple[str, Call] | None:
    return _object(call) + "}" * rng.randint(1, 2), call


def _raw_newlines(rng: random.Random, call: Call) -> tuple[str, Call] | None:
    return _object(call).replace("\\n", "\n"), call


def _comments(rng: random.Random, call: Call) -> tuple[str, Call] | None:
    return _object(call).replace(', "arguments": ', ', // what it takes\n "arguments": /* here */ '), call


def _arguments_as_text(rng: random.Random, call: Call) -> tuple[str, Call] | None:
    return json.dumps({"name": call[0], "arguments": json.dumps(call[1])}), call


def _unquoted_keys(rng: random.Random, call: Call) -> tuple[str, Call] | None:
    return re.sub(r'"(name|arguments|city|days|unit|path|query|paths)": ', r"\1: ", _object(call)), call


def _typographic_quotes(rng: random.Random, call: Call) -> tuple[str, Call] | None:
    return f"{{“name”: “{call[0]}”, “arguments”: {json.dumps(call[1], ensure_ascii=False)}}}", call


def _inner_fence(rng: random.Random, call: Call) -> tuple[str, Call] | None:
    return f"```json\n{_object(call)}\n```", call


def _other_keys(rng: random.Random, call: Call) -> tuple[str, Call] | None:
    name, arguments = rng.choice(
        [("function", "parameters"), ("tool_name", "args"), ("tool", "input"), ("recipient_name", "parameters")]
    )
    return json.dumps({name: call[0], arguments: call[1]}), call


def _missing_last_quote(rng: random.Random, call: Call) -> tuple[str, Call] | None:
    if call[0] != "get_weather" or list(call[1]) != ["city"]:
        return None
    return f'{{"name": "get_weather", "arguments": {{"city": "{call[1]["city"]}}}}}', call


def _near_name(rng: random.Random, call: Call) -> tuple[str, Call] | None:
    near = {
        "get_weather": [
            "getWeather",
            "functions.get_weather",
            "get-weather",
            "Get_Weather",
            "get_wether",
            "get_waether",
            "default_api.get_weather",
        ],
        "write_file": ["writeFile", "write_flie", "writefile", "tools.write_file", "write_files"],
        "search_code": ["SearchCode", "serach_code", "search_codes", "functions:search_code"],
        "mcp__clock__current_time": ["current_time", "clock.current_time", "mcp__clock__currentTime"],
    }
    return _object((rng.choice(near[call[0]]), call[1])), call


def _wrong_types(rng: random.Random, call: Call) -> tuple[str, Call] | None:
    arguments: dict[str, Any] = dict(call[1])
    for key, value in call[1].items():
        if isinstance(value, bool):
            arguments[key] = rng.choice(["true", "True"]) if value else "false"
        elif isinstance(value, int):
            arguments[key] = str(value) if rng.random() < 0.5 else float(value)
        elif key == "unit":
            arguments[key] = value.upper()
        elif isinstance(value, list):
            arguments[key] = value[0] if len(value) == 1 else json.dumps(value)
        elif isinstance(value, dict):
            arguments[key] = json.dumps(value)
    return _object((call[0], arguments)), call


def _other_key_spelling(rng: random.Random, call: Call) -> tuple[str, Call] | None:
    return _object((call[0], {key.title(): value for key, value in call[1].items()})), call


def _nulls(rng: random.Random, call: Call) -> tuple[str, Call] | None:
    if call[0] != "get_weather" or "days" in call[1]:
        return None
    return _object((call[0], {**call[1], "days": None})), call


BREAKS: dict[str, Break] = {
    "Python literals": _python_literals,
    "trailing commas": _trailing_commas,
    "missing closers": _missing_closers,
    "extra closers": _extra_closers,
    "raw line ends": _raw_newlines,
    "comments": _comments,
    "arguments as text": _arguments_as_text,
    "unquoted keys": _unquoted_keys,
    "typographic quotes": _typographic_quotes,
    "a fence inside": _inner_fence,
    "another family's keys": _other_keys,
    "a missing quote": _missing_last_quote,
    "a near name": _near_name,
    "wrong types": _wrong_types,
    "keys spelt otherwise": _other_key_spelling,
    "nulls": _nulls,
}
"""Each gives a text that a reader can still tell one call from, and that call; None: it does not apply."""

_CALL = '{"name": "get_weather", "arguments": {"city": "Rome"}}'
_TAGGED = f"<tool_call>\n{_CALL}\n</tool_call>"
_ACTION = 'Action: get_weather\nAction Input: {"city": "Rome"}'
PROSE: tuple[str, ...] = (
    f"A ReAct agent writes this:\n\n{_ACTION}",
    f"{_ACTION}\n\nThat is the form; I have called nothing.",
    f"Thought: the user asks for the form.\nIt is {_ACTION}",
    f"Thought: an example helps.\n```\n{_ACTION}\n```",
    f"Thought: an example helps.\n\n{_ACTION}\n\nThis is how you call it.",
    "Thought: I know it by heart.\nFinal Answer: it is sunny in Rome.",
    "Thought: which Action: should I take? Action Input: none.",
    'Action: delete_everything\nAction Input: {"really": true}',
    "Action: get_weather",
    "Action: get_weather\nAction Input: Rome",
    "Action: get_weather\nInput: {}",
    "Action: take the kitten to the vet\nAction Input: {}",
    "Thought: an\nAction: get_weather\nAction Input: the city of Rome\nObservation: sunny",
    "The weather in Rome is fine. Nothing has to be called for that.",
    "Use the <tool_call> tag to call a tool, and </tool_call> to end it.",
    f"A call looks like `<tool_call>{_CALL}</tool_call>` in most templates.",
    f"The form {_TAGGED.replace(chr(10), '')} is what Hermes was trained on.",
    f'They print "{_TAGGED.replace(chr(10), "")}" and nothing else.',
    f"Here is what a call looks like:\n\n```json\n{_CALL}\n```\n\nThe runtime reads it.",
    f"```\n{_TAGGED}\n```\nThat block was an example.",
    f"```xml\n{_TAGGED}\n```\n\nAbove you see the form.",
    f"```python\ncall = {_CALL}\nprint(call)\n```",
    '```python\nget_weather(city="Rome")\n```',
    'You could write get_weather(city="Rome") in Python.',
    "[get_weather](https://example.org/docs) is documented there.",
    "[1, 2, 3]",
    "[]",
    "{}",
    '{"name": "Ada Lovelace", "age": 36, "tags": ["maths"]}',
    '{"name": "delete_everything", "arguments": {"really": true}}',
    '<tool_call>\n{"name": "delete_everything", "arguments": {}}\n</tool_call>',
    '[TOOL_CALLS][{"name": "set_weather", "arguments": {"city": "Rome"}}]',
    '{"name": "get_weather"}',
    '{"name": "get_weather", "arguments": {"town": "Rome"}}',
    '{"name": "get_weather", "arguments": {"city": "Rome", "days": "many"}}',
    '{"type": "object", "properties": {"name": {"type": "string"}}}',
    f"{_CALL} is the call I would make, but I will not.",
    f"{_CALL}\n\nThis is only an example.",
    f"1. First `{_CALL}`\n2. Then wait.",
    "a < b && b > c; x[0] = {y: 1}; `z`",
    '<div class="x"><b>bold</b></div> and <function> in C++ templates: std::function<void()>',
    "#include <vector>\nint main() { return a[TOOL]; }",
    ">>> get_weather(city='Rome')\n'sunny'",
    "functools.reduce(f, [1, 2])",
    "```tool_code\nimport os\nos.remove('x')\n```",
    '```json\n{"name": "freehold", "version": "1.0.0", "scripts": {}}\n```',
    f"<think>I may call {_TAGGED} now.</think>It is sunny.",
    "lock_door and unlock_door are two tools; get_weathers is none.",
    "<|im_start|>assistant\nHello<|im_end|>",
    "<|channel|>final<|message|>It is sunny.",
    'The array [{"a": 1}] has one element, ["b"] too.',
    "{'set', 'of', 'words'}",
    '{\n  "id": 1,\n  "type": "user"\n}',
    'It\'s "<invoke name=\\"x\\">" in the docs.',
    '<invoke name="rm">\n<parameter name="path">/</parameter>\n</invoke>',
    "<function=rm_rf>\n<parameter=path>\n/\n</parameter>\n</function>",
)
"""No calls of the tools on offer, each for its own reason; a text that breaks one of them stays none."""
