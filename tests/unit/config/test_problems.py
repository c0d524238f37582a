"""Every mistake is reported under its path with what would be right, all of them at once, and without secrets."""

import sys
from pathlib import Path

import pytest

from freehold.config import ConfigError, read_config
from freehold.config.secrets import MissingSecretError, Reference, fetch, parse_reference

RUNTIME = '[[runtimes]]\nname = "box"\nkind = "local"\nbase_url = "http://127.0.0.1:1/v1"\n'
DEPLOYMENT = '[[deployments]]\nid = "box/m"\nmodel = "m"\nruntime = "box"\nserved_as = "m"\n'
RULE = '[[rules]]\nname = "r"\n'


def problems(text: str, **environ: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        read_config(text, environ, Path("freehold.toml"))
    return {problem.path: str(problem) for problem in caught.value.problems}


MISTAKES = [
    ("[serve]", "serve", "did you mean 'server'?"),
    ("[server]\nprot = 1", "server.prot", "did you mean 'port'?"),
    ("[server]\nport = 70000", "server.port", "at most 65535"),
    ('[server]\nport = "8840"', "server.port", "a whole number"),
    ("server = 1", "server", "is not a table"),
    ('[server]\nhost = "0.0.0.0"', "server.host", "no key is asked for"),
    ('[server]\nhost = "::"', "server.host", "no key is asked for"),
    ('[server]\nhost = "my-laptop"', "server.host", "no IP address"),
    ('[server]\napi_key = "hunter2"', "server.api_key", "env:NAME"),
    ('[server]\nallowed_hosts = ["gw.lan", "*"]', "server.allowed_hosts[1]", "each is written out"),
    ('[server]\nallowed_hosts = ["http://gw.lan"]', "server.allowed_hosts[0]", "without a scheme"),
    ('[server]\nallowed_origins = ["*"]', "server.allowed_origins[0]", "such as http://localhost:3000"),
    ('[server]\nallowed_origins = ["app://x", "http://localhost:3000/"]', "server.allowed_origins[1]", "without a path"),
    ("[server]\nkeepalive_s = nan", "server.keepalive_s", "nan"),
    ('[log]\nlevel = "loud"', "log.level", "valid: debug, info, warning, error"),
    ('[egress]\nceiling = "vender"', "egress.ceiling", "did you mean 'vendor'?"),
    ('[storage]\npath = "a"\nurl = "sqlite:///b"', "storage", "both"),
    ('[storage]\nurl = "postgresql://u:pw@h/d"', "storage.url", "without a password"),
    (
        '[[runtimes]]\nname = "x"\nkind = "vendor"\nbase_url = "https://x.test/v1"\nformats = ["anthropic_messages"]\nbatch_api = true',
        *("runtimes[0].batch_api", "openai_chat"),
    ),
    ('[[runtimes]]\nname = "x"', "runtimes[0].kind", "valid: local, self_hosted, vendor"),
    ('[[runtimes]]\nname = "x"\nkind = "lokal"', "runtimes[0].kind", "did you mean 'local'?"),
    ('[[runtimes]]\nkind = "local"\nbase_url = "http://localhost:1"', "runtimes[0].name", "is missing"),
    ('[[runtimes]]\nname = "x"\nkind = "local"', "runtimes[0].base_url", "`launch`"),
    ('[[runtimes]]\nname = "x"\nkind = "vendor"', "runtimes[0].base_url", "is missing"),
    ('[[runtimes]]\nname = "local"\nkind = "local"\nbase_url = "http://localhost:1"', "runtimes[0].name", "egress class"),
    ('[[runtimes]]\nname = "a b"\nkind = "local"\nbase_url = "http://localhost:1"', "runtimes[0].name", "spaces"),
    (RUNTIME.replace("127.0.0.1", "10.0.0.9"), "runtimes[0].base_url", 'kind = "self_hosted"'),
    (RUNTIME.replace("127.0.0.1", "box.lan"), "runtimes[0].base_url", 'kind = "self_hosted"'),
    (RUNTIME.replace("127.0.0.1", "localhost.evil.example"), "runtimes[0].base_url", "is not this machine"),
    (RUNTIME.replace("127.0.0.1", "user:hunter2@127.0.0.1"), "runtimes[0].base_url", "no user name or password"),
    (RUNTIME.replace("http://", "ftp://"), "runtimes[0].base_url", "http:// or https://"),
    (RUNTIME.replace('"local"', '"vendor"').replace("127.0.0.1", "api.example.com"), "runtimes[0].base_url", "use https://"),
    (RUNTIME + 'api_key = "sk-hunter2"', "runtimes[0].api_key", "never the key itself"),
    (RUNTIME + "retention_days = 3", "runtimes[0].retention_days", "kind vendor only"),
    (RUNTIME + 'quirks = ["sytem_first"]', "runtimes[0].quirks[0]", "did you mean 'system_first'?"),
    (RUNTIME + DEPLOYMENT + '[[models]]\nid = "m"\nfim = "qwen"', "models[0].fim", "no family"),
    (RUNTIME + 'formats = ["olama"]', "runtimes[0].formats[0]", "ollama"),
    (RUNTIME + "formats = []", "runtimes[0].formats", "is empty"),
    (RUNTIME + "connect_timeout_s = inf", "runtimes[0].connect_timeout_s", "finite"),
    (RUNTIME + 'launch = { engine = "llama", weights = "w" }', "runtimes[0].base_url", "beside `launch`"),
    (RUNTIME + RUNTIME, "runtimes[1].name", "already a runtime in runtimes[0].name"),
    (RUNTIME.replace('"box"', '"embedded"'), "runtimes[0].name", "[defaults] embedded = false"),
    (RUNTIME + DEPLOYMENT + DEPLOYMENT, "deployments[1].id", "already a deployment"),
    (RUNTIME + DEPLOYMENT.replace('"box"', '"bx"'), "deployments[0].runtime", "did you mean 'box'?"),
    (RUNTIME + DEPLOYMENT + "abilities = { contxt = 1 }", "deployments[0].abilities.contxt", "did you mean 'context'?"),
    (RUNTIME + DEPLOYMENT + "abilities = { context = 0 }", "deployments[0].abilities.context", "less than 1"),
    (RUNTIME + DEPLOYMENT + "abilities = { chat = false }", "deployments[0].abilities", "neither"),
    (RUNTIME + DEPLOYMENT.replace('served_as = "m"', 'served_as = "m:120b-cloud"'), "deployments[0].served_as", "not local"),
    (
        RUNTIME + DEPLOYMENT + "price = { input_usd_per_mtok = -1.0, output_usd_per_mtok = 1 }",
        "deployments[0].price.input_usd_per_mtok",
        "0 or more",
    ),
    (RUNTIME + DEPLOYMENT + "price = { input_usd_per_mtok = 3 }", "deployments[0].price.output_usd_per_mtok", "is missing"),
    (
        RUNTIME + DEPLOYMENT + "price = { input = 3, output = 9 }",
        "deployments[0].price.input",
        "valid: input_usd_per_mtok",
    ),
    (
        RUNTIME + DEPLOYMENT + "price = [{ input_usd_per_mtok = 3 }]",
        "deployments[0].price[0].output_usd_per_mtok",
        "is missing",
    ),
    (RUNTIME + DEPLOYMENT + "price = 3", "deployments[0].price", "3 is not a table or a list of tables"),
    ('[budgets]\nname = "b"', "budgets", "write [[budgets]]"),
    ('[aliases]\na = ["auto", 3]', 'aliases."a"[1]', "3 is not text"),
    ('[[models]]\nid = "a"\n[[models]]\nid = "a"', "models[1].id", "already a model"),
    ('[aliases]\na = "nobody"', 'aliases."a"', "no deployment, model or alias"),
    ('[aliases]\na = ["b"]\nb = "c"\nc = "a"', 'aliases."a"', "a -> b -> c -> a"),
    ('[aliases]\na = "a"', 'aliases."a"', "a -> a"),
    ("[aliases]\na = []", 'aliases."a"', "stands for nothing"),
    (RUNTIME + DEPLOYMENT + '[aliases]\nm = "auto"', 'aliases."m"', "already a model"),
    (RULE, "rules[0]", "does nothing"),
    (RULE + 'try = ["locl"]', "rules[0].try[0]", "did you mean 'local'?"),
    (RULE + 'try = ["local"]\n' + RULE + 'try = ["local"]', "rules[1].name", "already the name of rules[0]"),
    (RULE + 'try = ["local"]\nwhen.label = "secret"', "rules[0].when.label", "valid: public, internal, confidential, restricted"),
    (RULE + 'try = ["local"]\nwhen.tasks = ["edit", "achitecture"]', "rules[0].when.tasks[1]", "did you mean 'architecture'?"),
    (RULE + 'try = ["local"]\nwhen.hours = "9 to 5"', "rules[0].when.hours", "9-17"),
    (RULE + 'try = ["local"]\nwhen.aliases = ["atuo"]', "rules[0].when.aliases[0]", "did you mean 'auto'?"),
    (
        RULE + 'try = ["local"]\nwhen = { prompt_tokens_over = 9, prompt_tokens_under = 10 }',
        "rules[0].when.prompt_tokens_under",
        "never match",
    ),
    (RULE + "allow = {}", "rules[0].allow", "names nothing"),
    (RULE + 'allow = { egres = "local" }', "rules[0].allow.egres", "did you mean 'egress'?"),
    (RULE + 'deny = { runtimes = ["clod"] }', "rules[0].deny.runtimes[0]", "no runtime"),
    (RULE + 'allow = { egress = "local" }\nescalate = { on = ["empty"], to = ["local"] }', "rules[0].escalate", "`try`"),
    (RULE + 'try = ["local"]\nescalate = { on = ["emtpy"], to = ["local"] }', "rules[0].escalate.on[0]", "did you mean 'empty'?"),
    (
        RULE + 'try = ["local"]\nescalate = { on = ["empty"], to = ["x"], at_most = 0 }',
        "rules[0].escalate.at_most",
        "less than 1",
    ),
    (RUNTIME + DEPLOYMENT.replace('"m"', '"box"') + RULE + 'try = ["box"]', "rules[0].try[0]", "a runtime and a model"),
]


@pytest.mark.parametrize(("text", "path", "says"), MISTAKES, ids=[f"{path} {says}" for _, path, says in MISTAKES])
def test_a_mistake_is_named_with_its_place_and_remedy(text: str, path: str, says: str) -> None:
    found = problems(text)
    assert path in found
    assert says in found[path]
    assert "hunter2" not in "".join(found.values())
    assert "pw@" not in "".join(found.values())


def test_all_problems_are_told_at_once_and_consequences_are_not() -> None:
    found = problems(
        "[server]\nport = -1\n"
        + RUNTIME.replace("127.0.0.1", "10.1.1.1")
        + "colour = 1\n"
        + '[[runtimes]]\nname = "broken"\nkind = "x"\n'
        + DEPLOYMENT.replace('"box"', '"broken"')
        + RULE
        + 'alow = { egress = "local" }\nallow = { egress = "lokal" }\n'
        + 'try = ["broken", "nowhere"]\n'
    )
    assert set(found) == {
        "server.port",
        "runtimes[0].colour",
        "runtimes[0].base_url",
        "runtimes[1].kind",
        "rules[0].alow",
        "rules[0].allow.egress",
        "rules[0].try[1]",
    }


@pytest.mark.parametrize("text", ["", "env", "env:", "sk-abc", "vault:x", "ENV:X", "keyring: "])
def test_only_references_are_references(text: str) -> None:
    with pytest.raises(ValueError, match="env:NAME, file:PATH or keyring:NAME"):
        parse_reference(text)


def test_a_keyring_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(MissingSecretError, match=r"pip install 'freehold\[keyring\]'"):
        fetch(Reference("keyring", "cloud"), {}, Path())


@pytest.mark.parametrize("value", ["", "  ", "a\nb", "k\u00e4y"])
def test_what_cannot_be_a_key_is_missing_and_never_shown(value: str) -> None:
    with pytest.raises(MissingSecretError) as caught:
        fetch(Reference("env", "KEY"), {"KEY": value}, Path())
    assert "KEY" in str(caught.value)
    assert not value.strip() or value not in str(caught.value)
