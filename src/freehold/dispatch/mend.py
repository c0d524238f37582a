"""What a deployment's quirks change in a request before it is sent.

A quirk that changes messages or tools makes the request leave through the neutral middle, even between equal wire
formats; what is only a field's spelling is the codec's affair (`Sent.quirks`).
"""

from collections.abc import Mapping
from itertools import pairwise

import msgspec

from freehold.chat import ChatRequest, Message, Opaque, TextPart, ToolCallPart, ToolResultPart, WireFormat
from freehold.dispatch.flight import ChatFlight
from freehold.dispatch.plain_schema import make_plain
from freehold.dispatch.schema_tools import offer_by_schema
from freehold.runtime import Egress, Placed
from freehold.wire.addresses import is_search
from freehold.wire.anthropic_messages import has_unsigned_thinking
from freehold.wire.carry import carry_request
from freehold.wire.codec import Envelope
from freehold.wire.tool_names import with_legal_names

NEUTRAL_SYSTEM = "You are a helpful assistant."
"""Small instruction models answer far worse with no system prompt at all (docs/engines.md)."""

GO_ON = "Go on."

_MESSAGE = msgspec.json.Decoder(dict[str, msgspec.Raw])
_KNOWN_FIELDS = frozenset({"role", "content", "name", "tool_calls", "tool_call_id", "refusal", "audio", "reasoning_content"})
"""Of OpenAI's chat messages, and the thinking that local servers take."""
_OF_TEMPLATES = frozenset({"system_first"})
_TOOL_PARTS = (ToolCallPart, ToolResultPart)


def quirks_of(placed: Placed, client: WireFormat, asked_in: WireFormat) -> frozenset[str]:
    """The quirks of a deployment that a client of one format is served by in another.

    Chat Completions written anew for what is no vendor's go to a chat template, and many of those (Qwen's, Llama's, Gemma's) refuse
    a system message that is not the first. Agents send such messages (Claude Code amid the conversation, Codex two at its front),
    so their system text is gathered whether or not anybody said so. A client's own Chat Completions keep their order.
    """
    quirks = frozenset(placed.quirks)
    is_for_a_template = client != asked_in and asked_in == "openai_chat" and placed.egress is not Egress.VENDOR
    return quirks | _OF_TEMPLATES if is_for_a_template else quirks


def needs_mending(flight: ChatFlight, quirks: frozenset[str]) -> bool:
    """Whether the client's own bytes cannot be sent to a deployment with these quirks."""
    if "always_stream" in quirks:
        return True
    if flight.envelope.operation == "completion":  # no template is put around a prompt, so the others do not bear on it
        return "mistral_fim" in quirks
    if "tools_by_schema" in quirks and (flight.features.tools or flight.features.schema or _has_tool_parts(flight)):
        return True
    if "system_first" in quirks and _has_late_system(flight):
        return True
    if "alternating_roles" in quirks and not _alternates(flight):
        return True
    if flight.codec.FORMAT == "openai_chat" and _says_too_much(flight, quirks):
        return True
    return "neutral_system" in quirks and not _has_leading_system(flight)


def must_be_read(flight: ChatFlight, egress: Egress) -> bool:
    """Whether a Messages body may not be relayed as it is, although the runtime speaks that format.

    Thinking that a vendor did not sign is refused by that vendor; a message thread lives at its vendor alone, and a client
    must be told so in the way its SDK understands (docs/wire.md), which reading the body does.
    """
    if flight.codec.FORMAT != "anthropic_messages":
        return False
    if egress is Egress.VENDOR:
        return has_unsigned_thinking(flight.envelope)
    return "thread" in flight.envelope.top


def as_asked_of(
    flight: ChatFlight, envelope: Envelope, wire_format: WireFormat, quirks: frozenset[str]
) -> tuple[ChatRequest, Mapping[str, str]]:
    """One of the flight's envelopes as a deployment with these quirks is asked it in that format.

    Also the client's own names of tools that go out under others.
    """
    request = mend(carry_request(flight.request_of(envelope), wire_format), quirks)
    if wire_format != "openai_responses":
        request = join_users(end_with_a_question(request, flight.codec.FORMAT), flight.codec.FORMAT)
    elif flight.codec.FORMAT == "openai_responses":
        return request, {}
    return with_legal_names(request, wire_format)


