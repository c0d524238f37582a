"""No route to a model without budgets: generated from the table of routes, so that a new one fails here until it is covered."""

import pytest

from freehold.gateways.fake import FakeRuntime
from support.every_route import DECIDED, MEDIA, ask
from support.gateway import NO_ENGINE, Serve, base_url, deployment_toml, runtime_toml

PRICE = (
    "{ input_usd_per_mtok = 1.0, output_usd_per_mtok = 1.0, request_usd = 0.001, "
    "audio_input_usd_per_mtok = 2.0, audio_output_usd_per_mtok = 2.0 }"
)


def config(fake: FakeRuntime, usd: float) -> str:
    return "\n".join(
        [
            NO_ENGINE + "rules = false",
            runtime_toml("cloud", "vendor", base_url(fake)),
            deployment_toml("cloud", "m", "fake-chat", price=PRICE),
            deployment_toml("cloud", "embed", "fake-embed", abilities="{ embeddings = true, chat = false }", price=PRICE),
            deployment_toml("cloud", "media", "fake-media", abilities=MEDIA, price=PRICE),
            f'[[budgets]]\nname = "all"\nwindow = "total"\nusd = {usd}\nalerts = []\n',
        ]
    )


@pytest.mark.parametrize("path", DECIDED)
async def test_no_route_reaches_a_vendor_past_an_empty_budget_and_each_one_settles(path: str, serve: Serve, fake: FakeRuntime):
    served = await serve(config(fake, 100.0))
    assert (await ask(served, path, "a plain text")).status_code == 200
    await served.app.budgets.idle()
    store = await served.app.budgets.store()
    balance = (await store.balances(["all/total/total/usd/"]))["all/total/total/usd/"]
    assert balance.spent >= 1_000_000
    assert balance.reserved == 0
    sent = len(fake.journal)
    assert sent >= 1
    empty = await serve(config(fake, 0.0005), home=served.app.config.data_dir / "other")
    refused = await ask(empty, path, "a plain text")
    assert refused.status_code == 402, refused.text
    assert "budget" in refused.text
    assert len(fake.journal) == sent
