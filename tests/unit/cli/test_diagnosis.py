"""What a slow answer and small contexts point at."""

from pathlib import Path

import msgspec
import pytest

from freehold.cli.diagnosis import Trial, advise, agent_windows
from freehold.config import read_config
from freehold.local import machine as machine_module
from freehold.local.machine import Card, Machine, look_at_machine, read_cards

IDLE = Machine(
    cores=8, usable_threads=16, memory_gib=32, free_memory_gib=16, swap_gib=8, used_swap_gib=0, free_disk_gib=100, load=0.5, cards=None
)  # fmt: skip
SLOW = Trial(deployment="ollama/big", context=4096, first_token_s=14, total_s=20)
CARD = Card(name="NVIDIA RTX 4090", memory_gib=24, free_gib=20, driver="570.1")


def test_a_quick_answer_needs_no_advice() -> None:
    assert advise(msgspec.structs.replace(SLOW, total_s=9.9), IDLE) == []
    assert advise(Trial(deployment="x", context=None, fault="nobody answered"), IDLE) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "no NVIDIA card is visible"),
        ({"cards": (CARD,)}, "GPU offload"),
        ({"cards_problem": "nvidia-smi is installed and failed"}, "nvidia-smi is installed and failed"),
        ({}, "threads: as many as physical cores less one (7)"),
        ({"load": 40.0}, "40.0 processes want 16 threads"),
        ({"used_swap_gib": 4.0}, "4.0 GiB are swapped out"),
        ({"free_memory_gib": 0.5}, "only 0.5 GiB are free"),
    ],
)
def test_a_slow_answer_says_what_to_look_at(changes: dict[str, object], says: str) -> None:
    said = advise(SLOW, msgspec.structs.replace(IDLE, **changes))
    assert any(says in one for one in said)
    assert said[0].startswith("ollama/big took 20 s")


def test_an_idle_machine_is_not_blamed_for_load_swap_or_memory() -> None:
    assert not any(word in one for one in advise(SLOW, IDLE) for word in ("swapped", "want", "are free"))


@pytest.mark.parametrize(("context", "concerned"), [("8192", True), ("32768", False), (None, False)])
def test_contexts_too_small_for_agents_are_a_concern(context: str | None, concerned: bool) -> None:
    text = f"""
[defaults]
embedded = false
[[runtimes]]
name = "box"
kind = "local"
base_url = "http://127.0.0.1:8080/v1"
[[deployments]]
id = "box/m"
model = "m"
runtime = "box"
served_as = "m"
abilities = {{ {"" if context is None else f"context = {context}"} }}
"""
    assert bool(agent_windows(read_config(text, {}, None))) is concerned


def test_the_machine_is_read_without_changing_it(tmp_path: Path) -> None:
    found = look_at_machine(tmp_path / "not" / "there")
    assert found.cores >= 1
    assert 0 < found.free_memory_gib <= found.memory_gib
    assert found.free_disk_gib > 0
    assert not (tmp_path / "not").exists()


def test_cards_are_read_from_what_nvidia_smi_prints() -> None:
    text = "NVIDIA GeForce RTX 4090, 24564, 20480, 570.86.15\nNVIDIA H200, [N/A], [N/A], 570\nnonsense\n"
    assert read_cards(text) == (Card(name="NVIDIA GeForce RTX 4090", memory_gib=24564 / 1024, free_gib=20, driver="570.86.15"),)


def smi(folder: Path, body: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("body", "cards", "problem"),
    [
        ("echo 'A100, 40960, 40000, 550.1'", 1, ""),
        ("exit 9", None, "failed"),
        ("exec sleep 60", None, "did not answer"),
    ],
)
def test_a_driver_that_fails_or_hangs_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, cards: int | None, problem: str
) -> None:
    smi(tmp_path, body)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(machine_module, "NVIDIA_TIMEOUT_S", 0.3 if "sleep" in body else 30.0)
    found = look_at_machine(tmp_path)
    assert (None if found.cards is None else len(found.cards)) == cards
    assert problem in found.cards_problem
