"""Single-shot operations beside embeddings: images, audio, moderations, rerank. One file each, sans-IO.

Each is a `SingleShot`: how a request is peeked into and what its answer shows. All are relayed to runtimes that speak
OpenAI's form (Cohere's and Jina's for rerank), bytes kept but for the named edits `model` and `reply_model`.
"""

from freehold.wire.singles.audio import TRANSCRIPTIONS, TRANSLATIONS
from freehold.wire.singles.images import EDITS, GENERATIONS, VARIATIONS
from freehold.wire.singles.moderations import MODERATIONS
from freehold.wire.singles.rerank import RERANK
from freehold.wire.singles.shape import SingleEnvelope, SingleShot
from freehold.wire.singles.speech import SPEECH

__all__ = ["SINGLE_SHOTS", "SingleEnvelope", "SingleShot"]

SINGLE_SHOTS: tuple[SingleShot, ...] = (
    GENERATIONS,
    EDITS,
    VARIATIONS,
    TRANSCRIPTIONS,
    TRANSLATIONS,
    SPEECH,
    MODERATIONS,
    RERANK,
)
"""Every one there is."""
