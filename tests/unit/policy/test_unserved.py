"""A label that no deployment may serve is told at load, with the requests that would be refused and what sets the label."""

from pathlib import Path

import pytest

from freehold.config import read_config

FLEET = "[defaults]\nembedded = false\nrules = false\n" + "".join(
    f'[[runtimes]]\nname = "{name}"\nkind = "self_hosted"\nbase_url = "http://{name}.example:1/v1"\n'
    f'[[deployments]]\nid = "{name}/m"\nmodel = "m-{name}"\nruntime = "{name}"\nserved_as = "m"\n'
    for name in ("a", "b", "c")
)


def rule(name: str, when: str, gate: str) -> str:
    return f'[[rules]]\nname = "{name}"\nwhen = {when}\n{gate}\n'


def told(text: str, **environ: str) -> list[str]:
    warnings = read_config(text, environ, Path("freehold.toml")).warnings
    return [one for one in warnings if "can never be served" in one]


def test_one_gate_that_leaves_nothing_names_label_rule_and_refused_requests():
    (said,) = told(FLEET + rule("stay", '{ label = "restricted" }', 'allow = { egress = "local" }'))
    assert said.startswith("label restricted can never be served: rule 'stay' leaves nothing")
    assert "refused: every chat, completion request with it" in said


def test_three_gates_that_leave_nothing_only_together_are_told():
    text = FLEET + "".join(
        rule(f"not {name}", f'{{ label = "{label}" }}', f'deny = {{ runtimes = ["{name}"] }}')
        for name, label in (("a", "internal"), ("b", "confidential"), ("c", "internal"))
    )
    (said,) = told(text)
    assert said.startswith(
        "labels confidential, restricted can never be served: rules 'not a' and 'not b' and 'not c' leave nothing"
    )


def test_what_sets_the_label_is_named():
    labels = (
        '[labels]\n[labels.datasets]\nvault = "restricted"\nopen = "public"\n[labels.paths]\n"secrets/**" = "restricted"\n'
        '[labels.detectors]\ncards = "restricted"\n[[labels.patterns]]\nname = "orion"\nstarts = ["ORION-"]\nlabel = "restricted"\n'
    )
    (said,) = told(FLEET + rule("stay", '{ label = "restricted" }', 'allow = { egress = "local" }') + labels)
    assert said.endswith("(set by dataset vault, path secrets/**, detector cards, pattern orion, among others)")


@pytest.mark.parametrize(
    "text",
    [
        FLEET,
        FLEET + rule("one left", '{ label = "restricted" }', 'allow = { runtimes = ["a"] }'),
        FLEET + rule("not always", '{ label = "restricted", tools = true }', 'allow = { egress = "local" }'),
        FLEET + rule("other work", '{ label = "restricted", operations = ["embeddings"] }', 'allow = { egress = "local" }'),
        "",
    ],
)
def test_a_label_that_may_be_served_is_not_told(text: str):
    assert told(text) == []


def test_the_ceiling_of_the_server_counts():
    mixed = FLEET.replace('kind = "self_hosted"', 'kind = "local"', 1).replace("http://a.example:1", "http://127.0.0.1:1")
    deny = rule("no box", '{ label = "confidential" }', 'deny = { runtimes = ["a"] }')
    assert told(mixed + deny) == []
    assert len(told(mixed + deny, FREEHOLD_LOCAL_ONLY="1")) == 1
