"""`freehold serve --demo`: the scripted fake runtime beside what is configured, under the model `fake`.

It runs on loopback in this process, so it is a local runtime, and no alias leads to it unless nothing else can chat.
"""

import msgspec

from freehold.config import Config
from freehold.gateways.fake import FakeRuntime
from freehold.policy.snapshot import Policy
from freehold.runtime import Abilities, Deployment, Egress, Local, Model, Placed

DEMO = "demo"


class Demo:
    """The fake runtime while it runs."""

    def __init__(self) -> None:
        self._fake = FakeRuntime()

    async def start(self) -> str:
        """Begin; returns the base URL."""
        return await self._fake.start()

    async def stop(self) -> None:
        """End."""
        await self._fake.stop()


def with_demo(config: Config, base_url: str) -> Config:
    """The configuration with the fake runtime added."""
    runtime = Local(name=DEMO, base_url=base_url, formats=("openai_chat", "anthropic_messages"))
    able = Abilities(context=131_072, tools=True, images=True, json_schema=True, reasoning=True, logprobs=True)
    placed = [
        Placed(
            deployment=Deployment(id=f"{DEMO}/fake", model="fake", runtime=DEMO, served_as="fake", abilities=able, free=True),
            runtime=runtime,
            model=Model(id="fake", open_weights=True),
            egress=Egress.LOCAL,
        ),
        Placed(
            deployment=Deployment(
                id=f"{DEMO}/fake-embed", model="fake-embed", runtime=DEMO, served_as="fake-embed",
                abilities=Abilities(context=8192, embeddings=True, chat=False), free=True,
            ),
            runtime=runtime,
            model=Model(id="fake-embed", open_weights=True),
            egress=Egress.LOCAL,
        ),
    ]  # fmt: skip
    old = config.policy
    policy = Policy([*old.placed.values(), *placed], old.aliases, old.rules, old.server_ceiling, old.labels)
    return msgspec.structs.replace(config, policy=policy, runtimes={**config.runtimes, DEMO: runtime})
