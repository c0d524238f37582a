"""`[[budgets]]` and `[alerts]`: what cannot be meant is a problem, what can hardly be meant is told."""

import pytest

from freehold.config import Config, ConfigError, read_config

VENDOR = """
[defaults]
embedded = false
[[runtimes]]
name = "cloud"
kind = "vendor"
base_url = "https://llm.example/v1"
[[deployments]]
id = "cloud/big"
model = "big"
runtime = "cloud"
served_as = "big"
price = { input_usd_per_mtok = 1.0, output_usd_per_mtok = 2.0 }
[[deployments]]
id = "cloud/new"
model = "new"
runtime = "cloud"
served_as = "new"
"""


def read(text: str) -> Config:
    return read_config(VENDOR + text, {"HOME": "/nowhere"}, None)


def budget(*fields: str, name: str = "b") -> str:
    return f'[[budgets]]\nname = "{name}"\nwindow = "day"\n' + "\n".join(fields) + "\n"


def test_a_budget_is_read_with_all_its_words():
    config = read(
        budget(
            "usd = 5.0",
            "tokens = 1000000",
            'per = "user"',
            'over = "refuse"',
            "alerts = [0.5, 0.8, 1.0]",
            'unknown_price = "tokens"',
            "local_tokens = true",
            "wait_s = 2.5",
            'when = { callers = { teams = ["ml"] }, operations = ["image_generation"], models = ["gpt-*"] }',
        )
    )
    [one] = config.settings.budgets
    assert (one.per, one.over, one.usd, one.tokens, one.wait_s) == ("user", "refuse", 5.0, 1_000_000, 2.5)
    assert one.alerts == (0.5, 0.8, 1.0)


PROBLEMS = [
    (budget(), "budgets[0]: holds nothing"),
    (budget("usd = -1.0"), "budgets[0].usd"),
    (budget("usd = inf"), "budgets[0].usd"),
    (budget("tokens = 1.5"), "budgets[0].tokens"),
    (budget("usd = 1.0", name="a/b"), "budgets[0].name: has a slash"),
    (budget("usd = 1.0", name="a b"), "budgets[0].name"),
    (budget("usd = 1.0") + budget("usd = 1.0"), "budgets[1].name: 'b' is already a budget"),
    (budget("usd = 1.0", 'unknown_price = "tokens"'), "budgets[0].unknown_price"),
    (budget("usd = 1.0", "local_tokens = true"), "budgets[0].local_tokens"),
    (budget("usd = 1.0", "alerts = [1.2]"), "budgets[0].alerts"),
    (budget("usd = 1.0", 'when = { hints = { purpose = "x" } }'), "budgets[0].when.hints: is for a client to say"),
    (budget("usd = 1.0", "when = { stream = true }"), "budgets[0].when.stream: is for a client to say"),
    (budget("usd = 1.0", 'when = { tasks = ["chat"] }'), "budgets[0].when.tasks: is for a client to say"),
    (budget("usd = 1.0", 'when = { aliases = ["auto"] }'), "budgets[0].when.aliases: is for a client to say"),
    ('[alerts]\napi_key = "env:X"\n', "alerts.api_key: is for a `webhook`"),
    ('[alerts]\nwebhook = "ftp://x"\n', "alerts.webhook"),
    ('[alerts]\nwebhook = "http://hooks.example/x"\n', "alerts.webhook: is plain http"),
    ('[alerts]\nwebhook = "http://hooks.example/x"\negress = "local"\n', "alerts.webhook: is not on this machine"),
    ('[alerts]\nwebhook = "https://hooks.example/x"\napi_key = "sk-in-the-file"\n', "alerts.api_key"),
]


@pytest.mark.parametrize(("text", "said"), PROBLEMS, ids=[said[:40] for _, said in PROBLEMS])
def test_what_cannot_be_meant_is_a_problem_at_its_place(text: str, said: str):
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert any(said in str(problem) for problem in caught.value.problems), caught.value
    assert "sk-in-the-file" not in str(caught.value)


WARNINGS = [
    (budget("usd = 1.0", 'when = { models = ["gone-*"] }'), "budget 'b' holds nothing: no deployment"),
    (budget("usd = 1.0"), "budget 'b' keeps out cloud/new: their price is not known"),
    (
        budget("usd = 9.0") + budget("usd = 5.0", name="c").replace("day", "month"),
        "budget 'b' (9.0 usd each day) can never be reached: 'c' ends at 5.0 each month",
    ),
    (budget("usd = 9.0") + budget("usd = 5.0", name="c"), "budgets 'b' and 'c' hold the same in usd for the same window"),
]


@pytest.mark.parametrize(("text", "said"), WARNINGS, ids=[said[:40] for _, said in WARNINGS])
def test_what_can_hardly_be_meant_is_told(text: str, said: str):
    assert any(said in warning for warning in read(text).warnings), read(text).warnings


def test_a_budget_of_money_over_nothing_but_free_deployments_is_told():
    text = VENDOR.replace("price = { input_usd_per_mtok = 1.0, output_usd_per_mtok = 2.0 }", "free = true")
    config = read_config(text + budget("usd = 1.0", 'when = { models = ["big"] }'), {"HOME": "/nowhere"}, None)
    assert any("every deployment it holds is free" in warning for warning in config.warnings)


def test_alerts_that_no_ceiling_lets_out_are_told():
    config = read('[egress]\nceiling = "local"\n[alerts]\nwebhook = "https://hooks.example/x"\n')
    assert any("alerts are not sent: vendor is above the server's ceiling" in warning for warning in config.warnings)


def test_the_key_of_alerts_is_kept_as_a_secret():
    config = read_config(
        VENDOR + '[alerts]\nwebhook = "https://hooks.example/x"\napi_key = "env:HOOK"\n',
        {"HOME": "/nowhere", "HOOK": "s3cret-value"},
        None,
    )
    assert config.secrets["[alerts]"].reveal() == "s3cret-value"
    assert "s3cret-value" not in repr(config)
