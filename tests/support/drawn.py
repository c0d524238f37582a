"""What properties of wire formats draw, and how they cut and write streams."""

import itertools

from hypothesis import strategies as st

from freehold.chat import Reply, unfold
from freehold.wire.codec import Asked, Codec

words = st.text(min_size=1, max_size=12).map(str.strip).filter(bool)
names = st.from_regex(r"[a-zA-Z0-9_-]{1,12}", fullmatch=True)
scalars = st.none() | st.booleans() | st.integers(min_value=-(2**53), max_value=2**53) | st.text(max_size=8)
arguments = st.dictionaries(st.text(max_size=6), scalars | st.lists(scalars, max_size=2), max_size=3)
schemas = st.sampled_from([{"type": "object", "properties": {"a": {"type": "string"}}}, {"type": "object", "properties": {}}])


def cut(data: bytes, marks: list[int]) -> list[bytes]:
    """The data in pieces, cut where the marks fall; some pieces may be empty."""
    bounds = [0, *sorted(mark % (len(data) + 1) for mark in marks), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(bounds)]


def streamed(reply: Reply, codec: Codec, asked: Asked) -> bytes:
    """The reply as a stream of that format."""
    writer = codec.writer(asked)
    return b"".join([writer.write(event) for event in unfold(reply)]) + writer.close()
