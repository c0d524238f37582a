"""`[labels]`: what is written there holds, and what cannot hold is refused with the place and the remedy."""

from pathlib import Path

import pytest

from freehold.config import ConfigError, read_config
from freehold.features import Label


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_config(text, {}, Path("freehold.toml"))
    return [str(problem) for problem in caught.value.problems]


def test_everything_that_is_said_reaches_the_policy_and_its_version():
    text = (
        '[labels]\ndefault = "public"\ninternal_hosts = ["corp.example.com"]\n[labels.datasets]\nshop = "confidential"\n'
        '[labels.paths]\n"secrets/**" = "restricted"\n[labels.detectors]\ncards = "off"\njwt = "confidential"\n'
        '[[labels.patterns]]\nname = "orion"\nstarts = ["ORION-"]\nthen = "[0-9]{4}"\nlabel = "confidential"\n'
    )
    policy, plain = read_config(text, {}, None).policy, read_config("", {}, None).policy
    assert policy.labels.default is Label.PUBLIC
    assert policy.labels.datasets == {"shop": Label.CONFIDENTIAL}
    assert policy.labels.patterns[0].starts == ("ORION-",)
    assert policy.version != plain.version
    assert "secrets/**" in policy.source_json


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[labels]\ndefault = "secret"', "labels.default"),
        ('[labels.datasets]\nshop = "hidden"', "labels.datasets"),
        ('[labels.datasets]\n"a b" = "public"', 'labels.datasets."a b"'),
        ('[labels.detectors]\ncardz = "off"', "'cardz' is no detector and no group (did you mean 'card"),
        ('[labels.detectors]\ncards = "never"', "labels.detectors"),
        ('[labels.paths]\n"**" = "restricted"', "cannot be found in a text"),
        (f'[labels.paths]\n"{"a" * 300}" = "restricted"', "longer than 200"),
        ('[labels]\ninternal_hosts = ["x y"]', "labels.internal_hosts[0]: 'x y' is no domain"),
        ('[[labels.patterns]]\nname = "p"\nstarts = ["ab"]\nlabel = "public"', "starts"),
        ('[[labels.patterns]]\nname = "p"\nstarts = []\nlabel = "public"', "starts"),
        ('[[labels.patterns]]\nname = "p"\nstarts = ["abc"]\nthen = "(a+)+$"\nlabel = "public"', "labels.patterns[0].then: repeats something"),
        ('[[labels.patterns]]\nname = "p"\nstarts = ["abc"]\nthen = "("\nlabel = "public"', "is no regular expression"),
        (
            '[[labels.patterns]]\nname = "p"\nstarts = ["abc"]\nlabel = "public"\n[[labels.patterns]]\nname = "p"\nstarts = ["abd"]\nlabel = "public"',
            "labels.patterns[1].name: 'p' is already a pattern",
        ),
    ],
)  # fmt: skip
def test_what_cannot_hold_is_refused_with_its_place(text: str, says: str):
    assert [one for one in problems(text) if says in one], problems(text)
