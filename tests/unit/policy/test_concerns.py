"""What is allowed but can hardly be meant is said, with the requests it bears on; what is fine is not."""

from pathlib import Path

import pytest

from freehold.config import read_config

TEAM = """
[defaults]
embedded = false
rules = false
[[runtimes]]
name = "team"
kind = "self_hosted"
base_url = "http://team.example:1/v1"
[[deployments]]
id = "team/mid"
model = "mid"
runtime = "team"
served_as = "mid"
"""
LOCAL_ONLY = '[[rules]]\nname = "stay"\nwhen = { label = "restricted" }\nallow = { egress = "local" }\n'


def concerns(text: str, **environ: str) -> list[str]:
    return list(read_config(text, environ, Path("freehold.toml")).warnings)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[defaults]\nembedded = false", "no deployment is configured"),
        (TEAM + LOCAL_ONLY, "rule 'stay' leaves no chat deployment; refused: label restricted or higher"),
        (TEAM + '[egress]\nceiling = "local"', "no deployment is within it"),
        (
            TEAM
            + '[[rules]]\nname = "a"\nwhen = { tools = true }\nallow = { models = ["m*"] }\n'
            + '[[rules]]\nname = "b"\nwhen = { images = true }\ndeny = { deployments = ["team/*"] }\n',
            "rule 'b' leaves no chat deployment; refused: with images",
        ),
        (
            '[[rules]]\nname = "a"\nwhen = { tools = true }\nallow = { runtimes = ["embedde*"] }\n'
            '[[rules]]\nname = "b"\nwhen = { label = "internal" }\ndeny = { runtimes = ["embedded"] }\n'
            + TEAM.replace("embedded = false", "embedded = true"),
            "rules 'a' and 'b' together leave no chat deployment",
        ),
        (
            '[[rules]]\nname = "a"\nwhen = { label = "restricted", labels = ["public"] }\ntry = ["local"]',
            "rule 'a' can never match",
        ),
        (
            '[[rules]]\nname = "a"\ntry = ["local"]\n[[rules]]\nname = "b"\nwhen = { tools = true }\ntry = ["vendor"]',
            "the `try` of rule 'b' is never reached: rule 'a' always matches before it",
        ),
        (
            TEAM + '[[rules]]\nname = "a"\nwhen = { labels = ["confidential"] }\nallow = { egress = "local" }\n',
            "rule 'a' leaves no chat deployment; refused: label confidential or higher",
        ),
        (
            '[[rules]]\nname = "a"\nwhen = { repeated_failures_at_least = 3 }\ntry = ["vendor"]',
            "rule 'a' is for agents that do not get on, and a session stays with the deployment that served it last",
        ),
        ('[[rules]]\nname = "a"\ndeny = { models = ["gpt-*"] }', "'gpt-*', which fits nothing that is configured"),
        ('[[models]]\nid = "other"\nlicence = "MIT"', "'other' is not deployed anywhere"),
    ],
)
def test_says(text: str, says: str) -> None:
    assert [one for one in concerns(text) if says in one], concerns(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        LOCAL_ONLY,
        TEAM + '[[rules]]\nname = "a"\nwhen = { label = "confidential" }\nallow = { egress = "self_hosted" }\n',
        TEAM.replace("embedded = false", "embedded = true")
        + '[[rules]]\nname = "a"\nwhen = { tasks = ["edit"] }\nallow = { runtimes = ["embedde*"] }\n'
        + '[[rules]]\nname = "b"\nwhen = { tasks = ["test"] }\ndeny = { runtimes = ["embedded"] }\n',
    ],
)
def test_says_nothing_where_nothing_is_amiss(text: str) -> None:
    assert concerns(text) == []
