"""Which path a runtime is asked at: Ollama speaks its own format at the root and OpenAI's below /v1."""

import pytest

from freehold.chat import WireFormat
from freehold.dispatch.reach import Reaches
from freehold.runtime import Local


@pytest.mark.parametrize(
    ("base_url", "formats", "wire_format", "prefix"),
    [
        ("http://127.0.0.1:1/v1", ("ollama",), "ollama", ""),
        ("http://127.0.0.1:1", ("ollama",), "ollama", ""),
        ("http://127.0.0.1:1/behind/v1", ("ollama",), "ollama", "/behind"),
        ("http://127.0.0.1:1", ("ollama", "openai_chat"), "openai_chat", "/v1"),
        ("http://127.0.0.1:1/v1", ("ollama", "openai_chat"), "openai_chat", "/v1"),
        ("http://127.0.0.1:1", ("openai_chat",), "openai_chat", ""),
        ("http://127.0.0.1:1/v1", ("anthropic_messages",), "anthropic_messages", "/v1"),
    ],
)
def test_each_format_is_asked_where_it_is_spoken(
    base_url: str, formats: tuple[WireFormat, ...], wire_format: WireFormat, prefix: str
) -> None:
    reaches = Reaches()
    reaches.place("one", base_url, None)
    runtime = Local(name="one", base_url=base_url, formats=formats)
    assert reaches.find("one").address_of(wire_format, runtime).prefix == prefix
