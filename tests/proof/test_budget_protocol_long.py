"""The protocol of money with three clients, over every order of its steps."""

from collections.abc import Callable
from pathlib import Path

import pytest

from support.protocol import states_without_error, verify

pytestmark = pytest.mark.proof


def test_the_protocol_holds_in_every_state_that_three_clients_can_reach(tmp_path: Path, found: Callable[..., None]) -> None:
    states = states_without_error(verify(tmp_path, 0, within_s=600))
    assert states > 1_000_000
    found(
        "The protocol of money (reserve, settle, void, lapse, die, ask again) spends no more than its budget and loses nothing, in "
        "every order of the steps of three clients.",
        **{"states looked at": states, "errors": 0},
    )
