"""The configuration reference, made from the structs that `freehold.toml` is decoded into and their docstrings."""

import ast
import inspect
from enum import Enum
from itertools import pairwise
from pathlib import Path

import msgspec

from freehold.config import settings
from freehold.config.decoding import describe_type
from freehold.config.facts import default_config_source, read_quirks
from freehold.policy import budgets, labels, rates, rules
from freehold.runtime import Abilities, Deployment, Launch, Local, LongPromptRates, Model, Price, SelfHosted, Tariff, Vendor

SECTIONS: dict[str, list[tuple[str, type[msgspec.Struct]]]] = {
    "settings": [
        ("[server]", settings.ServerSettings),
        ("[storage]", settings.StorageSettings),
        ("[log]", settings.LogSettings),
        ("[egress]", settings.EgressSettings),
        ("[cache]", settings.CacheSettings),
        ("[sessions]", settings.SessionSettings),
        ("[idempotency]", settings.IdempotencySettings),
        ("[labels]", labels.LabelSettings),
        ("[[labels.patterns]]", labels.Pattern),
        ("[datasets.NAME]", labels.Dataset),
        ("[defaults]", settings.DefaultsSettings),
        ("[discovery]", settings.DiscoverySettings),
    ],
    "runtimes": [
        ('[[runtimes]], kind = "local"', Local),
        ('[[runtimes]], kind = "self_hosted"', SelfHosted),
        ('[[runtimes]], kind = "vendor"', Vendor),
        ("launch", Launch),
        ("[[deployments]]", Deployment),
        ("abilities", Abilities),
        ("price", Price),
        ("price.batch", Tariff),
        ("price.long_prompts", LongPromptRates),
        ("[[prices]]", settings.PriceEntry),
        ("[[models]]", Model),
    ],
    "rates": [("[[rates]]", rates.Rate)],
    "budgets": [("[[budgets]]", budgets.Budget), ("[alerts]", budgets.AlertSettings)],
    "rules": [
        ("[[rules]]", rules.Rule),
        ("when", rules.Match),
        ("when.callers", rules.Callers),
        ("allow, deny", rules.Scope),
        ("escalate", rules.Escalation),
        ("cache", rules.Caching),
    ],
}


def section(name: str) -> str:
    """A heading, the class's own words and a table of keys, for each struct of the section."""
    lines: list[str] = []
    for heading, struct in SECTIONS[name]:
        said = inspect.cleandoc(struct.__doc__ or "")
        lines += [f"### `{heading}`", "", said, "", "| key | takes | default | meaning |", "|---|---|---|---|"]
        texts = field_docstrings(struct)
        tag = struct.__struct_config__.tag_field
        if tag is not None:
            lines.append(f"| `{tag}` | `{struct.__struct_config__.tag}` | required | who runs it |")
        for field in msgspec.structs.fields(struct):
            takes = describe_type(field.type)
            lines.append(f"| `{field.encode_name}` | {takes} | {_default(field)} | {texts.get(field.name, '')} |")
        lines.append("")
    return "\n".join(lines).rstrip()


def quirks() -> str:
    """Every quirk there is."""
    rows = [f"| `{name}` | {quirk.says} | {quirk.honoured_by} |" for name, quirk in read_quirks().items()]
    return "\n".join(["| quirk | what it does | acted on by |", "|---|---|---|", *rows])


def built_in() -> str:
    """The policy that stands beneath every configuration."""
    return f"```text\n{default_config_source().rstrip()}\n```"


def field_docstrings(struct: type[msgspec.Struct]) -> dict[str, str]:
    """The text below each field in the source, base classes included."""
    texts: dict[str, str] = {}
    for base in reversed(struct.__mro__):
        if base in {object, msgspec.Struct} or not base.__module__.startswith("freehold."):
            continue
        tree = ast.parse(Path(inspect.getfile(base)).read_text())
        body = next(node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == base.__name__)
        for field, text in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                assert isinstance(field.target, ast.Name)
                texts[field.target.id] = " ".join(str(text.value.value).split())
    return texts


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    if value is None or isinstance(value, msgspec.Struct) or value in ((), {}):
        return ""
    if isinstance(value, Enum | str):
        return f'`"{value}"`'
    if isinstance(value, tuple):
        return f"`{list(value)}`".replace("'", '"')
    return f"`{str(value).lower()}`"
