"""The snapshot is immutable, names its content, and stays small whatever clients ask for."""

import pytest

from freehold.policy.problems import PolicyError
from freehold.policy.rules import Rule, Scope
from freehold.policy.snapshot import RESOLUTIONS_KEPT, Policy
from freehold.runtime import Deployment, Egress, Local, Model, Placed

SMALL = Placed(
    deployment=Deployment(id="box/small", model="small", runtime="box", served_as="x"),
    runtime=Local(name="box"),
    model=Model(id="small"),
    egress=Egress.LOCAL,
)


def policy(*rules: Rule) -> Policy:
    return Policy([SMALL], {"auto": ["small"], "gpt-*": ["auto"]}, rules, Egress.VENDOR)


def test_it_knows_what_may_be_asked_for() -> None:
    known = policy()
    assert known.resolve("gpt-4") == (SMALL,)
    assert known.resolve("nobody") is None
    assert (known.knows("auto"), known.knows("aut")) == (True, False)
    assert known.listed() == ("auto", "small", "box/small")
    assert known.close_to("smal")[0] == "small"
    assert known.close_to("s" * 10_000) == []


def test_names_chosen_by_clients_do_not_pile_up() -> None:
    crowded = policy()
    for number in range(RESOLUTIONS_KEPT + 100):
        crowded.knows(f"gpt-{number}")
    assert crowded.resolution.cache_info().currsize == RESOLUTIONS_KEPT


def test_it_cannot_be_changed() -> None:
    frozen = policy()
    with pytest.raises(TypeError):
        frozen.placed["x"] = SMALL  # type: ignore[index]  # that it is refused is the point
    with pytest.raises(TypeError):
        frozen.aliases["x"] = ()  # type: ignore[index]  # that it is refused is the point


def test_its_version_depends_on_rules_and_their_order() -> None:
    one, other = Rule(name="one", try_=("local",)), Rule(name="other", deny=Scope(egress=Egress.VENDOR))
    assert policy(one, other).version == policy(one, other).version
    assert len({policy(*rules).version for rules in ((), (one,), (one, other), (other, one))}) == 4
    assert len(policy().version) == 16


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"rules\[0\]\.try\[0\]: 'nowhere'"):
        policy(Rule(name="one", try_=("nowhere",)))
