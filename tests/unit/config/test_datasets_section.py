"""`[datasets.NAME]`: its label and ceiling hold, and what contradicts something is told at load."""

from pathlib import Path

import pytest

from freehold.config import ConfigError, read_config
from freehold.features import Label
from freehold.runtime import Egress

RUNTIMES = (
    '[defaults]\nembedded = false\n[[runtimes]]\nname = "cloud"\nkind = "vendor"\nbase_url = "https://api.example.com/v1"\n'
    '[[deployments]]\nid = "cloud/m"\nmodel = "m"\nruntime = "cloud"\nserved_as = "m"\n'
)
STAY = '[[rules]]\nname = "stay"\nwhen = { label = "confidential" }\nallow = { egress = "local" }\n'


def test_a_dataset_has_a_label_and_a_ceiling_beside_those_of_the_labels_section():
    text = (
        '[labels.datasets]\nold = "internal"\n[datasets.tickets]\nlabel = "confidential"\nceiling = "self_hosted"\n'
        '[datasets.docs]\nceiling = "vendor"\n[datasets.old]\nceiling = "local"\n'
    )
    policy, plain = read_config(text, {}, None).policy, read_config("", {}, None).policy
    assert policy.labels.datasets == {"old": Label.INTERNAL, "tickets": Label.CONFIDENTIAL, "docs": Label.PUBLIC}
    assert policy.ceilings == {"tickets": Egress.SELF_HOSTED, "docs": Egress.VENDOR, "old": Egress.LOCAL}
    assert policy.version != plain.version
    other = read_config(text.replace("self_hosted", "local"), {}, None).policy
    assert other.version != policy.version
    assert plain.ceilings == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[labels.datasets]\na = "public"\n[datasets.a]\nlabel = "internal"',
            'datasets."a".label: is internal, and labels.datasets',
        ),
        ("[datasets.a]", 'datasets."a": says nothing'),
        ('[datasets."a b"]\nlabel = "public"', 'datasets."a b"'),
        ('[datasets.a]\nceiling = "moon"', "ceiling"),
        ("[datasets.a]\nlable = 1", "lable"),
    ],
)
def test_what_cannot_hold_is_refused_with_its_place(text: str, said: str):
    with pytest.raises(ConfigError) as caught:
        read_config(text, {}, Path("freehold.toml"))
    assert any(said in str(problem) for problem in caught.value.problems), caught.value.problems


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[datasets.a]\nceiling = "local"\n', "dataset 'a': no deployment is within its ceiling local"),
        (f'{STAY}[datasets.a]\nlabel = "restricted"\nceiling = "vendor"\n', "leaves no deployment, by 'stay'"),
        ('[egress]\nceiling = "self_hosted"\n[datasets.a]\nceiling = "vendor"\n', "is above the server's, self_hosted"),
    ],
)
def test_a_dataset_that_nothing_serves_is_told(text: str, said: str):
    warnings = read_config(RUNTIMES + text, {}, None).warnings
    assert any(said in warning for warning in warnings), warnings


def test_a_dataset_that_is_served_is_not_told():
    warnings = read_config(f'{RUNTIMES}{STAY}[datasets.a]\nlabel = "internal"\nceiling = "vendor"\n', {}, None).warnings
    assert not any("dataset" in warning for warning in warnings)
