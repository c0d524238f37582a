"""The protocol of money, over every order of its steps: spin finds no error in it, and one in each mutant of it."""

from pathlib import Path

import pytest

from support.protocol import states_without_error, verify

MUTANTS = {
    1: "looks first and writes later",
    2: "takes a repeated reservation for a second one",
    3: "charges a repeated settlement twice",
    4: "charges the true settlement on top of the lapsed one",
    5: "does not hear the true settlement after a lapse",
    6: "sends without an answer to its reservation",
    7: "forgives what lapsed",
    8: "reserves less than it can cost",
}


SMALL = ("-DCLIENTS=2", "-DLIMIT=3")
"""Two clients, of whom the budget pays for one at a time: every mutant shows there, in a hundredth of the states."""


def test_the_protocol_holds_in_every_state_it_can_reach(tmp_path: Path) -> None:
    assert states_without_error(verify(tmp_path, 0, *SMALL)) > 20_000


@pytest.mark.parametrize("mutant", MUTANTS, ids=[why.replace(" ", "-") for why in MUTANTS.values()])
def test_every_mutant_is_found(mutant: int, tmp_path: Path) -> None:
    assert "errors: 1" in verify(tmp_path, mutant, *SMALL), MUTANTS[mutant]
