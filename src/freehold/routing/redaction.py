"""Redaction: a request with placeholders where detectors found something. Pure.

Promised: what is left is a new request, to be looked through again by whoever asks for it; a text that was found once is
replaced wherever it stands, in other messages and other spellings of JSON too; what a secret's rule saw only the beginning
of goes to its end. Kinds that may not be replaced keep their label (`kept`), as paths and what spans several texts do.
Numbers in JSON, files and token ids are not replaced. Not done here: deciding whether it helps (`routing.plan`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from ahocorasick_rs import AhoCorasick

from freehold.features import Redacted
from freehold.policy.labels import LabelSettings
from freehold.routing.detectors.kinds import DEFAULTS, ERROR, KINDS, PATTERN, SECRETS
from freehold.routing.detectors.scanner import Detectors
from freehold.routing.placeholders import MARK, Placeholders
from freehold.wire.codec import Envelope
from freehold.wire.strings import Strings, rewritten, strings_in

MOST_FOUND = 4096
"""Of a kind. A request with more keeps its label."""
SHORTEST_EVERYWHERE = 8
"""Characters of a text that is replaced wherever it stands; a shorter one only where it was found."""
_PIECEWISE = frozenset({"messages", "input", "prompt"})
"""Lists whose elements are looked through each for itself."""
_LONGEST_BEFORE = 128
_LONGEST_KEY = 16_384
_PATTERNS = "patterns"
_BEFORE = re.compile(r"[A-Za-z0-9_~-]*")
_BEHIND = re.compile(r"[A-Za-z0-9_+/=~%-]*")
_BEHIND_JWT = re.compile(r"[A-Za-z0-9_.=-]*")
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}-----|Private-MAC: *[0-9a-f]*")
_KEY_TEXT = re.compile(r"(?:[A-Za-z0-9+/=\\:, \t\r\n-])*")
_decode = msgspec.json.Decoder().decode
_Span = tuple[int, int, str]
"""Beginning, end and kind."""


class Redaction:
    """What redaction made of a request. Never shown: its placeholders hold texts."""

    __slots__ = ("body", "counts", "kept", "placeholders")

    def __init__(self, body: bytes, placeholders: Placeholders, kept: frozenset[str]) -> None:
        self.body = body
        self.placeholders = placeholders
        self.kept = kept
        """Kinds that were found and not replaced."""
        self.counts = tuple(Redacted(kind, count) for kind, count in sorted(placeholders.counts.items()))


def redactable_kinds(settings: LabelSettings) -> frozenset[str]:
    """The kinds that `labels.redact` names."""
    named = set(settings.redact)
    kinds = {kind for kind, group in KINDS.items() if kind in named or group in named}
    return frozenset(
        kinds | {PATTERN + one.name for one in settings.patterns if _PATTERNS in named or PATTERN + one.name in named}
    )


def is_redactable(name: str, patterns: Iterable[str]) -> bool:
    """Whether `labels.redact` may name it."""
    return name in KINDS or name in DEFAULTS or name == _PATTERNS or name in {PATTERN + one for one in patterns}


def redact(envelope: Envelope, detectors: Detectors, key: bytes, key_name: str, user: str) -> Redaction | None:
    """The body with placeholders; None: there is nothing that may be replaced, or a detector failed."""
    try:
        return _redact(envelope, detectors, key, key_name, user)
    except Exception:  # noqa: BLE001 - as in the scanner: what went wrong is not known, so nothing may be cleared
        return None


def _redact(envelope: Envelope, detectors: Detectors, key: bytes, key_name: str, user: str) -> Redaction | None:
    allowed = redactable_kinds(detectors.settings)
    units = {name: _units(name, raw) for name, raw in envelope.top.items() if name != "model"}
    kept: set[str] = set()
    texts: dict[str, str] = {}
    for unit in (one for some in units.values() for one in some):
        kept |= unit.find(detectors, allowed)
        for start, end, kind in unit.spans:
            if end - start >= SHORTEST_EVERYWHERE:
                texts.setdefault(unit.strings.text[start:end], kind)
    every = [one for some in units.values() for one in some]
    if not any(unit.spans for unit in every) or ERROR in kept:
        return None
    automaton, known = AhoCorasick(list(texts)), list(texts)
    taken = _marked(every)
    placeholders = Placeholders(key, key_name, user, lambda made: any(made in text for text in taken))
    top: dict[str, object] = dict(envelope.top)
    for name, some in units.items():
        written = [unit.written(automaton, known, texts, placeholders) for unit in some]
        if any(new is not unit.value for new, unit in zip(written, some, strict=True)):
            top[name] = written if _is_list(name, envelope.top[name]) else written[0]
    return Redaction(msgspec.json.encode(top), placeholders, frozenset(kept))


def _marked(units: Sequence["_Unit"]) -> list[str]:
    return [unit.strings.text for unit in units if MARK in unit.strings.text]


def _is_list(name: str, raw: msgspec.Raw) -> bool:
    return name in _PIECEWISE and bytes(raw).lstrip().startswith(b"[")


def _units(name: str, raw: msgspec.Raw) -> list["_Unit"]:
    value = _decode(raw)
    if _is_list(name, raw) and isinstance(value, list):
        return [_Unit(one) for one in value]
    return [_Unit(value)]


class _Unit:
    """A piece of the body that is looked through for itself."""

    __slots__ = ("spans", "strings", "value")

    def __init__(self, value: object) -> None:
        self.value = value
        self.strings: Strings = strings_in(value)
        self.spans: list[_Span] = []

    def find(self, detectors: Detectors, allowed: frozenset[str]) -> set[str]:
        """Note the spans of what may be replaced; the kinds of what may not."""
        text, kept, spans = self.strings.text, set(), []
        for kind, start, end in detectors.find(text, MOST_FOUND):
            if kind in allowed:
                begin, stop = _extent(text, kind, start, end)
                spans += [(first, last, kind) for first, last in self._within_strings(begin, stop)]
            else:
                kept.add(kind)
        self.spans = _merged(spans, detectors)
        return kept

    def written(self, automaton: AhoCorasick, known: Sequence[str], kinds: Mapping[str, str], table: Placeholders) -> object:
        """The value with placeholders; itself where nothing is to be replaced."""
        text, spans = self.strings.text, list(self.spans)
        for index, start, end in automaton.find_matches_as_indexes(text, overlapping=True):
            spans += [(first, last, kinds[known[index]]) for first, last in self._within_strings(start, end)]
        if not spans:
            return self.value
        return rewritten(self.value, self._texts(_merged(spans, None), table))

    def _within_strings(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """A span's parts in each of the strings it touches, without what joins them."""
        part, _ = self.strings.place(start)
        starts, ends = self.strings.starts, self.strings.ends
        while part < len(starts) and starts[part] < end:
            first, last = max(start, starts[part]), min(end, ends[part])
            if first < last:
                yield first, last
            part += 1

    def _texts(self, spans: Sequence[_Span], table: Placeholders) -> Iterator[str]:
        text, at = self.strings.text, 0
        for begin, stop in zip(self.strings.starts, self.strings.ends, strict=True):
            pieces: list[str] = []
            here = begin
            while at < len(spans) and spans[at][0] < stop:
                start, end, kind = spans[at]
                pieces += (text[here:start], table.stand_in(kind, text[start:end]))
                here = end
                at += 1
            yield "".join((*pieces, text[here:stop]))


