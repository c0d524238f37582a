"""Ids sort by time, and no two are alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.ledger.ids import RANDOM_BYTES, is_id, new_id

MOMENTS = st.integers(0, 2**48 - 1)
CHANCE = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


@pytest.mark.parametrize(
    ("now_ms", "chance", "expected"),
    [
        (0, bytes(10), "req_" + "0" * 26),
        (2**48 - 1, b"\xff" * 10, "req_7" + "z" * 25),
        # The ULID specification's example: 01ARYZ6S41 is 1469918176385.
        (1_469_918_176_385, bytes(9) + b"\x01", "req_01aryz6s410000000000000001"),
    ],
)
def test_known_ids(now_ms: int, chance: bytes, expected: str) -> None:
    assert new_id("req_", now_ms, chance) == expected


@given(MOMENTS, MOMENTS, CHANCE, CHANCE)
def test_the_later_id_sorts_later(one: int, other: int, chance: bytes, more: bytes) -> None:
    ids, moments = (new_id("req_", one, chance), new_id("req_", other, more)), ((one, chance), (other, more))
    assert (ids[0] < ids[1]) == (moments[0] < moments[1])
    assert (ids[0] == ids[1]) == (moments[0] == moments[1])


@given(MOMENTS, CHANCE)
def test_what_was_given_is_known_as_an_id_of_its_own_kind_only(moment: int, chance: bytes) -> None:
    given_id = new_id("file-", moment, chance)
    assert is_id("file-", given_id)
    assert not is_id("batch_", given_id)
    assert not any(
        is_id("file-", wrong) for wrong in (given_id[:-1], given_id + "0", given_id.upper(), given_id[:-1] + "l", "file-")
    )
