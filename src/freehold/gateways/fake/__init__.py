"""The fake runtime: a scripted upstream on loopback for demonstrations and tests."""

from freehold.gateways.fake.runtime import FakeRuntime, Received
from freehold.gateways.fake.script import NAMED, Act, Called

__all__ = ["NAMED", "Act", "Called", "FakeRuntime", "Received"]
