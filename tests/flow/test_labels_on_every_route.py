"""No route to a model without labels: generated from the table of routes, so that a new one fails here until it is covered.

The only deployments are a vendor's, and restricted requests may not go there. Each route is asked twice: with a plain text,
which reaches the vendor, and with a secret in it, which must be refused with nothing sent.
"""

import json
from pathlib import Path

import httpx
import pytest

from freehold.gateways.fake import FakeRuntime
from support.batches import ended
from support.every_route import BODIES, DECIDED, FORMS, MEDIA, ask
from support.gateway import NO_ENGINE, Serve, base_url, deployment_toml, runtime_toml
from support.place import Place

SECRET = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6"
RULES = '[[rules]]\nname = "stay"\nwhen = { label = "restricted" }\nallow = { egress = "local" }\n'


def config(fake: FakeRuntime, more: str = RULES) -> str:
    return "\n".join(
        [
            NO_ENGINE,
            runtime_toml("cloud", "vendor", base_url(fake)),
            deployment_toml("cloud", "m", "fake-chat"),
            deployment_toml("cloud", "embed", "fake-embed", abilities="{ embeddings = true, chat = false }"),
            deployment_toml("cloud", "media", "fake-media", abilities=MEDIA),
            more,
        ]
    )


def test_every_route_that_decides_is_asked_here():
    assert sorted([*BODIES, *FORMS]) == DECIDED


@pytest.mark.parametrize("path", DECIDED)
async def test_a_secret_never_reaches_a_vendor_by_any_route(path: str, serve: Serve, fake: FakeRuntime):
    served = await serve(config(fake))
    plain = await ask(served, path, "a plain text")
    assert plain.status_code == 200, plain.text
    assert served.last().decision.features.label == "internal"
    sent = len(fake.journal)
    assert sent >= 1
    refused = await ask(served, path, f"why is {SECRET} refused?")
    assert refused.status_code == 403, refused.text
    assert "stay" in refused.text
    assert len(fake.journal) == sent
    detail = served.last()
    assert (detail.decision.features.label, detail.decision.features.label_reason) == ("restricted", "detector github-token")
    assert detail.decision.features.findings[0].kind == "github-token"
    assert SECRET not in repr(detail)
    assert SECRET not in refused.text


async def test_a_count_of_tokens_is_labelled_and_stays_here(serve: Serve, fake: FakeRuntime):
    served = await serve(config(fake))
    async with httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False) as client:
        body = {"model": "m", "messages": [{"role": "user", "content": SECRET}]}
        assert (await client.post("/v1/messages/count_tokens", json=body)).status_code == 200
    assert not fake.journal


async def test_a_line_of_a_batch_is_labelled_like_any_request_and_keeps_its_dataset(serve: Serve, fake: FakeRuntime):
    served = await serve(config(fake, RULES + '[labels.datasets]\nvault = "restricted"\n'))
    client = served.openai()
    for text, headers, failed in (("hi", {}, 0), (f"use {SECRET}", {}, 1), ("hi", {"x-freehold-dataset": "vault"}, 1)):
        line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": BODIES["/v1/chat/completions"](text)}
        file = await client.files.create(file=("w.jsonl", json.dumps(line).encode()), purpose="batch")
        batch = await client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", extra_headers=headers
        )
        batch = await ended(client, batch.id)
        assert batch.request_counts.failed == failed, batch
    assert len(fake.journal) == 1


async def test_paths_datasets_and_patterns_from_the_file_hold_and_are_explained(serve: Serve, fake: FakeRuntime):
    labels = """
[labels.datasets]
vault = "restricted"
[labels.paths]
"secrets/**" = "restricted"
[[labels.patterns]]
name = "orion"
starts = ["ORION-"]
then = "[0-9]{4}"
label = "restricted"
"""
    served = await serve(config(fake, RULES + labels))
    path = "/v1/chat/completions"
    for text, headers, reason in (
        ("what is in /srv/app/secrets/db.txt?", {}, "path secrets/**"),
        ("about ORION-1234", {}, "pattern orion"),
        ("hi", {"x-freehold-dataset": "vault"}, "dataset vault"),
    ):
        answer = await ask(served, path, text, headers)
        assert answer.status_code == 403
        assert served.last().decision.features.label_reason == reason
    unknown = await ask(served, path, "hi", {"x-freehold-dataset": "valut"})
    assert unknown.status_code == 400
    assert unknown.json()["error"]["param"] == "x-freehold-dataset"
    assert not fake.journal


def test_explain_and_check_tell_what_labels_do(tmp_path: Path):
    text = f"""
{NO_ENGINE}
{runtime_toml("cloud", "vendor", "https://llm.example/v1")}
{deployment_toml("cloud", "m", "m")}
{RULES}
[labels.paths]
"secrets/**" = "restricted"
[discovery]
local = false
vendors = false
"""
    place = Place(tmp_path, text)
    (tmp_path / "r.json").write_text(json.dumps(BODIES["/v1/chat/completions"](f"cat secrets/db.txt, use {SECRET}")))
    told = place.run("explain", "--request", "r.json")
    assert "restricted (path secrets/**)" in told
    assert "github-token in piece 0" in told
    assert SECRET not in told
    assert "db.txt" not in told
    checked = " ".join(place.run("check").split())
    assert "label restricted can never be served: rule 'stay' leaves nothing" in checked
    assert "(set by path secrets/**, among others)" in checked
