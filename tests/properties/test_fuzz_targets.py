"""Each fuzz target runs on its own seeds, whole and cut, so that `make proof` starts from targets that work."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

_SPEC = importlib.util.spec_from_file_location("fuzz_targets", Path(__file__).parents[1] / "proof" / "fuzz" / "targets.py")
assert _SPEC is not None
assert _SPEC.loader is not None
targets: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(targets)


@pytest.mark.parametrize("name", sorted(targets.TARGETS))
def test_the_seeds_and_their_pieces_are_handled(name: str) -> None:
    seeds = targets.seeds(name)
    assert seeds
    for seed in seeds:
        for end in {0, 1, 2, *range(0, len(seed), max(1, len(seed) // 16)), len(seed)}:
            targets.TARGETS[name](seed[:end])
