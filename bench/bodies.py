"""Request bodies of the bench: 1 KB of chat and 100 KB shaped like a coding agent's request, in every wire format.

The same arguments always give the same bytes. The large one is a long system prompt, 16 tools with JSON schemas, and
about 50 messages of which most are tool calls and their results; for Completions, which has neither messages nor tools, it
is as much code in one prompt. `cold=True` puts a marker in the last message that the
load client replaces by another number each time, so that no two requests are equal. Nothing in a body may hold the
mock's model prefix, and `model` stands first, as official clients send it.
"""

import argparse
import json
import random
import sys
from collections.abc import Callable

KB = 1000
NONCE = "NONCE-aaaaaaaaaaaaaaa"
VERBS = (
    "read",
    "write",
    "list",
    "find",
    "move",
    "check",
    "build",
    "start",
    "stop",
    "merge",
    "split",
    "trace",
    "format",
    "rename",
    "inspect",
    "measure",
)
NOUNS = (
    "file",
    "folder",
    "symbol",
    "branch",
    "process",
    "report",
    "table",
    "module",
    "record",
    "package",
    "socket",
    "schema",
    "worker",
    "ticket",
)
WORD_TEXT = (
    "the a value error when parser returns state after each call config index buffer must keep order before retry limit and "
    "then request handler closes stream unless token window covers older entries so callers see one result per line with "
    "offset width path name type default optional list mapping integer string boolean raise handle log test expect compare"
)
WORDS = WORD_TEXT.split()

Json = dict[str, object]


def prose(rng: random.Random, chars: int) -> str:
    """Sentences of about `chars` characters."""
    parts: list[str] = []
    size = 0
    while size < chars:
        sentence = " ".join(rng.choices(WORDS, k=rng.randint(7, 16))).capitalize() + ". "
        parts.append(sentence)
        size += len(sentence)
    return "".join(parts)[:chars]


def code(rng: random.Random, chars: int) -> str:
    """Numbered lines of Python-like code, as a file reading tool returns them."""
    lines: list[str] = []
    size = 0
    while size < chars:
        name, other, verb = rng.choice(NOUNS), rng.choice(WORDS), rng.choice(VERBS)
        shape = rng.randrange(4)
        text = (
            f"def {verb}_{name}({other}: str, limit: int = {rng.randint(1, 900)}) -> bool:",
            f'    if {other} is None or "{name}" not in {other}:',
            f"        return {verb}(self._{name}[{rng.randint(0, 99)}], {other}={rng.randint(0, 9999)})",
            f'    """{" ".join(rng.choices(WORDS, k=7)).capitalize()}."""',
        )[shape]
        lines.append(f"{len(lines) + 1:5}\t{text}")
        size += len(lines[-1]) + 1
    return "\n".join(lines)[:chars]


def tool_schemas(rng: random.Random) -> list[tuple[str, str, Json]]:
    """16 tools: name, description, JSON schema of the arguments."""
    tools: list[tuple[str, str, Json]] = []
    for verb, noun in zip(VERBS, (NOUNS + NOUNS)[: len(VERBS)], strict=True):
        properties: Json = {
            "path": {"type": "string", "description": prose(rng, 110)},
            "limit": {"type": "integer", "description": prose(rng, 80), "minimum": 0},
            "mode": {"type": "string", "enum": ["fast", "full", "dry"], "description": prose(rng, 60)},
            "options": {
                "type": "array",
                "items": {"type": "object", "properties": {"key": {"type": "string"}, "value": {"type": "string"}}},
            },
        }
        schema: Json = {"type": "object", "properties": properties, "required": ["path"], "additionalProperties": False}
        tools.append((f"{verb}_{noun}", prose(rng, 600), schema))
    return tools


def turns(rng: random.Random, chars: int) -> list[tuple[str, Json, str, str]]:
    """A history of 24 tool calls: what the assistant said, the arguments, the result, the tool's name."""
    each = chars // 24
    history: list[tuple[str, Json, str, str]] = []
    for i in range(24):
        arguments: Json = {
            "path": f"src/{rng.choice(NOUNS)}/{rng.choice(WORDS)}_{i}.py",
            "limit": rng.randint(10, 2000),
            "mode": "full",
        }
        result = code(rng, int(each * rng.uniform(0.7, 1.3)) - 300)
        history.append((prose(rng, 140), arguments, result, f"{VERBS[i % len(VERBS)]}_{NOUNS[i % len(NOUNS)]}"))
    return history


