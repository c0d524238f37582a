"""All detectors of a configuration over one text: one pass of an automaton, one of a translation for digits.

Promised: linear time; at most `MOST_SPOTS` findings of a text, the highest labels first; a text that makes a detector
fail has the finding `detector-error`. A kind that cannot raise the label of any request is not looked for at all.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from ahocorasick_rs import AhoCorasick, Implementation
from blake3 import blake3

from freehold.features import LABEL_ORDER, Label
from freehold.policy.labels import LabelSettings
from freehold.routing.detectors import contacts, hosts, ibans
from freehold.routing.detectors.anchored import Find, make_find
from freehold.routing.detectors.kinds import ERROR, PATH, PATTERN, labels_of
from freehold.routing.detectors.numbers import Numbers
from freehold.routing.detectors.paths import Paths
from freehold.routing.detectors.patterns import MOST_TRIES, make_find_pattern
from freehold.routing.detectors.secret_rules import SECRET_RULES
from freehold.wire.strings import Strings, joined, strings_of

MOST_SPOTS = 64
MOST_OF_A_KIND = 16
"""After so many a kind is known well enough; what else of it there is goes unlisted."""
ACROSS = -1
"""The part of a finding that only shows when a piece's texts are read as one."""


class Spot(msgspec.Struct, frozen=True, array_like=True):
    """A finding within one piece of a prompt. Never the text."""

    kind: str
    part: int
    """Which string of the piece's JSON, keys included, from 0; `ACROSS`: it spans texts, `offset` counts them as one."""
    offset: int
    length: int


