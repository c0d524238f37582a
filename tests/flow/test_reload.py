"""A configuration is replaced while requests run: nobody notices but by what is new."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest

from freehold.config import Config, read_config
from freehold.gateways.fake import FakeRuntime
from freehold.policy.problems import PolicyError
from freehold.server.demo import with_demo
from support.gateway import NO_ENGINE, Serve, Served, base_url, deployment_toml, runtime_toml
from support.rawclient import ask


def toml(fake: FakeRuntime, *names: str, more: str = "", **runtime: str) -> str:
    """One runtime for each name, all of them at the fake; `auto` tries them in this order."""
    config = more if "[defaults]" in more else NO_ENGINE + more
    for name in names:
        config += runtime_toml(name, "local", base_url(fake), **runtime) + deployment_toml(name, "fake", f"as-{name}", free="true")
    return config + f"[aliases]\nauto = {[f'{name}/fake' for name in names]}\n".replace("'", '"')


def read(text: str, home: Path, **environ: str) -> Config:
    return read_config(text, {"HOME": str(home), "FREEHOLD_HOME": str(home), **environ}, None)


async def say(served: Served, words: str = "hello", model: str = "auto", **options: Any) -> Any:
    return await served.openai(**options).chat.completions.with_raw_response.create(
        model=model, messages=[{"role": "user", "content": words}]
    )


async def test_a_new_configuration_serves_from_the_next_request_on(serve: Serve, fake: FakeRuntime, tmp_path: Path) -> None:
    served = await serve(toml(fake, "one"))
    assert (await say(served)).headers["x-freehold-deployment"] == "one/fake"
    before = served.app.config.policy.version
    changes = served.app.apply(read(toml(fake, "two"), tmp_path))
    assert (changes.added, changes.removed, changes.changed) == (("two",), ("one",), ())
    assert (await say(served)).headers["x-freehold-deployment"] == "two/fake"
    assert served.last().request.policy_version == served.app.config.policy.version == changes.policy_version != before
    with pytest.raises(openai.NotFoundError):
        await say(served, model="one/fake")
