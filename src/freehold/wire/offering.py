"""A request without its conversation: its tools, how they may be used, and its options.

To read a reply's tool calls only these are needed, and an agent's conversation is a hundred times as long. The names of the
fields that hold conversations are those of all chat formats together; a field that is left out here could not change a tool.
"""

import msgspec

from freehold.wire.codec import Envelope

_CONVERSATIONS = frozenset({"messages", "input"})
_SYSTEMS = frozenset({"system", "instructions"})
_NOTHING_SAID = msgspec.Raw(b"[]")
_encode = msgspec.json.Encoder().encode


def without_conversation(envelope: Envelope) -> Envelope:
    """The same request with nothing said, for `Codec.read_request`."""
    top = {
        name: _NOTHING_SAID if name in _CONVERSATIONS else value for name, value in envelope.top.items() if name not in _SYSTEMS
    }
    # The tools stand last, for codecs that read them there.
    return msgspec.structs.replace(envelope, body=_encode(top), top=top, blocks=envelope.blocks[-1:] if envelope.tools else ())
