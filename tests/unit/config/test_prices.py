"""A price is found by runtime, address and name, never by a name alone; what is not found is unknown."""

from pathlib import Path

import msgspec
import pytest

from freehold.config import ConfigError
from freehold.config.load import read_config
from freehold.config.prices import Pricing, read_price_list
from freehold.runtime import Deployment, Local, Price, Runtime, SelfHosted, Vendor

OPENAI = "https://api.openai.com/v1"
KEY = {"OPENAI_API_KEY": "x" * 20}
FILE = """
[[runtimes]]
name = "mine"
kind = "vendor"
base_url = "https://api.openai.com/v1"
{runtimes}
[[deployments]]
id = "mine/m"
model = "m"
runtime = "mine"
served_as = "gpt-5.5-2026-04-23"
{deployment}
{rest}
"""


def found(runtime: Runtime, served_as: str) -> Price | tuple[Price, ...] | None:
    asked = Deployment(id="x/m", model="m", runtime=runtime.name, served_as=served_as)
    return Pricing().priced(asked, runtime, found=False)[0].price


def load(runtimes: str = "", deployment: str = "", rest: str = "", environ: dict[str, str] | None = None) -> dict[str, object]:
    config = read_config(FILE.format(runtimes=runtimes, deployment=deployment, rest=rest), environ or {}, None)
    return {name: (one.deployment.price, one.price_version) for name, one in config.policy.placed.items()}


def test_a_dated_name_costs_what_its_model_costs() -> None:
    assert found(Vendor(name="v", base_url=OPENAI), "gpt-5.5-2026-04-23") == found(Vendor(name="v", base_url=OPENAI), "gpt-5.5")


@pytest.mark.parametrize(
    ("runtime", "served_as"),
    [
        (Vendor(name="openai", base_url="https://api.openai.com.example.org/v1"), "gpt-5.5"),
        (Vendor(name="openai", base_url="http://127.0.0.1:4000/v1"), "gpt-5.5"),
        (Vendor(name="openai", base_url="https://api.anthropic.com/v1"), "gpt-5.5"),
        (Vendor(name="openai", base_url=OPENAI), "gpt-5.5-mine"),
        (Vendor(name="openai", base_url=OPENAI), "ft:gpt-5.5"),
        (Vendor(name="azure", base_url="https://x.openai.azure.com/openai/v1"), "gpt-5.5"),
        (SelfHosted(name="openai", base_url=OPENAI), "gpt-5.5"),
        (Local(name="box", base_url="http://127.0.0.1:8080/v1"), "openai/gpt-oss-20b"),
    ],
)
def test_the_same_name_elsewhere_has_no_price(runtime: Runtime, served_as: str) -> None:
    assert found(runtime, served_as) is None


def test_the_file_beats_the_list_and_says_so_in_the_version() -> None:
    listed = load()["mine/m"]
    by_entry = load(rest='[[prices]]\nruntime = "mine"\nserved_as = "gpt-*"\nprice = { input_usd_per_mtok = 1, output_usd_per_mtok = 2 }')["mine/m"]  # fmt: skip
    by_deployment = load(deployment="price = { input_usd_per_mtok = 1, output_usd_per_mtok = 2 }")["mine/m"]
    assert str(listed[1]).startswith(f"genai-prices {read_price_list().version} ")
    assert by_entry[0] == by_deployment[0] == Price(input_usd_per_mtok=1.0, output_usd_per_mtok=2.0)
    assert by_entry[1] == by_deployment[1]
    assert str(by_entry[1]).startswith("config #")
    assert load(deployment="free = true")["mine/m"] == (None, None)


def test_another_price_is_another_version() -> None:
    versions = {
        load(deployment=f"price = {{ input_usd_per_mtok = {rate}, output_usd_per_mtok = 2 }}")["mine/m"][1] for rate in (1, 2)
    }
    assert len(versions) == 2


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"deployment": "price = { input_usd_per_mtok = -1, output_usd_per_mtok = 2 }"}, "deployments[0].price.input_usd_per_mtok"),
        ({"deployment": "price = { input_usd_per_mtok = 1, output_usd_per_mtok = inf }"}, "deployments[0].price.output_usd_per_mtok"),
        ({"deployment": "price = []"}, "deployments[0].price: is an empty list"),
        ({"deployment": "price = [{ input_usd_per_mtok = 1, output_usd_per_mtok = 2 }, { input_usd_per_mtok = 1, output_usd_per_mtok = 2 }]"}, "price[1].since"),
        ({"deployment": "price = { input_usd_per_mtok = 1, output_usd_per_mtok = 2, since = 2026-01-02, until = 2026-01-01 }"}, "price.until"),
        ({"deployment": "price = { input_usd_per_mtok = 1, output_usd_per_mtok = 2, long_prompts = [{ input_usd_per_mtok = 1, output_usd_per_mtok = 2, above_input_tokens = 0 }] }"}, "above_input_tokens"),
        ({"rest": '[[prices]]\nruntime = "nowhere"\nserved_as = "m"\nprice = { input_usd_per_mtok = 1, output_usd_per_mtok = 2 }'}, "prices[0].runtime"),
        ({"runtimes": '[[runtimes]]\nname = "box"\nkind = "local"\nbase_url = "http://127.0.0.1:1/v1"\nprice_usd = 100'}, "lifetime_hours"),
        ({"runtimes": '[[runtimes]]\nname = "pool"\nkind = "self_hosted"\nbase_url = "http://10.0.0.1/v1"\nreplicas = 0'}, "runtimes[1].replicas"),
    ],
)  # fmt: skip
def test_a_wrong_price_is_told_by_its_place(changes: dict[str, str], problem: str) -> None:
    with pytest.raises(ConfigError) as told:
        load(**changes)
    assert problem in str(told.value)


def test_a_vendor_found_by_its_key_has_the_prices_of_the_list() -> None:
    config = read_config("", KEY | {"HOME": str(Path.home())}, None)
    one = config.policy.placed["openai/gpt-5.5"]
    assert isinstance(one.deployment.price, Price)
    assert one.deployment.price.long_prompts[0].above_input_tokens == 272_000
    assert str(one.price_version).startswith("genai-prices ")


def test_every_price_of_the_list_can_be_read() -> None:
    for vendor in read_price_list().vendors:
        for prices in vendor.models.values():
            assert msgspec.json.decode(prices, type=tuple[Price, ...])


@pytest.mark.parametrize(
    ("price", "is_told"),
    [
        ("", False),  # the list knows one
        ("price = { input_usd_per_mtok = 1.0, output_usd_per_mtok = 2.0 }", True),
        (
            "price = { input_usd_per_mtok = 2, output_usd_per_mtok = 2, batch = { input_usd_per_mtok = 1, output_usd_per_mtok = 1 } }",
            False,
        ),
        ("free = true", False),
    ],
)
def test_a_batch_api_that_no_line_can_go_to_is_told(price: str, is_told: bool) -> None:
    text = FILE.format(runtimes="batch_api = true", deployment=price, rest="")
    told = [warning for warning in read_config(text, {}, None).warnings if "lines of batches for mine/m" in warning]
    assert bool(told) == is_told
