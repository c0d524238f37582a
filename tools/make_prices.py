# ruff: noqa: INP001 - a script, no package
"""Makes `src/freehold/data/prices.json` from an unpacked wheel or an installation of genai-prices.

    pip download --no-deps genai-prices && unzip genai_prices-*.whl -d genai
    python tools/make_prices.py genai

Reads the package's table as syntax and imports none of it, because importing it takes pydantic and an HTTP client. What our
prices cannot say is left out, model by model, and counted: units per page or per search, prices by the hour of the day,
service tiers but batch. A model that is left out has no price, which is unknown and never zero.
"""

import ast
import hashlib
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parent.parent / "src/freehold/data/prices.json"
RATES = {
    "input_mtok": "input_usd_per_mtok",
    "output_mtok": "output_usd_per_mtok",
    "cache_read_mtok": "cached_input_usd_per_mtok",
    "cache_write_mtok": "cache_write_usd_per_mtok",
    "cache_write_1h_mtok": "cache_write_1h_usd_per_mtok",
    "input_audio_mtok": "audio_input_usd_per_mtok",
    "output_audio_mtok": "audio_output_usd_per_mtok",
    "input_image_mtok": "image_input_usd_per_mtok",
    "requests_kcount": "request_usd",
    "audio_hours": "audio_usd_per_hour",
}
PER_USE = {"web_searches_kcount", "storage_searches_kcount", "cache_audio_read_mtok", "cache_image_read_mtok"}
"""Fees for what Freehold neither asks for nor counts; the rest of the price holds without them."""
OWN_NAMES = {"azure"}
"""There a model has the name its operator gave it, so no list can know it."""
SAME_AS = {"input_audio_hours": "audio_hours"}


class NotSayableError(Exception):
    """A price that ours has no words for."""


def name_of(call: ast.expr) -> str:
    """What is constructed."""
    function = call.func if isinstance(call, ast.Call) else None
    return function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""


def fields(call: ast.expr) -> dict[str, ast.expr]:
    """The keywords of a constructor."""
    return {one.arg: one.value for one in call.keywords if one.arg} if isinstance(call, ast.Call) else {}


def number(value: ast.expr) -> float:
    """`Decimal('0.15')`."""
    assert isinstance(value, ast.Call), ast.dump(value)
    return float(ast.literal_eval(value.args[0]))


def tariff(price: ast.expr) -> dict[str, Any]:
    """A `ModelPrice` as ours."""
    base: dict[str, float] = {}
    tiers: dict[int, dict[str, float]] = {}
    for key, value in fields(price).items():
        if key in PER_USE or (key in SAME_AS and SAME_AS[key] in fields(price)):
            continue
        if key not in RATES:
            raise NotSayableError(key)
        scale = 1000 if key == "requests_kcount" else 1
        if name_of(value) == "TieredPrices":
            base[RATES[key]] = number(fields(value)["base"]) / scale
            for tier in fields(value)["tiers"].elts:  # type: ignore[attr-defined]  # a list display
                start = int(ast.literal_eval(fields(tier)["start"]))
                tiers.setdefault(start, {})[RATES[key]] = number(fields(tier)["price"]) / scale
        else:
            base[RATES[key]] = number(value) / scale
    if not base:
        raise NotSayableError("nothing but fees per use")
    if len({frozenset(tier) for tier in tiers.values()}) > 1:
        raise NotSayableError("tiers that do not begin together")
    whole = {"input_usd_per_mtok": 0.0, "output_usd_per_mtok": 0.0} | base
    long_prompts = [whole | tiers[start] | {"above_input_tokens": start} for start in sorted(tiers)]
    return whole | ({"long_prompts": long_prompts} if long_prompts else {})


def day(constraint: ast.expr | None) -> str | None:
    """The first day of a dated price."""
    if constraint is None or isinstance(constraint, ast.Constant):
        return None
    if name_of(constraint) != "StartDateConstraint":
        raise NotSayableError("a price by the time of day")
    year, month, date = (ast.literal_eval(one) for one in fields(constraint)["start_date"].args)  # type: ignore[attr-defined]
    return f"{year:04}-{month:02}-{date:02}"


def prices(model: dict[str, ast.expr]) -> list[dict[str, Any]]:
    """All dated prices of a model, the batch price with each that it stands beside."""
    said = model["prices"]
    found: list[dict[str, Any]] = []
    for one in said.elts if isinstance(said, ast.List) else [said]:
        dated = fields(one) if name_of(one) == "ConditionalPrice" else {"prices": one}
        since = day(dated.get("constraint"))
        found.append(tariff(dated["prices"]) | ({"since": since} if since else {}))
    variants = model.get("price_variants")
    for one in variants.elts if isinstance(variants, ast.List) else []:
        if ast.literal_eval(fields(one)["when"]) != {"processing": "batch"}:
            continue
        # The day of a variant says when it was verified, not when it began: it goes with the price of that day.
        found[-1]["batch"] = tariff(fields(one)["prices"])
    return found


def names(model: dict[str, ast.expr]) -> list[str]:
    """Names that are certainly this model: its id and what is matched whole, or as a beginning before a date."""
    return sorted({str(ast.literal_eval(model["id"])).lower(), *matched(model["match"])})


def matched(clause: ast.expr) -> set[str]:
    """Names in a clause each of which is enough: a condition joined by `and` names nothing."""
    match name_of(clause):
        case "ClauseEquals" | "ClauseStartsWith":
            return {str(ast.literal_eval(next(iter(fields(clause).values())))).lower()}
        case "ClauseOr":
            alternatives = fields(clause)["or_"]
            return {name for one in getattr(alternatives, "elts", ()) for name in matched(one)}
        case _:
            return set()


def read(folder: Path) -> dict[str, Any]:
    """The whole list."""
    [dist] = folder.glob("genai_prices-*.dist-info")
    version = dist.name.removeprefix("genai_prices-").removesuffix(".dist-info")
    source = (folder / "genai_prices/data.py").read_text()
    newest = max(re.findall(r"verified on (20\d\d-\d\d-\d\d)", source) + re.findall(r"checked (20\d\d-\d\d-\d\d)", source))
    table = next(one.value for one in ast.parse(source).body if isinstance(one, ast.AnnAssign) and one.value)
    vendors, left_out = [], Counter[str]()
    for provider in table.elts:  # type: ignore[attr-defined]
        about = fields(provider)
        vendor = str(ast.literal_eval(about["id"]))
        if vendor in OWN_NAMES or vendor.startswith("huggingface_"):
            continue
        models: dict[str, list[dict[str, Any]]] = {}
        for entry in about["models"].elts:  # type: ignore[attr-defined]
            model = fields(entry)
            try:
                found = prices(model)
            except NotSayableError as why:
                left_out[str(why)] += 1
                continue
            own = str(ast.literal_eval(model["id"])).lower()
            for name in names(model):
                if name == own or name not in models:
                    models[name] = found
        vendors.append({"name": vendor, "base_url": ast.literal_eval(about["api_pattern"]), "models": models})
    sys.stderr.write(f"{sum(len(one['models']) for one in vendors)} names; left out: {dict(left_out)}\n")
    return {
        "source": "genai-prices",
        "version": version,
        "licence": (dist / "licenses/LICENSE").read_text(),
        "home": "https://github.com/pydantic/genai-prices",
        "read": newest,
        "sha256": hashlib.sha256(source.encode()).hexdigest(),
        "vendors": vendors,
    }


if __name__ == "__main__":
    OUT.write_text(json.dumps(read(Path(sys.argv[1])), separators=(",", ":"), sort_keys=True) + "\n")
