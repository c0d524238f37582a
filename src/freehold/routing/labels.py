"""The label of a request: the highest of the server's, the key's, the headers', the paths' and the detectors', and why.

Promised: every endpoint joins its sources here and nowhere else; no source lowers what another one says; the reason names
a source (`server`, `key`, `header`, `dataset NAME`, `path GLOB`, `pattern NAME`, `detector KIND`) and holds no text of the
prompt. Not done here: finding (`routing.detectors`).
"""

from collections.abc import Iterable, Mapping

import msgspec

from freehold.fault import Kind, faulty
from freehold.features import LABEL_ORDER, Caller, Finding, Label
from freehold.routing.detectors.kinds import PATH, PATTERN
from freehold.routing.detectors.scanner import Detectors, Spot
from freehold.wire.codec import Envelope

LABEL_HEADER = "x-freehold-label"
DATASET_HEADER = "x-freehold-dataset"
MOST_FINDINGS = 16
"""Kept with a decision, the highest labels first."""
MOST_SHOWN = 24

_LABELS: dict[str, Label] = {label.value: label for label in Label}
_PROMPT_FIELDS: dict[str, frozenset[str]] = {
    "openai_chat": frozenset({"messages", "tools", "functions"}),
    "openai_completions": frozenset({"prompt", "suffix"}),
    "openai_responses": frozenset({"instructions", "input", "tools"}),
    "anthropic_messages": frozenset({"system", "messages", "tools"}),
}
"""The fields that an envelope's blocks are made of, by format."""
_OLLAMA_CHAT, _OLLAMA_GENERATE = frozenset({"messages", "tools"}), frozenset({"prompt", "suffix", "system", "images"})
_SHORTEST = 12
"""Bytes of a field's value below which nothing can be found in it, quotes included."""
_TEXTUAL = frozenset(b'"[{')


class Labelled(msgspec.Struct, frozen=True):
    """A request's label."""

    label: Label
    reason: str
    findings: tuple[Finding, ...] = ()


def label_request(detectors: Detectors, caller: Caller, headers: Mapping[str, str], findings: Iterable[Finding]) -> Labelled:
    """All sources joined; of equal ones the first of the module's list gives the reason.

    Raises FaultError(INVALID_REQUEST) for a label that is none and for a dataset that is not configured.
    """
    label, reason = detectors.default, "server"
    rank = LABEL_ORDER[label]
    for said, why in _said(detectors, caller, headers):
        if LABEL_ORDER[said] > rank:
            label, reason, rank = said, why, LABEL_ORDER[said]
    found = tuple(findings)
    if not found:
        return Labelled(label, reason)
    if len(found) > 1:
        found = tuple(sorted(found, key=lambda one: -detectors.rank_of(one.kind))[:MOST_FINDINGS])
    if detectors.rank_of(found[0].kind) > rank:
        label, reason = detectors.label_of(found[0].kind), in_words(found[0].kind)
    return Labelled(label, reason, found)


def label_said(headers: Mapping[str, str]) -> Label | None:
    """The label of the header; None: there is none. Raises FaultError(INVALID_REQUEST)."""
    header = headers.get(LABEL_HEADER)
    if header is None:
        return None
    asked = _LABELS.get(header.strip().lower())
    if asked is None:
        raise faulty(Kind.INVALID_REQUEST, f"header {LABEL_HEADER}: send one of {', '.join(Label)}", param=LABEL_HEADER)
    return asked


def _said(detectors: Detectors, caller: Caller, headers: Mapping[str, str]) -> Iterable[tuple[Label, str]]:
    if caller.label is not None:
        yield caller.label, "key"
    asked = label_said(headers)
    if asked is not None:
        yield asked, "header"
    header = headers.get(DATASET_HEADER, caller.dataset)
    if header is not None:
        datasets = detectors.settings.datasets
        for name in (one.strip() for one in header.split(",")):
            if name not in datasets:
                # Whoever tags a request relies on the tag: to pass over an unknown one would undo what it stands for.
                known = ", ".join(list(datasets)[:MOST_SHOWN]) or "none"
                said = f"header {DATASET_HEADER}: is no dataset of [datasets] or [labels.datasets]; there are: {known}"
                raise faulty(Kind.INVALID_REQUEST, said, param=DATASET_HEADER)
            yield datasets[name], f"dataset {name}"


def in_words(kind: str) -> str:
    """The source of a label that a kind of finding is."""
    for prefix, word in ((PATH, "path"), (PATTERN, "pattern")):
        if kind.startswith(prefix):
            return f"{word} {kind.removeprefix(prefix)}"
    return f"detector {kind}"


def as_findings(spots: Iterable[Spot], block: int) -> list[Finding]:
    """Findings of one piece of a prompt, placed in it."""
    return [Finding(spot.kind, block, spot.part, spot.offset, spot.length) for spot in spots]


def other_fields(envelope: Envelope) -> list[msgspec.Raw]:
    """Top-level values that are sent along and are not among the blocks: a schema, a prediction, metadata, what is new."""
    known = _PROMPT_FIELDS.get(envelope.format)
    if known is None:
        known = _OLLAMA_CHAT if "messages" in envelope.top else _OLLAMA_GENERATE
    return [
        value
        for key, value in envelope.top.items()
        if len(value) >= _SHORTEST and key not in known and key != "model" and memoryview(value)[0] in _TEXTUAL
    ]
