"""The second turn of an agent's prompt re-reads only what is new: measured on the embedded model."""

from pathlib import Path

import pytest

from support.agent_turns import engine_toml, take_two_turns
from support.gateway import Serve


@pytest.mark.engine
@pytest.mark.timeout(600)
async def test_the_second_turn_of_an_agent_re_reads_only_what_is_new(serve: Serve, home_with_weights: Path) -> None:
    served = await serve(engine_toml("smollm2-135m-instruct", 8192), home=home_with_weights)
    turns = await take_two_turns(served, 285)
    assert turns.cold_tokens > 6000