class Detectors:
    """What a configuration looks for. Holds tables made once at load and is not changed afterwards."""

    __slots__ = (
        "_automaton",
        "_finds",
        "_labels",
        "_nationals",
        "_numbers",
        "_on_iban",
        "_path_starts",
        "_paths",
        "_starts",
        "_tries",
        "default",
        "salt",
        "settings",
    )

    def __init__(self, settings: LabelSettings) -> None:
        self.settings = settings
        self.default = settings.default
        """The label of every request before anything is found."""
        self.salt = int.from_bytes(blake3(msgspec.json.encode(settings, order="deterministic")).digest(8), "big")
        """Mixed into the place of cached findings, so that another configuration does not meet them."""
        floor = LABEL_ORDER[settings.default]
        kinds = {kind: label for kind, label in labels_of(settings.detectors).items() if LABEL_ORDER[label] > floor}
        paths = {glob: label for glob, label in settings.paths.items() if LABEL_ORDER[label] > floor}
        patterns = [one for one in settings.patterns if LABEL_ORDER[one.label] > floor]
        self._labels = {
            ERROR: Label.RESTRICTED,
            **kinds,
            **{PATH + glob: label for glob, label in paths.items()},
            **{PATTERN + one.name: one.label for one in patterns},
        }
        self._numbers = Numbers(frozenset(kinds))
        self._nationals = "phone" in kinds
        self._paths = Paths(paths)
        on_path, on_iban = frozenset(self._paths.starts), frozenset(ibans.STARTS if "iban" in kinds else ())
        finds: dict[str, list[tuple[str, Find]]] = {start: [] for start in (*self._paths.starts, *on_iban)}
        for kind, starts, find in _anchored(frozenset(kinds), settings):
            for start in starts:
                finds.setdefault(start, []).append((kind, find))
        for one in patterns:
            for start in one.starts:
                finds.setdefault(start, []).append((PATTERN + one.name, make_find_pattern(one)))
        self._tries = {PATTERN + one.name for one in patterns}
        self._starts = tuple(finds)
        self._finds = tuple(tuple(finds[start]) for start in self._starts)
        self._on_iban = frozenset(index for index, start in enumerate(self._starts) if start in on_iban)
        self._path_starts = {index: start for index, start in enumerate(self._starts) if start in on_path}
        # The dense automaton costs memory once and reads several times faster than the sparse ones.
        self._automaton = AhoCorasick(self._starts, implementation=Implementation.DFA) if finds else None

    def label_of(self, kind: str) -> Label:
        """The label a kind of finding raises to."""
        return self._labels[kind]

    def rank_of(self, kind: str) -> int:
        """The same, for comparing."""
        return LABEL_ORDER[self._labels[kind]]

    def read_json(self, data: bytes, texts: Sequence[str] = ()) -> tuple[Spot, ...]:
        """The findings in a piece of JSON. `texts` are what a model reads of it as one: they are looked through joined, too,
        where there are several, so that nothing hides in the seam between two parts.
        """
        try:
            spots = self._read(strings_of(data))
            if len(texts) > 1:
                known = {spot.kind for spot in spots}
                across = self._read(Strings("".join(texts), ()))
                spots += [msgspec.structs.replace(one, part=ACROSS) for one in across if one.kind not in known]
            return self._highest(spots)
        except Exception:  # noqa: BLE001 - whatever went wrong, what it would have found is not known
            return (Spot(ERROR, 0, 0, 0),)

    def read_texts(self, texts: Sequence[str]) -> tuple[Spot, ...]:
        """The findings in texts that are read already."""
        try:
            return self._highest(self._read(joined(tuple(texts))))
        except Exception:  # noqa: BLE001 - as above
            return (Spot(ERROR, 0, 0, 0),)

    def read_seam(self, head: str, tail: str) -> tuple[Spot, ...]:
        """What begins in one text and goes on in the next, as if there were nothing between them."""
        cut = len(head)
        try:
            found = {spot for spot in self.find(head + tail) if spot[1] < cut < spot[2]}
            return self._highest([Spot(kind, ACROSS, start, end - start) for kind, start, end in sorted(found)])
        except Exception:  # noqa: BLE001 - as above
            return (Spot(ERROR, 0, 0, 0),)

    def find(self, text: str, most: int = MOST_OF_A_KIND) -> list[tuple[str, int, int]]:
        """Kind, beginning and end of everything found in one text, in no order; the same place may be told twice.

        `most` of a kind are looked for.
        """
        found: list[tuple[str, int, int]] = []
        if self._automaton is not None:
            hits = self._automaton.find_matches_as_indexes(text, overlapping=True)
            if hits:
                found += self._look_at(text, hits, most)
        if self._numbers:
            found += self._numbers.find(text, most)
        if self._nationals:
            found += [("phone", start, end) for start, end in contacts.find_national_phones(text)]
        return found

    def _look_at(self, text: str, hits: Sequence[tuple[int, int, int]], most: int) -> Iterator[tuple[str, int, int]]:
        finds, on_iban, path_starts = self._finds, self._on_iban, self._path_starts
        counts: dict[str, int] = {}
        full: set[str] = set()
        path_hits: list[tuple[str, int, int]] = []
        iban_hits: list[tuple[int, int]] = []
        for index, start, end in hits:
            if index in on_iban:
                iban_hits.append((start, end))
            if index in path_starts:
                path_hits.append((path_starts[index], start, end))
            for kind, find in finds[index]:
                if kind in full:
                    continue
                found = find(text, start, end)
                if found is None and not (kind in self._tries and self._is_tired(kind, counts, full)):
                    continue
                counts[kind] = counts.get(kind, 0) + 1
                if counts[kind] >= most:
                    full.add(kind)
                yield (kind, *(found or (start, end)))
        if iban_hits or path_hits:
            yield from self._look_together(text, iban_hits, path_hits, most)

    def _look_together(
        self, text: str, iban_hits: list[tuple[int, int]], path_hits: list[tuple[str, int, int]], most: int
    ) -> Iterator[tuple[str, int, int]]:
        """What is found by all of its hits in a text, one after the other."""
        for start, end in ibans.find_ibans(text, iban_hits, most):
            yield "iban", start, end
        if path_hits:
            for glob, start, end in self._paths.find(text, path_hits):
                yield PATH + glob, start, end

    def _is_tired(self, kind: str, counts: dict[str, int], full: set[str]) -> bool:
        """Whether a pattern was tried in vain as often as it may be; it is then taken for found, once."""
        tried = f"{kind} in vain"
        counts[tried] = counts.get(tried, 0) + 1
        if counts[tried] < MOST_TRIES:
            return False
        full.add(kind)
        return True

    def _read(self, strings: Strings) -> list[Spot]:
        found = {Spot(kind, *strings.place(start), end - start) for kind, start, end in self.find(strings.text)}
        return [] if not found else sorted(found, key=lambda spot: (spot.part, spot.offset, spot.kind))

    def _highest(self, spots: list[Spot]) -> tuple[Spot, ...]:
        if not spots:
            return ()
        kept: list[Spot] = []
        counts: dict[str, int] = {}
        for spot in sorted(spots, key=lambda one: -self.rank_of(one.kind)):
            if counts.setdefault(spot.kind, 0) < MOST_OF_A_KIND and len(kept) < MOST_SPOTS:
                counts[spot.kind] += 1
                kept.append(spot)
        return tuple(kept)


def _anchored(kinds: frozenset[str], settings: LabelSettings) -> Iterable[tuple[str, tuple[str, ...], Find]]:
    for rule in SECRET_RULES:
        if rule.kind in kinds:
            yield rule.kind, rule.starts, make_find(rule)
    for kind, starts, find in (
        ("email", contacts.EMAIL_STARTS, contacts.find_email),
        ("phone", contacts.PHONE_STARTS, contacts.find_phone),
        ("private-address", hosts.ADDRESS_STARTS, hosts.find_address),
    ):
        if kind in kinds:
            yield kind, starts, find
    if "internal-host" in kinds:
        for start, least_labels in hosts.host_starts(settings.internal_hosts).items():
            yield "internal-host", (start,), hosts.make_find_host(least_labels)
