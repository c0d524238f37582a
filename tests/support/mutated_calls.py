"""Runs over many printed calls: valid ones, broken ones, mutilated ones, and prose. Counts what it saw, asserts what must hold."""

import json
import random
from collections import Counter
from typing import Any

from jsonschema import Draft202012Validator

from support.broken_calls import BREAKS, PROSE
from support.printed_calls import BARE, MARKED, SCHEMAS, cut, draw_call, draw_calls, find, said, speak

VALIDATORS = {name: Draft202012Validator(schema) for name, schema in SCHEMAS.items()}
LEADS = (
    "",
    "",
    "Let me look that up.\n",
    "I'll check `a` and `b`:\n\n",
    "Sure!\n```python\nx = 1\n```\n",
    "<think>Which tool? {}</think>\n\n",
)


def run(count: int, seed: int) -> Counter[str]:
    """So many texts, a quarter of each kind."""
    rng = random.Random(seed)
    seen: Counter[str] = Counter()
    kinds = (_valid, _broken, _mutilated, _prose)
    for at in range(count):
        kinds[at % 4](rng, seen)
    return seen


def _pieces(rng: random.Random, text: str) -> list[str]:
    """Cut anywhere; and a second cut must give the same."""
    pieces, others = cut(rng, text), cut(rng, text)
    one, two = find(pieces), find(others)
    assert (one[0], one[1]) == (two[0], two[1]), (pieces, others)
    return pieces


def _check_valid(text: str, calls: list[tuple[str, Any]]) -> None:
    for name, arguments in calls:
        assert name in SCHEMAS, text
        assert VALIDATORS[name].is_valid(arguments), (text, name, arguments)


def _valid(rng: random.Random, seen: Counter[str]) -> None:
    family = rng.choice([*MARKED, *BARE])
    calls = draw_calls(rng, family)
    lead = rng.choice(LEADS) if family in MARKED else rng.choice(["", "", "\n", "<think>Hm.</think>\n"])
    text = lead + speak(rng, family, calls)
    words, found, finder = find(_pieces(rng, text))
    assert said(found) == calls, (family, text, found)
    assert words.strip() == lead.strip(), (family, text, words)
    assert finder.left == 0
    seen["valid calls recognised"] += len(calls)


def _broken(rng: random.Random, seen: Counter[str]) -> None:
    name, breaking = rng.choice(list(BREAKS.items()))
    made = breaking(rng, draw_call(rng, simple=True))
    if made is None:
        return
    text, call = made
    closing = rng.choice(["\n</tool_call>", "\n</tool_call>", ""])
    text = f"<tool_call>\n{text}{closing}" if rng.random() < 0.7 else text
    words, found, _ = find(_pieces(rng, text))
    assert said(found) == [call], (name, text, found, words)
    assert not words.strip(), (name, text, words)
    _check_valid(text, said(found))
    seen["broken calls repaired"] += 1


def _mutilated(rng: random.Random, seen: Counter[str]) -> None:
    """Letters lost, doubled, swapped, or the end cut off: whatever comes of it is on offer and valid, and else it is the text."""
    family = rng.choice([*MARKED, *BARE])
    text = speak(rng, family, draw_calls(rng, family))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(text))
        match rng.randrange(4):
            case 0:
                text = text[:at] + text[at + rng.randint(1, 3) :]
            case 1:
                text = text[:at] + text[at] + text[at:]
            case 2:
                text = text[:at] + rng.choice("{}[]\"',:<>`\\ \n|x0") + text[at:]
            case _:
                text = text[: max(1, at)]
        text = text or "x"
    was_limited = rng.random() < 0.3
    words, found, finder = find(cut(rng, text), was_limited=was_limited)
    _check_valid(text, said(found))
    if not found:
        assert words == text
    seen["mutilated texts"] += 1
    seen["of them still calls"] += bool(found)
    seen["of them left as words, and counted"] += bool(finder.left)


def _prose(rng: random.Random, seen: Counter[str]) -> None:
    text = rng.choice(PROSE)
    if rng.random() < 0.5:
        other = rng.choice(PROSE)
        if _is_even(text) and _is_even(other):
            text = f"{text}\n\n{other}"
    pieces = _pieces(rng, text)
    words, found, _ = find(pieces)
    assert found == [], (text, found)
    assert words == text
    seen["texts that are no calls"] += 1


def _is_even(text: str) -> bool:
    """Prose that is whole by itself: what follows it stands in no code that it opened."""
    return text.count("```") % 2 == 0 and "<think>" not in text and "[TOOL_CALLS]" not in text and "<|" not in text


def as_numbers(seen: Counter[str]) -> dict[str, int]:
    """For a finding."""
    return json.loads(json.dumps(dict(seen)))
