"""What commands print, and what a client or a model cannot make them print."""

import pytest

from freehold.cli import show

LONG = "workstation/" + "q" * 120


def test_code_keeps_its_tabs_and_lines_and_loses_what_moves_a_terminal() -> None:
    assert show.plain("func f() {\n\treturn\x1b[31m\r\x07 \u202eabc\u2069}") == "func f() {\n\treturn[31m abc}"


def test_a_name_of_many_lines_is_one_entry_of_a_listing(capsys: pytest.CaptureFixture[str]) -> None:
    show.pairs("a title\nserved", [("asked", "fake\n11-21 16:00  req_forged\u2028served"), ("why", "x\ty")])
    assert capsys.readouterr().out == "a title served\n  asked  fake 11-21 16:00  req_forged served\n  why    x y\n"


def test_a_table_that_a_program_reads_is_left_whole(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    show.table("models", ("ask for", "means"), [(LONG, f"one\n{LONG}")])
    assert sum(LONG in line for line in capsys.readouterr().out.splitlines()) == 2


def test_a_table_for_people_is_folded_to_their_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    show.table("models", ("ask for", "means"), [(LONG, "auto")])
    assert max(len(line) for line in capsys.readouterr().out.splitlines()) <= 60
