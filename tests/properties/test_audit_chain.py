"""Whatever is done to a chained export is found."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from freehold.ledger.chain import NO_CHAIN, BrokenChainError, Chain, check

facts = st.dictionaries(st.sampled_from(["user", "at_ms", "label"]), st.one_of(st.integers(-(2**53), 2**53), st.text(max_size=8)))


@st.composite
def chains(draw: st.DrawFn) -> tuple[list[bytes], Chain]:
    chain = Chain(draw(st.sampled_from([NO_CHAIN, "ab" * 32])))
    lines = [chain.link("audit", {})] + [chain.link("attempt", draw(facts)) for _ in range(draw(st.integers(0, 6)))]
    lines.append(chain.close())
    return [line + b"\n" for line in lines], chain


@given(chains())
def test_a_chain_is_whole_as_it_was_written(made) -> None:
    lines, chain = made
    checked = check(lines)
    assert (checked.lines, checked.head) == (chain.lines, chain.head)


@given(chains(), st.data())
def test_no_byte_changes_unseen(made, data) -> None:
    lines, _ = made
    text = b"".join(lines)
    at = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda one: one != text[at]))
    changed = text[:at] + bytes([byte]) + text[at + 1 :]
    with pytest.raises(BrokenChainError):
        check_text(changed, text)


@given(chains(), st.data())
def test_no_line_goes_comes_or_moves_unseen(made, data) -> None:
    lines, _ = made
    others = list(lines)
    match data.draw(st.sampled_from(["remove", "repeat", "swap", "cut", "insert"])):
        case "remove":
            del others[data.draw(st.integers(0, len(others) - 1))]
        case "repeat":
            at = data.draw(st.integers(0, len(others) - 1))
            others.insert(data.draw(st.integers(0, len(others))), others[at])
        case "swap":
            one, other = data.draw(st.integers(0, len(others) - 1)), data.draw(st.integers(0, len(others) - 1))
            others[one], others[other] = others[other], others[one]
        case "cut":
            others = others[: data.draw(st.integers(0, len(others) - 1))]
        case "insert":
            forged = Chain(NO_CHAIN).link("attempt", {"user": "mallory"}) + b"\n"
            others.insert(data.draw(st.integers(0, len(others))), forged)
    assume(others != lines)
    with pytest.raises(BrokenChainError):
        check_text(b"".join(others), b"".join(lines))


def check_text(text: bytes, was: bytes) -> None:
    """As a file is read. Only the first line's own `prev` may be another chain's head: then it goes on from elsewhere."""
    checked = check(text.splitlines(keepends=True) if b"\r" not in text else text.split(b"\n"))
    whole = check(was.splitlines(keepends=True))
    if (checked.after, checked.head) != (whole.after, whole.head):
        raise BrokenChainError(0, "the head or the beginning is another one")
