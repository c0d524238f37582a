"""Tool calls printed as text: valid ones are recognised, broken ones repaired, prose is left alone, however a stream is cut."""

import pytest

from support.mutated_calls import run


@pytest.mark.parametrize("seed", range(4))
def test_calls_are_found_and_none_invented(seed: int) -> None:
    seen = run(400, seed)
    assert seen["valid calls recognised"] >= 100
    assert seen["broken calls repaired"] >= 50
    assert seen["texts that are no calls"] == 100
    assert 0 < seen["of them still calls"] < seen["mutilated texts"]
