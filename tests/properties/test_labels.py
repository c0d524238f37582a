"""Labels only rise: by more text, by more parts, by other cuts. A finding is a kind and four numbers."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.features import LABEL_ORDER, Caller, Features, Label
from freehold.policy.labels import LabelSettings, Pattern
from freehold.routing.detectors.kinds import KINDS
from freehold.routing.detectors.scanner import Detectors
from freehold.routing.facts_cache import FactsCache
from freehold.routing.features import gather
from freehold.wire import openai_chat

FOUND = [
    "AKIA" + "QYLPMN5HHHFPZAM2", "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6", "4111 1111 1111 1111", "5500005555555559", "DE89 3704 0044 0532 0130 00",
    "ann.smith@example.com", "+49 30 1234567", "(212) 555-0123", "10.1.2.3", "db1.prod.internal", "123-45-6789", "postgres://app:s3cretpw@db/x", "secrets/db.txt",
    'password = "kX9#mQ2vLp7"', "ORION-1234", "131052-308T", "756.9217.0769.85",
]  # fmt: skip
DETECTORS = Detectors(
    LabelSettings(
        default=Label.PUBLIC,
        paths={"secrets/**": Label.CONFIDENTIAL},
        patterns=(Pattern(name="orion", starts=("ORION-",), then="[0-9]{4}", label=Label.CONFIDENTIAL),),
    )
)
PLAIN = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40)
NEAR = st.sampled_from(["1", "4444", "eyJ", "@", "AKIA", "password", "=", '"', "://", " ", "-", "secrets/", "x", "é", "DE89"])
TEXT = st.lists(st.one_of(PLAIN, NEAR, st.sampled_from(FOUND)), max_size=6).map(" ".join)


def gathered(messages: list[dict[str, Any]]) -> Features:
    envelope = openai_chat.peek(json.dumps({"model": "auto", "messages": messages}).encode())
    return gather(envelope, openai_chat.describe, Caller(), {}, FactsCache(bytes(32)), len, DETECTORS, exact=False)


def rank(*contents: Any) -> int:
    return LABEL_ORDER[gathered([{"role": "user", "content": content} for content in contents]).label]


def parts(texts: list[str]) -> list[dict[str, str]]:
    return [{"type": "text", "text": text} for text in texts]


@settings(max_examples=150, deadline=None)
@given(TEXT, TEXT)
def test_more_text_never_lowers_the_label(text: str, more: str):
    least = max(rank(text), rank(more))
    assert rank(f"{text}\n{more}") >= least
    assert rank(parts([text, more])) >= least
    assert rank(text, more) >= least


@settings(max_examples=150, deadline=None)
@given(TEXT, st.lists(st.integers(0, 200), max_size=5))
def test_cutting_a_message_into_parts_never_lowers_the_label(text: str, cuts: list[int]):
    places = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    pieces = [text[start:end] for start, end in pairwise(places)]
    assert rank(parts(pieces)) >= rank(text)


@settings(max_examples=100, deadline=None)
@given(TEXT)
def test_a_finding_holds_positions_only_and_they_lie_in_the_text(text: str):
    for kind, start, end in DETECTORS.find(text):
        assert 0 <= start <= end <= len(text)
        assert kind in KINDS or kind in {"path:secrets/**", "pattern:orion"}
    for finding in gathered([{"role": "user", "content": text}]).findings:
        assert isinstance(finding.kind, str)
        assert all(isinstance(one, int) for one in (finding.block, finding.part, finding.offset, finding.length))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(FOUND), PLAIN)
def test_what_stands_on_a_line_of_its_own_is_found_among_anything(found: str, around: str):
    assert rank(f"{around}\n{found}\n{around}") >= rank(found) > 0
