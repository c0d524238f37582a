"""A report is dated, says what failed, and shows when it was changed."""

from pathlib import Path

import msgspec
import pytest

from freehold.proof.order import Found, Phase, Planted
from freehold.proof.report import Report, in_words, is_unchanged, make_report, read_key, signer_of

GOOD = Found(namespaces="namespaces", controls=(Planted("dns", 1, 1),), served=3, attacks=60, phases=(Phase("idle", 0),))
KEY = b"k" * 32


def test_a_report_survives_being_written_and_shows_any_change() -> None:
    report = make_report(GOOD, on="2026-11-21T00:00:00+00:00", key=KEY)
    assert report.holds
    again = msgspec.json.decode(msgspec.json.format(msgspec.json.encode(report)), type=Report)
    assert is_unchanged(again)
    assert again.signer == signer_of(KEY) != signer_of(b"x" * 32)
    for changed in (
        msgspec.structs.replace(again, on="2027-01-01T00:00:00+00:00"),
        msgspec.structs.replace(again, found=msgspec.structs.replace(again.found, left=9)),
        msgspec.structs.replace(again, signature=again.signature[:-4] + ("AA==" if again.signature[-4:] != "AA==" else "AQ==")),
        msgspec.structs.replace(again, signature=""),
        msgspec.structs.replace(again, signer=signer_of(b"x" * 32)),
        msgspec.structs.replace(again, signer="no key"),
    ):
        assert not is_unchanged(changed)


def test_a_leak_stands_in_the_words_and_the_claim_falls() -> None:
    found = msgspec.structs.replace(GOOD, left=2, phases=(Phase("idle", 2),))
    report = make_report(found, on="now", key=KEY)
    assert not report.holds
    assert "NOT PROVEN" in in_words(report)
    assert "idle: 2 packets left" in in_words(report)


def test_the_key_is_made_once_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    assert read_key(tmp_path / "data", make=False) is None
    key = read_key(tmp_path / "data", make=True)
    assert key is not None
    assert len(key) == 32
    assert read_key(tmp_path / "data", make=False) == key
    assert (tmp_path / "data" / "proof.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("missing", ["the command `ip` is missing"])
def test_what_is_missing_is_said_and_nothing_is_claimed(missing: str) -> None:
    report = make_report(Found(missing=missing), on="now", key=KEY)
    assert not report.holds
    assert missing in in_words(report)
    assert "nothing was run" in in_words(report)
