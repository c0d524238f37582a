"""A prompt that a runtime cut without a word is told from one that templates and tokenizers count differently."""

import pytest

from freehold.chat import Choice, Reply, TextPart
from freehold.routing.cut import find_cut
from freehold.routing.judge import Evidence, judge


@pytest.mark.parametrize(
    ("counted", "exact", "sent_bytes", "read"),
    [
        (12_000, False, 60_000, 4_096),  # Ollama's default window, an agent's prompt
        (12_000, False, 60_000, 8_000),
        (6_000, True, 24_000, 5_000),
    ],
)
def test_a_cut_is_found(counted: int, exact: bool, sent_bytes: int, read: int) -> None:
    said = find_cut(counted, is_exact=exact, sent_bytes=sent_bytes, read_tokens=read)
    assert f"read {read}" in said


@pytest.mark.parametrize(
    ("counted", "exact", "sent_bytes", "read"),
    [
        (12_000, False, 60_000, 12_500),
        (12_000, False, 60_000, 9_000),  # a vocabulary that needs fewer
        (700, False, 3_000, 300),  # too small to be sure
        (12_000, False, 20_000, 4_500),  # thinking was left out before it was sent
        (6_000, True, 24_000, 5_600),
        (12_000, False, 60_000, 0),  # nothing was reported
    ],
)
def test_what_tokenizers_and_templates_differ_by_is_no_cut(counted: int, exact: bool, sent_bytes: int, read: int) -> None:
    assert find_cut(counted, is_exact=exact, sent_bytes=sent_bytes, read_tokens=read) == ""


def test_the_check_says_what_was_found_and_nothing_else() -> None:
    reply = Reply(choices=(Choice(parts=(TextPart("done"),), finish="stop"),))
    (found,) = judge(Evidence(reply=reply, cut="of about 12000 prompt tokens the runtime read 4096"), ["prompt_cut"])
    assert (found.poor, found.detail) == (True, "of about 12000 prompt tokens the runtime read 4096")
    (none,) = judge(Evidence(reply=reply), ["prompt_cut"])
    assert not none.poor