def openai_agent(rng: random.Random, history_chars: int, last: str) -> Json:
    """Fields of an OpenAI chat completions request, without the model."""
    messages: list[Json] = [{"role": "system", "content": prose(rng, 12 * KB)}, {"role": "user", "content": prose(rng, 900)}]
    tools = [{"type": "function", "function": {"name": n, "description": d, "parameters": s}} for n, d, s in tool_schemas(rng)]
    for i, (said, arguments, result, name) in enumerate(turns(rng, history_chars)):
        call: Json = {"id": f"call_{i:04}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        messages.append({"role": "assistant", "content": said, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"call_{i:04}", "content": result})
    messages.append({"role": "user", "content": last})
    return {"max_tokens": 4096, "messages": messages, "tools": tools}


def anthropic_agent(rng: random.Random, history_chars: int, last: str) -> Json:
    """Fields of an Anthropic messages request, without the model."""
    system = [{"type": "text", "text": prose(rng, 12 * KB), "cache_control": {"type": "ephemeral"}}]
    messages: list[Json] = [{"role": "user", "content": prose(rng, 900)}]
    tools = [{"name": n, "description": d, "input_schema": s} for n, d, s in tool_schemas(rng)]
    for i, (said, arguments, result, name) in enumerate(turns(rng, history_chars)):
        use: Json = {"type": "tool_use", "id": f"toolu_{i:04}", "name": name, "input": arguments}
        messages.append({"role": "assistant", "content": [{"type": "text", "text": said}, use]})
        messages.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"toolu_{i:04}", "content": result}]})
    messages.append({"role": "assistant", "content": prose(rng, 200)})
    messages.append({"role": "user", "content": last})
    return {"max_tokens": 4096, "system": system, "messages": messages, "tools": tools}


def responses_agent(rng: random.Random, history_chars: int, last: str) -> Json:
    """Fields of an OpenAI Responses request, without the model."""
    instructions = prose(rng, 12 * KB)
    items: list[Json] = [{"type": "message", "role": "user", "content": prose(rng, 900)}]
    tools = [{"type": "function", "name": n, "description": d, "parameters": s, "strict": False} for n, d, s in tool_schemas(rng)]
    for i, (said, arguments, result, name) in enumerate(turns(rng, history_chars)):
        call_id = f"call_{i:04}"
        items.append({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": said}]})
        items.append({"type": "function_call", "call_id": call_id, "name": name, "arguments": json.dumps(arguments)})
        items.append({"type": "function_call_output", "call_id": call_id, "output": result})
    items.append({"type": "message", "role": "user", "content": last})
    return {"store": False, "max_output_tokens": 4096, "instructions": instructions, "input": items, "tools": tools}


def ollama_agent(rng: random.Random, history_chars: int, last: str) -> Json:
    """Fields of a request to Ollama's `/api/chat`, without the model."""
    messages: list[Json] = [{"role": "system", "content": prose(rng, 12 * KB)}, {"role": "user", "content": prose(rng, 900)}]
    tools = [{"type": "function", "function": {"name": n, "description": d, "parameters": s}} for n, d, s in tool_schemas(rng)]
    for said, arguments, result, name in turns(rng, history_chars):
        call: Json = {"function": {"name": name, "arguments": arguments}}
        messages.append({"role": "assistant", "content": said, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_name": name, "content": result})
    messages.append({"role": "user", "content": last})
    return {"options": {"num_predict": 4096}, "messages": messages, "tools": tools}


def long_prompt(rng: random.Random, history_chars: int, last: str) -> Json:
    """Fields of an OpenAI Completions request, without the model: files, and a place to go on from."""
    files = [code(rng, history_chars // 8) for _ in range(13)]
    return {"max_tokens": 4096, "prompt": "\n\n".join([*files, last])}


def small(format_name: str, rng: random.Random, last: str) -> Json:
    """About 1 KB of chat."""
    system, asked = prose(rng, 240), prose(rng, 610) + last
    if format_name == "anthropic_messages":
        return {"max_tokens": 256, "system": system, "messages": [{"role": "user", "content": asked}]}
    if format_name == "openai_responses":
        return {"store": False, "max_output_tokens": 256, "instructions": system, "input": asked}
    if format_name == "openai_completions":
        return {"max_tokens": 256, "prompt": f"{system}\n\n{asked}"}
    messages = [{"role": "system", "content": system}, {"role": "user", "content": asked}]
    if format_name == "ollama":
        return {"options": {"num_predict": 256}, "messages": messages}
    return {"max_tokens": 256, "messages": messages}


LARGE: dict[str, Callable[[random.Random, int, str], Json]] = {
    "openai_chat": openai_agent,
    "openai_responses": responses_agent,
    "openai_completions": long_prompt,
    "anthropic_messages": anthropic_agent,
    "ollama": ollama_agent,
}
FORMATS = tuple(LARGE)
METERED_BY_OPTION = ("openai_chat", "openai_completions")
"""Formats whose streams report usage only to those who ask for it."""


def body(size: str, format_name: str, model: str, *, stream: bool = False, cold: bool = False) -> bytes:
    """A request body.

    Args: `size` "1k" or "100k"; `format_name` one of FORMATS; `cold` marks the last message.
    """
    rng = random.Random(7)
    last = prose(rng, 40) + (" " + NONCE if cold else "")
    fields = small(format_name, rng, last) if size == "1k" else LARGE[format_name](rng, 62 * KB, last)
    head: Json = {"model": model}
    if stream or format_name == "ollama":
        head["stream"] = stream  # Ollama streams unless told not to
    if stream and format_name in METERED_BY_OPTION:
        head["stream_options"] = {"include_usage": True}
    return json.dumps(head | fields, separators=(",", ":")).encode()


def main() -> None:
    """Write one body to stdout."""
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("size", choices=["1k", "100k"])
    args.add_argument("format", choices=FORMATS)
    args.add_argument("--model", default="mock-whole")
    args.add_argument("--stream", action="store_true")
    args.add_argument("--cold", action="store_true")
    given = args.parse_args()
    sys.stdout.buffer.write(body(given.size, given.format, given.model, stream=given.stream, cold=given.cold))


if __name__ == "__main__":
    main()
