"""What engines do by themselves with what a request says, so that a gateway which passes it on is seen to leak.

Each was seen in an engine's source: llama.cpp's server, vLLM and SGLang download media whose URL begins with `http`; vLLM and
SGLang take blocks of a cache from a host that the request names, LiteLLM's proxy takes the base URL; servers in Go (Ollama)
read field names whatever their case, the last one counting, run `-cloud` models elsewhere, and search the web for Messages clients.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from freehold.local.fence import devices
from freehold.proof.leaks import DEVICE, leak

_HOSTS = frozenset({"api_base", "base_url", "bootstrap_host", "ec_transfer_params", "kv_transfer_params"})
_MEDIA = frozenset({"audio_url", "data", "file_data", "file_url", "image", "image_url", "images", "source", "url", "video_url"})
_PROMPTS = frozenset({"content", "documents", "images", "input", "mask", "messages", "output"})


def obey(body: bytes) -> None:
    """Send a packet out for whatever the body would have an engine fetch. Only inside the proof's namespace."""
    if DEVICE in devices() and any(True for _ in places(body)):
        leak("udp_dns")


def places(body: bytes) -> Iterator[str]:
    """Where a body leads."""
    try:
        read = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError):
        return
    if not isinstance(read, dict):
        return
    models = [str(value) for key, value in read.items() if key.casefold() == "model"]
    if models and models[-1].endswith("-cloud"):
        yield models[-1]
    for tool in read.get("tools") or ():
        if isinstance(tool, dict) and str(tool.get("type")).startswith(("web_search", "web_fetch", "mcp")):
            yield str(tool["type"])
    for key, value in read.items():
        if key in _HOSTS:
            yield key
        elif key in _PROMPTS:
            yield from _media(value, is_media=key in _MEDIA)


def _media(value: Any, *, is_media: bool) -> Iterator[str]:
    if isinstance(value, str):
        if is_media and value.startswith("http"):
            yield value
    elif isinstance(value, list):
        for one in value:
            yield from _media(one, is_media=is_media)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key in _MEDIA or key in _PROMPTS or isinstance(one, dict):
                yield from _media(one, is_media=key in _MEDIA)
