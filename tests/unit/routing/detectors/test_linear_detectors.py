"""Linear time, without a clock: calls are counted on texts of growing size, and no expression repeats without a bound."""

import random
import re
import sys
from collections.abc import Callable
from re import _constants as codes  # type: ignore[attr-defined]  # nothing public reads an expression
from re import _parser as parser  # type: ignore[attr-defined]  # as above
from typing import Any

import pytest

from freehold.features import Label
from freehold.policy.labels import LabelSettings, Pattern
from freehold.routing.detectors.anchored import Rule
from freehold.routing.detectors.kinds import KINDS
from freehold.routing.detectors.number_shapes import SHAPES
from freehold.routing.detectors.scanner import Detectors
from freehold.routing.detectors.secret_rules import SECRET_RULES

EVERYTHING = Detectors(
    LabelSettings(
        default=Label.PUBLIC,
        paths={"secrets/**": Label.RESTRICTED, "**/*.pem": Label.RESTRICTED, "a*b*c*d/**/e.txt": Label.RESTRICTED},
        patterns=(Pattern(name="code", starts=("ORION-",), then="[A-Z]{1,20}-[0-9]{1,20}x", label=Label.RESTRICTED),),
        internal_hosts=("corp.example.com",),
    )
)
HOSTILE = [
    "1", "1 ", "4444 ", "4111 1111 1111 111 ", "@", "a@", "a.a@b.", "eyJ", "-eyJ", ".eyJaaaaaaaaa", "token=", "password:", 'password="aB1', "://", "://a:b@",
    "secrets/", "a.pem/", "ab/c", "-----BEGIN ", "-----BEGIN RSA PRIVATE KEY-----\n", "-----BEGIN PRIVATE KEY-----\nAAAA: AAAA: ", "DE89 ", "DE8", "RU89 ", "SE45 ", "+1",
    "sin 123456789 ", "tfn 123 456 789,", "cpf insz fnr 12345678901 ", "131052308A ", "4111 111111 11111,", "85.07.30-033.28 ", "1-2.3/4 5+",
    "+49 30 ", "(212) ", "a.internal", ".corp.example.com", "10.", "Bearer ", "Basic aaaaaaaa ", "a1Q~", "1:AA", "ORION-A-1", "%xoxb-", "AKIA", "a", "secret='",
    "123-45-", "550e8400-e29b-41d4-a716-446655440000 ", "\u00e9", "\U0001f600 token=", *(start + "A1b" for rule in SECRET_RULES for start in rule.starts[:1]),
]  # fmt: skip


def calls_of(work: Callable[[], object]) -> int:
    """Python and C functions called: what grows when a text is looked at over and over."""
    count = 0

    def count_call(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count_call)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("seed", HOSTILE)
def test_four_times_the_text_is_four_times_the_work(seed: str):
    texts = [(seed * (size // len(seed) + 1))[:size] for size in (4096, 16384)]
    small, large = (calls_of(lambda text=text: list(EVERYTHING.find(text))) for text in texts)
    assert large <= 4.5 * small + 200


def mixed(seed: int, *, named: bool) -> str:
    """8 KB of numbers of all shapes, drawn by chance; no outline comes twice in a row."""
    chance, text = random.Random(seed), ""
    while len(text) < 8192:
        shape = chance.choice(SHAPES)
        groups = ["".join(chance.choices("0123456789", k=size)) for size in shape.groups]
        marks = shape.exactly or chance.choice(shape.marks or " ") * (len(groups) - 1)
        word = f"{chance.choice(shape.words)} " if named and shape.words else ""
        number = "".join(group + mark for group, mark in zip(groups, (*marks, ""), strict=True))
        text += word + chance.choice(shape.before or " ") + number + chance.choice([" ", ", ", "\n", " ; ", "A "])
    return text[:8192]


@pytest.mark.parametrize("named", [True, False])
def test_numbers_of_all_shapes_cost_a_few_calls_each(named: bool):
    """Without a clock: 8 KB hold some 500 numbers, and no number is worth a dozen looks."""
    for seed in range(3):
        text = mixed(seed, named=named)
        assert calls_of(lambda text=text: EVERYTHING.find(text)) < 7000


@pytest.mark.parametrize("rule", SECRET_RULES, ids=[f"{rule.kind}-{rule.starts[0]}" for rule in SECRET_RULES])
def test_no_rule_repeats_without_a_bound_or_repeats_a_repeat(rule: Rule):
    assert longest(parser.parse(rule.then)) <= 5000


def longest(parsed: Any, *, inside: bool = False) -> int:
    total = 0
    for code, said in parsed:
        if code in {codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT}:
            least, most, repeated = said
            assert most is not codes.MAXREPEAT
            single = len(repeated) == 1 and repeated[0][0] in {codes.IN, codes.LITERAL, codes.NOT_LITERAL, codes.ANY}
            # A repeat of something longer is short, so that what it may try is a small constant.
            assert single or most <= 12
            assert not (inside and single and most > 80 and least != most)
            total += int(most) * (1 if single else longest(repeated, inside=True))
        elif code is codes.SUBPATTERN:
            total += longest(said[3], inside=inside)
        elif code is codes.BRANCH:
            total += max(longest(branch, inside=inside) for branch in said[1])
        else:
            total += 1
    return total


def test_every_rule_is_of_a_known_kind_and_says_where_it_comes_from():
    assert all(
        rule.kind in KINDS and rule.source and rule.starts and all(len(start) >= 2 for start in rule.starts)
        for rule in SECRET_RULES
    )
    assert all(re.fullmatch(r"[a-z0-9-]+", kind) for kind in KINDS)