def mend(request: ChatRequest, quirks: frozenset[str]) -> ChatRequest:
    """The request as a deployment with these quirks needs it. Unchanged when none applies."""
    if "neutral_system" in quirks and not any(message.role == "system" for message in request.messages):
        system = Message("system", (TextPart(NEUTRAL_SYSTEM),))
        request = msgspec.structs.replace(request, messages=(system, *request.messages))
    if "tools_by_schema" in quirks:
        if request.output is not None and request.output.schema is not None:
            output = msgspec.structs.replace(request.output, schema=make_plain(request.output.schema))
            request = msgspec.structs.replace(request, output=output)
        if request.tools or any(isinstance(part, _TOOL_PARTS) for message in request.messages for part in message.parts):
            request = offer_by_schema(request)
    return request


def without_searches(request: ChatRequest, wire_format: WireFormat) -> ChatRequest:
    """The request but for tools of that format with which a server searches the web itself; the same value where there are none."""
    tools = request.tools
    kept = tuple(one for one in tools if not (isinstance(one, Opaque) and one.format == wire_format and is_search(one.key)))
    return request if len(kept) == len(tools) else msgspec.structs.replace(request, tools=kept)


def end_with_a_question(request: ChatRequest, client: WireFormat) -> ChatRequest:
    """The request with a word for the model to answer, where a Responses client sent one that ends with the model's own.

    That format knows no answer begun by the client: it asks for a next one (Codex does, when a stream broke behind a message that
    was whole). Other formats' last assistant turn is taken for a beginning, or refused, by templates and vendors.
    """
    last = request.messages[-1] if request.messages else None
    if client != "openai_responses" or last is None or last.role != "assistant":
        return request
    if any(isinstance(part, ToolCallPart) for part in last.parts):
        return request  # its results are missing: the caller's fault, as it stands
    return msgspec.structs.replace(request, messages=(*request.messages, Message("user", (TextPart(GO_ON),))))


def join_users(request: ChatRequest, client: WireFormat) -> ChatRequest:
    """The request with one turn of the user where a Responses client sent several behind each other.

    Items are no turns: Codex says its surroundings in an item of their own before the question. Chat templates that want roles to
    alternate (Mistral's, Gemma's) refuse two turns; a turn of several texts is the same to all others.
    """
    if client != "openai_responses":
        return request
    joined: list[Message] = []
    for message in request.messages:
        before = joined[-1] if joined else None
        if before is not None and _are_one_turn(before, message):
            joined[-1] = Message("user", (*before.parts, *message.parts), message.name)
        else:
            joined.append(message)
    return request if len(joined) == len(request.messages) else msgspec.structs.replace(request, messages=tuple(joined))


def _are_one_turn(before: Message, message: Message) -> bool:
    if before.role != "user" or message.role != "user" or before.name != message.name:
        return False
    return not any(isinstance(part, ToolResultPart) for part in (*before.parts, *message.parts))


def _has_tool_parts(flight: ChatFlight) -> bool:
    blocks = (flight.codec.describe(block) for block in flight.envelope.blocks)
    return any(block.tool_calls or block.tool_results for block in blocks)


def _has_leading_system(flight: ChatFlight) -> bool:
    blocks = flight.envelope.blocks
    return bool(blocks) and flight.codec.describe(blocks[0]).role == "system"


def _has_late_system(flight: ChatFlight) -> bool:
    roles = [flight.codec.describe(block).role for block in flight.envelope.blocks]
    return "system" in roles[1:]


def _alternates(flight: ChatFlight) -> bool:
    """Whether no two neighbours have one role, and no user speaks behind tool results."""
    roles = [flight.codec.describe(block).role for block in flight.envelope.blocks]
    return not any(
        (role == before and role in {"user", "assistant"}) or (before == "tool" and role == "user")
        for before, role in pairwise(roles)
    )


def _says_too_much(flight: ChatFlight, quirks: frozenset[str]) -> bool:
    """Whether some message has a list for a content, or a field that the format does not know, and its reader cannot take it."""
    wants_strings, wants_known = "string_content" in quirks, "known_fields" in quirks
    if not wants_strings and not wants_known:
        return False
    for block in flight.envelope.blocks:
        if not bytes(block).lstrip().startswith(b"{"):
            continue  # the tools
        message = _MESSAGE.decode(block)
        if wants_strings and bytes(message.get("content", b"")).startswith(b"["):
            return True
        if wants_known and not message.keys() <= _KNOWN_FIELDS:
            return True
    return False
