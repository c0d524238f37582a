"""`freehold cost` and `freehold reconcile` over a ledger: sums, what is unknown, and the invoice."""

from pathlib import Path

import pytest

from freehold.chat import Usage
from freehold.record import SETTLED_AS_RESERVED
from support import records
from support.ledgers import kept
from support.place import Place

AT_MS = 1_794_312_000_000  # 2026-11-10T12:00Z
USAGE = Usage(input_tokens=1000, output_tokens=100, cached_tokens=800)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A ledger of two days, with a priced model, an unpriced one, a free one and a request by somebody else, settled as reserved."""
    place = Place(tmp_path_factory.mktemp("costs"))
    database = place.folder / "costs.db"
    place.config.write_text(f'[storage]\npath = "{database}"\n')
    with kept(database) as store:
        for index, (model, egress, cost, at_ms, user) in enumerate(
            [
                ("gpt-5.4-mini-2026-03-17", "vendor", 600_000_000, AT_MS, "ada"),
                ("gpt-5.4-mini", "vendor", 400_000_000, AT_MS, "ada"),
                ("gpt-5.4-mini", "vendor", 500_000_000, AT_MS + 86_400_000, "bob"),
                ("odd", "vendor", None, AT_MS, "ada"),
                ("qwen", "local", 0, AT_MS, "ada"),
            ]
        ):
            request_id = f"req_{index:026}"
            how = {"edits": (SETTLED_AS_RESERVED,), "cost_basis": "estimated"} if user == "bob" else {}
            attempt = records.attempt(
                request_id,
                sent_model=model,
                egress=egress,
                runtime=egress,
                cost_nano_usd=cost,
                started_ms=at_ms,
                usage=USAGE,
                **how,
            )
            store.writer.put("attempts", attempt)
            store.writer.put("requests", records.request(request_id, caller_user=user, at_ms=at_ms, cost_nano_usd=cost))
    return place


def test_sums_by_day_show_what_is_unknown_beside_them(place: Place) -> None:
    days = place.json("cost")
    assert [(day["day"], day["attempts"], day["cost_nano_usd"], day["unpriced_attempts"]) for day in days] == [
        ("2026-11-10", 4, 1_000_000_000, 1),
        ("2026-11-11", 1, 500_000_000, 0),
    ]
    words = place.run("cost")
    assert "$1.000000 + unknown of 1" in words
    assert "$1.500000 + unknown of 1" in next(line for line in words.splitlines() if line.startswith("all "))


def test_what_is_counted_as_it_was_reserved_is_told(place: Place) -> None:
    days = place.json("cost")
    assert [(day["attempts_as_reserved"], day["estimated_attempts"]) for day in days] == [(0, 0), (1, 0)]
    assert "1 of the attempts are counted at what was reserved for them" in place.run("cost")


def test_a_model_without_a_price_is_unknown_and_never_zero(place: Place) -> None:
    models = {one["model"]: one["cost_nano_usd"] for one in place.json("cost", "--by", "model")}
    assert models == {"gpt-5.4-mini": 900_000_000, "gpt-5.4-mini-2026-03-17": 600_000_000, "odd": None, "qwen": 0}


def test_several_things_and_a_span_of_days(place: Place) -> None:
    rows = place.json("cost", "--by", "user", "--by", "runtime", "--since", "2026-11-10", "--until", "2026-11-11")
    assert [(one["user"], one["runtime"], one["attempts"]) for one in rows] == [("ada", "local", 1), ("ada", "vendor", 3)]


def test_what_cannot_be_summed_by_is_refused_with_the_words_that_can(place: Place) -> None:
    assert "day, model, runtime, user, session" in place.json("cost", "--by", "mood", code=2)["error"]
    assert "2026-11-01" in place.json("cost", "--since", "monday", code=2)["error"]


def test_an_invoice_is_compared_by_day_and_model(place: Place, tmp_path: Path) -> None:
    invoice = tmp_path / "invoice.csv"
    invoice.write_text(
        "start_time,amount_value,amount_currency,line_item\n"
        '1794268800,1.0,usd,"gpt-5.4-mini-2026-03-17, input"\n'
        '1794355200,0.7,usd,"gpt-5.4-mini-2026-03-17, input"\n'
        '1794355200,0.2,usd,"text-embedding-3-small, input"\n'
    )
    rows = place.json("reconcile", str(invoice))
    assert [(one["day"], one["model"], one["difference_nano_usd"], one["causes"]) for one in rows] == [
        ("2026-11-10", "gpt-5-4-mini", 0, ["equal"]),
        ("2026-11-11", "gpt-5-4-mini", 200_000_000, ["reserved"]),
        ("2026-11-11", "text-embedding-3-small", 200_000_000, ["not_in_ledger"]),
    ]
    words = place.run("reconcile", str(invoice))
    assert "calls that did not come through this gateway" in " ".join(words.split())
    assert words.splitlines()[-1] == "ledger $1.500000, invoice $1.900000, difference $0.400000"


def test_a_file_that_is_no_invoice_is_refused(place: Place, tmp_path: Path) -> None:
    notes = tmp_path / "notes.csv"
    notes.write_text("a,b\n1,2\n")
    assert "no invoice" in place.json("reconcile", str(notes), code=2)["error"]
    assert "cannot be read" in place.json("reconcile", str(tmp_path / "gone.csv"), code=2)["error"]
