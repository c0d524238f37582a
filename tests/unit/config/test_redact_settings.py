"""What is wrong with `redact`, told at load."""

import pytest

from freehold.config import ConfigError, read_config
from freehold.policy.concerns import concerns_of

BASE = """
[[runtimes]]
name = "box"
kind = "local"
base_url = "http://127.0.0.1:9/v1"
[[deployments]]
id = "box/m"
model = "m"
runtime = "box"
served_as = "m"
"""
GATE = '[[rules]]\nname = "stay"\nwhen = { label = "restricted" }\nallow = { egress = "local" }\n'


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('[labels]\nredact = ["secret"]\n', "labels.redact[0]"),
        ('[labels]\nredact = ["pattern:code"]\n', "is no detector, no group and no pattern"),
        ('[[rules]]\nname = "first"\ntry = ["local"]\nredact = true\n', "needs an `allow` or `deny`"),
    ],
)
def test_what_can_never_work_is_refused_at_load(more: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(BASE + more, {}, None)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (f"{GATE}redact = true\n", "labels.redact names nothing"),
        (f'[labels]\nredact = ["secrets"]\n{GATE}', "no rule with `allow` or `deny`"),
        (f'[labels]\nredact = ["secrets"]\n{GATE}redact = true\n', None),
    ],
)
def test_one_half_without_the_other_is_a_concern(more: str, said: str | None) -> None:
    told = [one for one in concerns_of(read_config(BASE + more, {}, None).policy) if "redact" in one]
    assert (told == []) if said is None else (said in told[0])
