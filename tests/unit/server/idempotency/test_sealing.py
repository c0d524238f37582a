"""What is kept of an answer is nothing to whoever has not the client's key."""

import pytest

from freehold.fault import Kind
from freehold.server.idempotency.sealing import SALT_BYTES, KeptAnswer, seal, unseal

ROOT, SALT = b"r" * 32, b"s" * SALT_BYTES
ANSWER = KeptAnswer(
    status=200,
    headers=[(b"content-type", b"application/json")],
    body=b'{"say":"a secret plan"}' * 40,
    streams=True,
    is_whole=True,
    outcome="served",
    fault=None,
)


def test_with_the_key_and_the_request_it_is_the_same_answer() -> None:
    assert unseal(seal(ANSWER, ROOT, "req_1", SALT), ROOT, "req_1") == ANSWER
    told = KeptAnswer(502, [], b"", streams=False, is_whole=True, outcome="failed", fault=Kind.BROKEN_STREAM)
    assert unseal(seal(told, ROOT, "req_1", SALT), ROOT, "req_1") == told


def test_nothing_of_it_can_be_read_and_two_of_the_same_have_nothing_in_common() -> None:
    sealed, other = seal(ANSWER, ROOT, "req_1", SALT), seal(ANSWER, ROOT, "req_1", b"t" * SALT_BYTES)
    for word in (b"secret", b"plan", b"application", b"served"):
        assert word not in sealed
    hidden = SALT_BYTES
    same = sum(one == two for one, two in zip(sealed[hidden:], other[hidden:], strict=True))
    assert same < len(sealed[hidden:]) / 8


@pytest.mark.parametrize(("root", "request_id"), [(b"q" * 32, "req_1"), (ROOT, "req_2")])
def test_with_another_key_or_for_another_request_it_is_nothing(root: bytes, request_id: str) -> None:
    assert unseal(seal(ANSWER, ROOT, "req_1", SALT), root, request_id) is None


def test_a_changed_byte_anywhere_and_a_cut_end_are_noticed() -> None:
    sealed = seal(ANSWER, ROOT, "req_1", SALT)
    for at in range(len(sealed)):
        changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        assert unseal(changed, ROOT, "req_1") is None
        assert unseal(sealed[:at], ROOT, "req_1") is None
