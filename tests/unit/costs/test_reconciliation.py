"""An invoice is read as its vendor writes it, and every difference from the ledger has its cause."""

import datetime as dt

import pytest

from freehold.costs.invoice import InvoiceError, InvoiceLine, read_invoice, same_model
from freehold.costs.reconciliation import LedgerLine, reconcile

DAY = dt.date(2026, 11, 10)
OPENAI_COSTS = """start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id
1794268800,1794355200,2026-11-10T00:00:00+00:00,2026-11-11T00:00:00+00:00,0.0120,usd,"gpt-5.4-mini-2026-03-17, input",proj_1
1794268800,1794355200,2026-11-10T00:00:00+00:00,2026-11-11T00:00:00+00:00,0.0030,usd,"gpt-5.4-mini-2026-03-17, output",proj_1
1794355200,1794441600,2026-11-11T00:00:00+00:00,2026-11-12T00:00:00+00:00,,,,
"""
OPENAI_USAGE = """start_time\tend_time\tmodel\tbatch\tinput_tokens\toutput_tokens\tinput_cached_tokens
1794268800\t1794355200\tgpt-5.4-mini\tFalse\t1000\t200\t800
"""
ANTHROPIC_COSTS = """usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type
2026-11-10,Claude Haiku 4.5,Default,k,message,<= 200k,input_no_cache,0.05,0.05,token
2026-11-10,Claude Haiku 4.5,Default,k,message,<= 200k,output,0.25,0.25,token
"""
ANTHROPIC_TOKENS = (
    "usage_date_utc,model_version,usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,"
    "usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens\n"
    "2026-11-10,claude-haiku-4-5-20251001,100,20,30,400,77\n"
)


def ledger(**changes: object) -> LedgerLine:
    plain = {
        "day": DAY, "model": "m", "attempts": 2, "nano_usd": 1_000_000_000, "unpriced": 0, "estimated": 0, "as_reserved": 0,
        "input_tokens": 100, "output_tokens": 10, "cached_tokens": 50,
    }  # fmt: skip
    return LedgerLine(**(plain | changes))  # type: ignore[arg-type]  # any field of it


def billed(nano_usd: int | None = 1_000_000_000, day: dt.date = DAY, model: str = "m", **tokens: int) -> InvoiceLine:
    return InvoiceLine(day, model, nano_usd, tokens.get("i"), tokens.get("o"), tokens.get("c"))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (OPENAI_COSTS, [
            InvoiceLine(DAY, "gpt-5-4-mini", 12_000_000, None, None, None),
            InvoiceLine(DAY, "gpt-5-4-mini", 3_000_000, None, None, None),
        ]),
        (OPENAI_USAGE, [InvoiceLine(DAY, "gpt-5-4-mini", None, 1000, 200, 800)]),
        (ANTHROPIC_COSTS, [
            InvoiceLine(DAY, "claude-haiku-4-5", 50_000_000, None, None, None),
            InvoiceLine(DAY, "claude-haiku-4-5", 250_000_000, None, None, None),
        ]),
        (ANTHROPIC_TOKENS, [InvoiceLine(DAY, "claude-haiku-4-5", None, 550, 77, 400)]),
        ("\ufeffdate,model,cost_usd\n2026-11-10T23:30:00-02:00,m,$1.5\n", [
            InvoiceLine(dt.date(2026, 11, 11), "m", 1_500_000_000, None, None, None),
        ]),
    ],
    ids=["openai costs", "openai usage", "anthropic costs", "anthropic tokens", "any"],
)  # fmt: skip
def test_each_vendors_export_is_read(text: str, lines: list[InvoiceLine]) -> None:
    assert read_invoice(text) == lines


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no invoice"),
        ("a,b\n1,2\n", "no invoice"),
        ("date,cost_usd\nsoon,1\n", "line 2: date is no day"),
        ("date,cost_usd\n2026-11-10,much\n", "line 2: cost_usd is no amount"),
        ("date,cost_usd\n2026-11-10,NaN\n", "line 2: cost_usd is no amount"),
        ("date,cost_usd,currency\n2026-11-10,1,eur\n", "line 2: is in 'eur'"),
        ("date,input_tokens\n2026-11-10,-1\n", "line 2: input_tokens is no count"),
        ("date,input_tokens\n2026-11-10,1.5\n", "line 2: input_tokens is no count"),
        ('date,cost_usd\n2026-11-10,"1\n', "line"),
    ],
)
def test_what_is_no_invoice_is_refused_by_its_line(text: str, why: str) -> None:
    with pytest.raises(InvoiceError, match=why):
        read_invoice(text)


@pytest.mark.parametrize(
    "name", ["Claude Haiku 4.5", "claude-haiku-4-5-20251001", "anthropic/claude-haiku-4.5", "claude-haiku-4-5, input"]
)
def test_a_model_is_the_same_however_it_is_spelled(name: str) -> None:
    assert same_model(name) == "claude-haiku-4-5"


@pytest.mark.parametrize(
    ("ours", "theirs", "causes"),
    [
        ([ledger()], [billed()], ("equal",)),
        ([ledger()], [billed(600_000_000), billed(400_000_000)], ("equal",)),
        ([ledger()], [billed(1_004_000_000)], ("rounding",)),
        ([ledger()], [billed(1_100_000_000)], ("price",)),
        ([ledger(unpriced=1)], [billed(2_000_000_000)], ("unpriced",)),
        ([ledger(unpriced=2, nano_usd=0)], [billed(0)], ("unpriced",)),
        ([ledger(estimated=1)], [billed(2_000_000_000)], ("estimated",)),
        ([ledger(as_reserved=1)], [billed(600_000_000)], ("reserved",)),
        ([], [billed()], ("not_in_ledger",)),
        ([ledger()], [], ("not_in_invoice",)),
        ([ledger()], [billed(None, i=101, o=10)], ("tokens",)),
        ([ledger()], [billed(None, i=100, o=10, c=0)], ("cache",)),
        ([ledger()], [billed(None, i=100, o=10, c=50)], ("equal",)),
        ([ledger(nano_usd=1), ledger(nano_usd=999_999_999, model="n")], [billed(model="")], ("equal",)),
    ],
)  # fmt: skip
def test_a_difference_has_its_cause(ours: list[LedgerLine], theirs: list[InvoiceLine], causes: tuple[str, ...]) -> None:
    assert reconcile(ours, theirs)[0].causes == causes


def test_a_day_cut_at_another_hour_is_told_from_a_price() -> None:
    next_day = DAY + dt.timedelta(days=1)
    ours = [ledger(), ledger(day=next_day, nano_usd=500_000_000)]
    theirs = [billed(700_000_000), billed(800_000_000, day=next_day)]
    assert [(one.difference_nano_usd, one.causes) for one in reconcile(ours, theirs)] == [
        (-300_000_000, ("time_zone",)),
        (300_000_000, ("time_zone",)),
    ]
