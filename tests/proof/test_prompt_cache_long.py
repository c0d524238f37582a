"""The second turn of an agent's prompt re-reads only what is new: the gate's test, with three times its tokens.

It goes with `make clients`, which installs weights with a window for them.
"""

import os
from pathlib import Path

import pytest

from proof.conftest import Found
from support.agent_turns import Turns, engine_toml, take_two_turns
from support.gateway import running

WIDE = Path(__file__).resolve().parents[2] / "build" / "clients" / "weights" / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
LONGEST_S = 3400


def tell(found: Found, model: str, turns: Turns) -> None:
    found(
        f"The second turn of an agent's prompt re-reads only what is new, with a title asked for in between ({model}).",
        **{
            "tokens of the first turn": turns.cold_tokens,
            "of the second": turns.warm_tokens,
            "of them read again": turns.read_again,
            "seconds to the end of the first": round(turns.cold_s, 1),
            "of the second, too": round(turns.warm_s, 1),
            "programs that wanted the cores meanwhile": round(os.getloadavg()[1], 1),
        },
    )


@pytest.fixture
def wide() -> str:
    """Configuration with a model that has a window for 20,000 tokens. All cores: nothing else is to run beside it."""
    if not WIDE.exists():
        pytest.skip("a model with a wide window: tests/clients/install.py found none to install")
    return engine_toml(str(WIDE), 24576, threads=os.cpu_count() or 1, longest_s=LONGEST_S)


@pytest.mark.clients
@pytest.mark.engine
@pytest.mark.timeout(3600)
async def test_the_second_turn_of_20000_tokens_re_reads_only_what_is_new(wide: str, tmp_path: Path, found: Found) -> None:
    async with running(wide, {}, tmp_path) as served:
        turns = await take_two_turns(served, 970, longest_s=LONGEST_S)
    assert turns.cold_tokens > 20_000
    tell(found, "Qwen2.5-Coder-0.5B", turns)
