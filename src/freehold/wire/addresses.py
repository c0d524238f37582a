"""Finds what a request only names by an address, so that whoever serves it would have to fetch it. Pure.

Engines do: llama.cpp's server, vLLM and SGLang download an image whose URL begins with `http`, and some open a file of that
name. Such a download is a way out of the machine that nobody's connector sees, and its host is the client's choice.

Promised: of every piece of a prompt, in whatever wire format and under whatever key, media that is not itself in the request
counts, and so does every tool on a server that the request names, and of Anthropic's each that searches: Ollama runs those
itself, at ollama.com. (Agents offer Responses' in every request, so those are left out: `wire.openai_responses`.) What stands
in texts, in the arguments and results of tool calls, in citations and in schemas is data, and does not. Not done: ids of files
that a vendor keeps (it looks those up at home).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from freehold.wire.body import PROMPT_FIELDS

_decode = msgspec.json.Decoder().decode

MEDIA_FIELDS = frozenset({
    "audio_url", "document", "file", "file_url", "files", "image", "image_url", "image_urls", "images", "input_audio", "input_image",
    "media", "ref_audio", "url", "video", "video_url", "videos",
})  # fmt: skip
"""Names that media has beside the parts of a message: in a message itself, or at the top of a body."""
TOOL_SERVERS = "mcp_servers"
"""Anthropic's list of servers whose tools a model may call."""

_HELD = ("content", "output")
_PLACES = frozenset({"audio_url", "file_url", "image", "image_url", "images", "ref_audio", "url", "video", "video_url"})
"""Keys whose strings are data in base64, a `data:` URL, or a place."""
_SAID = frozenset({
    "arguments", "context", "description", "detail", "encrypted_content", "filename", "format", "id", "media_type", "mime_type",
    "name", "refusal", "role", "signature", "text", "thinking", "title", "tool_use_id", "type", "uuid",
})  # fmt: skip
"""Keys of a part whose strings are words, names of kinds, or ids."""
_BESIDE = frozenset({"annotations", "cache_control", "citations", "logprobs"})
_TOLD = frozenset({
    "code_execution_tool_result", "custom_tool_call", "function_call", "mcp_tool_result", "mcp_tool_use", "redacted_thinking",
    "search_result", "server_tool_use", "tool_call", "tool_use", "web_fetch_tool_result", "web_search_tool_result",
})  # fmt: skip
"""Parts that tell what was called, searched and found: nobody fetches them again."""
_TOOL_MARKS = frozenset({"custom", "function", "input_schema", "name", "parameters", "server_label"})
_ADDRESS = re.compile(r"(?:http|[a-z][a-z0-9+.\-]{0,31}://|(?:file|ftps?|gs|s3):|//|\\\\|[a-z]:[\\/]|\.{1,2}/|~)", re.IGNORECASE)
_SEARCHES = ("web_search", "web_fetch", "browser_search", "google_search", "x_search", "url_context")
_BLANKS = "".join(map(chr, range(33)))
_SHORTEST_DATA_CHARS = 64
"""A picture in base64 may begin with a slash, but none is so short."""
_LOOKED_AT_CHARS = 4096
_QUOTES = 8
"""Of two keys and two strings."""


def is_search(kind: object) -> bool:
    """Whether a tool of that type looks things up on the web, whoever runs it."""
    return isinstance(kind, str) and kind.startswith(_SEARCHES)


def is_address(said: str, *, is_place: bool = False) -> bool:
    """Whether a value that stands where media stands is somewhere to get it from: a URL of any scheme but `data:`, or a path.

    `is_place`: its key says that it is data or a place, so that what is no data is a place, however it is written.
    """
    said = said[:_LOOKED_AT_CHARS].lstrip(_BLANKS)
    if said[:5].lower() == "data:":
        return False
    if _ADDRESS.match(said) is not None or (is_place and ("." in said or ":" in said)):
        return True
    return said.startswith("/") and (len(said) < _SHORTEST_DATA_CHARS or "." in said)


def count_in_block(block: bytes) -> int:
    """How often a piece of a prompt (system text, a message, an item, the tools) names something by an address.

    The piece is valid JSON.
    """
    if block.find(b"[", 1) < 0 and block.find(b"{", 1) < 0 and block.count(b'"') <= _QUOTES and b'"content"' in block:
        return 0  # a role and its text
    return sum(map(_count_in_part, _parts(_decode(block))))


def count_beside(top: Mapping[str, msgspec.Raw]) -> int:
    """The same, of the fields beside a prompt."""
    if MEDIA_FIELDS.isdisjoint(top.keys()) and TOOL_SERVERS not in top:
        return 0
    found = sum(_count_in_part({key: _decode(top[key])}) for key in MEDIA_FIELDS & top.keys())
    servers = _decode(top[TOOL_SERVERS]) if TOOL_SERVERS in top else None
    return found + (len(servers) if isinstance(servers, list) else servers is not None)


def count_in_body(top: Mapping[str, msgspec.Raw]) -> int:
    """The same, of a whole request that is no chat: texts at the places of texts are texts, all else is looked at."""
    found = 0
    for key, raw in top.items():
        if key in {"metadata", "model", "query", "response_format", "user"} or (key in PROMPT_FIELDS and b"{" not in bytes(raw)):
            continue
        value = _decode(raw)
        if key == "messages":
            found += sum(_count_in_part(part) for piece in value for part in _parts(piece)) if isinstance(value, list) else 0
        elif key in PROMPT_FIELDS:
            found += sum(map(_count_in_part, _in_held(value)))
        else:
            found += _count_in_part({key: value})
    return found


def _parts(piece: Any) -> Iterator[Any]:
    """What of a piece may be media."""
    if isinstance(piece, list):  # parts of the system's text, or tools
        for one in piece:
            if isinstance(one, dict) and ("server_url" in one or ("name" in one and is_search(one.get("type")))):
                yield {"url": "//"}
            elif isinstance(one, dict) and _TOOL_MARKS.isdisjoint(one):
                yield one
    elif isinstance(piece, dict) and piece.get("type") not in _TOLD:
        for key, value in piece.items():
            if key in _HELD:
                yield from _in_held(value)
            elif key in MEDIA_FIELDS:
                yield {key: value}


def _in_held(held: Any) -> Iterator[Any]:
    """Contents: a string here, alone or in a list, is a text."""
    for one in held if isinstance(held, list) else (held,):
        if isinstance(one, dict):
            yield one


def _count_in_part(part: Any) -> int:
    """A string here is media, unless its key says otherwise. Walked without recursion: a client chooses the depth."""
    found, left = 0, [(part, False)]
    while left:
        one, is_place = left.pop()
        if isinstance(one, str):
            found += is_address(one, is_place=is_place)
        elif isinstance(one, list):
            left += [(each, is_place) for each in one]
        elif isinstance(one, dict) and one.get("type") not in _TOLD:
            for key, value in one.items():
                if key in _BESIDE or (isinstance(value, str) and (key in _SAID or (key == "data" and one.get("type") == "text"))):
                    continue
                left += [(each, False) for each in _in_held(value)] if key == "content" else [(value, key in _PLACES)]
    return found