def _merged(spans: list[_Span], detectors: Detectors | None) -> list[_Span]:
    """In order, those that overlap as one, of the kind with the highest label."""
    merged: list[_Span] = []
    for start, end, kind in sorted(spans):
        if not merged or start >= merged[-1][1]:
            merged.append((start, end, kind))
            continue
        first, last, former = merged[-1]
        best = kind if detectors is not None and detectors.rank_of(kind) > detectors.rank_of(former) else former
        merged[-1] = (first, max(last, end), best)
    return merged


def _extent(text: str, kind: str, start: int, end: int) -> tuple[int, int]:
    """All of what was found: a rule for secrets is content with the beginning, and some look at the middle."""
    if KINDS.get(kind) != SECRETS:
        return start, end
    if kind == "private-key":
        return start, _end_of_key(text, end)
    before = text[max(start - _LONGEST_BEFORE, 0) : start][::-1]
    found = _BEFORE.match(before)
    behind = (_BEHIND_JWT if kind in {"jwt", "bearer-token"} else _BEHIND).match(text, end)
    return start - (found.end() if found is not None else 0), behind.end() if behind is not None else end


def _end_of_key(text: str, end: int) -> int:
    marked = _KEY_END.search(text, end, end + _LONGEST_KEY)
    if marked is not None:
        return marked.end()
    run = _KEY_TEXT.match(text, end, end + _LONGEST_KEY)
    return run.end() if run is not None else end
