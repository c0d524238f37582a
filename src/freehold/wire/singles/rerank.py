"""Rerank: documents put in order by how well they answer a query.

Source: Cohere's and Jina's rerank APIs, whose common shape llama.cpp's server, vLLM, LocalAI and Infinity speak too:
`query`, `documents` (texts, or objects with `text`), `top_n`; the answer has `results` with `index` and
`relevance_score`. Not done: TEI's own shape (`texts`).
"""

import msgspec

from freehold.fault import Kind, faulty
from freehold.wire.singles.shape import SingleEnvelope, SingleShot, check_model, read_json

MOST_DOCUMENTS = 10_000


class _Document(msgspec.Struct, frozen=True):
    text: str | None = None


class _Asked(msgspec.Struct, frozen=True):
    model: str
    query: str
    documents: list[str | _Document]


_ASKED = msgspec.json.Decoder(_Asked)


def peek_rerank(body: bytes, _content_type: str) -> SingleEnvelope:
    """See `SingleShot.peek`."""
    sent, read = read_json(body, _ASKED)
    if not read.query:
        raise faulty(Kind.INVALID_REQUEST, "query: must not be empty", param="query")
    if not 1 <= len(read.documents) <= MOST_DOCUMENTS:
        raise faulty(Kind.INVALID_REQUEST, f"documents: must hold 1 to {MOST_DOCUMENTS} entries", param="documents")
    texts = [one if isinstance(one, str) else one.text or "" for one in read.documents]
    # A model sees the query and one document at a time: the longest one is what must fit its window.
    longest = max(texts, key=len)
    return SingleEnvelope(
        sent=sent,
        model=check_model(read.model, None),
        names_model=True,
        texts=(f"{read.query} {longest}",),
        inputs=len(texts),
    )


RERANK = SingleShot(operation="rerank", path="/rerank", peek=peek_rerank, holds="results")
