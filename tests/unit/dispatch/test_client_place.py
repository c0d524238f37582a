"""What cannot be said to a runtime is told with the place where it stands in the client's own body, or with no number."""

import json
from typing import Any

import pytest

from freehold.dispatch.client_place import as_client_counts
from freehold.dispatch.mend import mend
from freehold.fault import FaultError, Kind, faulty
from freehold.wire.codec import Sent
from freehold.wire.formats import CODECS

DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
HI = {"role": "user", "content": "hi"}
SYSTEM = {"role": "system", "content": "be brief"}
CALLS = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": name, "type": "function", "function": {"name": "f", "arguments": "{}"}} for name in "ab"],
}
RESULTS = [{"role": "tool", "tool_call_id": name, "content": "1"} for name in "ab"]


def with_part(part: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": "look"}, part]}


@pytest.mark.parametrize(
    ("client", "body", "runtime", "place"),
    [
        ("anthropic_messages", {"messages": [with_part(DOCUMENT)]}, "openai_chat", "messages[0].content[1]"),
        (
            "anthropic_messages",
            {"system": "s", "messages": [HI, HI, with_part(DOCUMENT)]},
            "openai_chat",
            "messages[2].content[1]",
        ),
        ("anthropic_messages", {"messages": [HI, SYSTEM, with_part(DOCUMENT)]}, "openai_chat", "messages"),
        ("openai_chat", {"messages": [with_part(AUDIO)]}, "anthropic_messages", "messages[0].content[1]"),
        ("openai_chat", {"messages": [SYSTEM, with_part(AUDIO)]}, "anthropic_messages", "messages[1].content[1]"),
        ("openai_chat", {"messages": [HI, CALLS, *RESULTS, with_part(AUDIO)]}, "anthropic_messages", "messages"),
        (
            "openai_responses",
            {"input": [with_part({"type": "input_file", "file_id": "file-1"})]},
            "openai_chat",
            "input",
        ),
    ],
)
def test_the_place_is_the_clients(client: Any, body: dict[str, Any], runtime: Any, place: str) -> None:
    envelope = CODECS[client].peek(json.dumps({"model": "m", "max_tokens": 9, **body}).encode())
    request = mend(CODECS[client].read_request(envelope), frozenset({"neutral_system"}))
    with pytest.raises(FaultError) as caught:
        CODECS[runtime].write_request(request, Sent(model="m"))
    told = as_client_counts(caught.value, request, envelope).fault
    assert told.param == place
    assert "messages[" not in told.message.replace(place, "")


def test_a_fault_that_names_no_message_stays_as_it_is() -> None:
    error = faulty(Kind.UNSUPPORTED, "tools: no", param="tools")
    envelope = CODECS["openai_chat"].peek(json.dumps({"model": "m", "messages": [HI]}).encode())
    assert as_client_counts(error, CODECS["openai_chat"].read_request(envelope), envelope) is error
