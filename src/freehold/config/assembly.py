"""The user's file joined with the built-in policy: runtimes, deployments, facts, aliases and rules, all checked.

What the file says comes first and wins. `auto` stands for every chat deployment unless the file defines it. A built-in
alias or rule whose deployments were left out is left out too.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Protocol

import msgspec

from freehold.config.checking import (
    check_deployment,
    check_families,
    check_name,
    check_runtime,
    check_server,
    check_unique,
    with_implied,
)
from freehold.config.checking_budgets import check_budgets
from freehold.config.checking_labels import check_datasets, check_labels
from freehold.config.checking_prices import check_prices
from freehold.config.checking_storage import check_storage
from freehold.config.decoding import Decoded, decode_file
from freehold.config.facts import family_of, know_model, read_fim_families, read_model_facts, read_quirks
from freehold.config.prices import Pricing, version_of
from freehold.config.settings import File, PriceEntry, Settings
from freehold.config.vendors import VendorsFound, find_vendors, read_vendors
from freehold.policy.globs import is_glob
from freehold.policy.labels import LabelSettings, bind
from freehold.policy.problems import Problem
from freehold.policy.rates import check_rates
from freehold.policy.references import problems_of
from freehold.policy.rules import Rule
from freehold.runtime import Deployment, Egress, Model, Placed, Runtime, egress_of

AUTO = "auto"


class Assembled(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a configuration says, defaults included. Usable only when `problems` is empty."""

    settings: Settings
    runtimes: dict[str, Runtime]
    placed: tuple[Placed, ...]
    aliases: dict[str, tuple[str, ...]]
    rules: tuple[Rule, ...]
    labels: LabelSettings
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]
    base: "Base"


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes to lay something over a configuration that no file says."""

    models: tuple[Model, ...] = ()
    """Facts of models as the file has them."""
    prices: tuple[PriceEntry, ...] = ()
    """Prices as the file has them."""
    built_in: tuple[str, ...] = ()
    """Names of the built-in runtimes: what is found stands before them."""
    widens_auto: bool = False
    """`auto` is every chat deployment, because the file does not define it."""
    waiting: tuple[str, ...] = ()
    """Built-in aliases of `auto` that stand for nothing, because there is no deployment yet."""
    vendors: tuple[str, ...] = ()
    """Names of vendors that were found by their keys."""
    notes: tuple[str, ...] = ()
    """Keys that were found and are not used, and why."""


def assemble(
    table: dict[str, object], default_table: dict[str, object], environ: Mapping[str, str], *, local_only: bool
) -> Assembled:
    """Join and check. `default_table` is the built-in policy; what is wrong with it is a defect of Freehold."""
    user, decoded = decode_file(table, File)
    default, default_decoded = decode_file(default_table, File)
    assert not default_decoded.problems, default_decoded.problems
    if not user.defaults.embedded:
        default = msgspec.structs.replace(default, runtimes=(), deployments=())
    problems = [*check_server(user.server), *check_storage(user.storage), *check_labels(user.labels)]
    problems += check_datasets(user.datasets, user.labels)
    vendors = find_vendors(user, environ, local_only=local_only or user.egress.ceiling is not Egress.VENDOR)
    problems += _check_items(
        user, default, decoded, [*_named_in(table, "runtimes", "name"), *(one.name for one in vendors.runtimes)]
    )
    runtimes = {runtime.name: runtime for runtime in (*default.runtimes, *vendors.runtimes, *user.runtimes)}
    placed = _place(user, default, vendors, runtimes)
    aliases = _aliases(user, default, placed)
    rules = user.rules or (default.rules if user.defaults.rules and "rules" not in table else ())
    broken = {
        *_named_in(table, "runtimes", "name"),
        *_named_in(table, "deployments", "id"),
        *_named_in(table, "deployments", "model"),
    }
    problems += problems_of(
        placed,
        aliases,
        rules,
        # Their own problems are reported where they stand.
        also_known=broken if problems or decoded.problems else (),
        rule_paths=[f"rules[{index}]" for index in decoded.kept.get("rules", ())] if user.rules else (),
    )
    return Assembled(
        settings=_settings(user),
        runtimes=runtimes,
        placed=placed,
        aliases=aliases,
        rules=rules,
        labels=bind(user.labels, user.datasets),
        problems=(*decoded.problems, *(one for one in problems if not _told(one, decoded.problems))),
        warnings=_unused(user),
        base=_base(user, default, vendors, aliases),
    )


def _base(user: File, default: File, vendors: VendorsFound, aliases: dict[str, tuple[str, ...]]) -> Base:
    return Base(
        models=user.models,
        prices=user.prices,
        built_in=tuple(runtime.name for runtime in default.runtimes),
        widens_auto=AUTO not in user.aliases,
        waiting=tuple(
            name for name, said in default.aliases.items() if user.defaults.aliases and said == AUTO and name not in aliases
        ),
        vendors=tuple(runtime.name for runtime in vendors.runtimes),
        notes=vendors.notes,
    )


def _settings(user: File) -> Settings:
    return Settings(
        server=user.server,
        storage=user.storage,
        log=user.log,
        egress=user.egress,
        rates=user.rates,
        cache=user.cache,
        sessions=user.sessions,
        idempotency=user.idempotency,
        discovery=user.discovery,
        budgets=user.budgets,
        alerts=user.alerts,
    )


def _told(problem: Problem, earlier: list[Problem]) -> bool:
    """Whether it only follows from a problem at the same place or inside it."""
    return any(one.path == problem.path or one.path.startswith((f"{problem.path}.", f"{problem.path}[")) for one in earlier)


def _check_items(user: File, default: File, decoded: Decoded, named: list[str]) -> list[Problem]:
    quirks = read_quirks()
    runtimes = {runtime.name: runtime for runtime in (*default.runtimes, *user.runtimes)}
    known = [*runtimes, *named]
    at = {key: [f"{key}[{index}]" for index in decoded.kept.get(key, ())] for key in ("runtimes", "deployments", "models")}
    problems = [
        *chain.from_iterable(
            check_runtime(runtime, path, quirks) for runtime, path in zip(user.runtimes, at["runtimes"], strict=True)
        ),
        *chain.from_iterable(
            check_deployment(one, path, runtimes.get(one.runtime), known, quirks)
            for one, path in zip(user.deployments, at["deployments"], strict=True)
        ),
    ]
    for kind, own, built_in, field in (
        ("runtime", [one.name for one in user.runtimes], [one.name for one in default.runtimes], "name"),
        ("deployment", [one.id for one in user.deployments], [one.id for one in default.deployments], "id"),
        ("model", [one.id for one in user.models], [], "id"),
    ):
        paths = [f"{path}.{field}" for path in at[f"{kind}s"]]
        problems += check_unique(list(zip(own, paths, strict=True)), kind, built_in)
    listed = [(entry, f"prices[{index}]") for entry, index in zip(user.prices, decoded.kept.get("prices", ()), strict=False)]
    problems += check_prices(listed, {*known, *(vendor.name for vendor in read_vendors())})
    problems += check_rates(zip(user.rates, (f"rates[{index}]" for index in decoded.kept.get("rates", ())), strict=False))
    problems += check_budgets(user, [f"budgets[{index}]" for index in decoded.kept.get("budgets", ())])
    problems += check_families(zip(user.models, at["models"], strict=True), read_fim_families())
    for alias in user.aliases:
        problems += check_name(alias.replace("*", "x").replace("?", "x"), f'aliases."{alias}"')
    return problems


def _place(user: File, default: File, vendors: VendorsFound, runtimes: Mapping[str, Runtime]) -> tuple[Placed, ...]:
    place = make_place(user.models, user.prices)
    placed: dict[str, Placed] = {}
    for one in (*user.deployments, *default.deployments, *vendors.deployments):
        runtime = runtimes.get(one.runtime)
        if runtime is not None and one.id not in placed:
            placed[one.id] = place(one, runtime, asked_by_model=one not in vendors.deployments)
    return tuple(placed.values())


class Place(Protocol):
    """Joins a deployment with what is known of its runtime and its model."""

    def __call__(self, deployment: Deployment, runtime: Runtime, *, asked_by_model: bool) -> Placed:
        """As `Placed`."""


def make_place(models: Sequence[Model], prices: Sequence[PriceEntry]) -> Place:
    """`models` and `prices` are what the user's file has; they beat the built-in ones, which are read once for all."""
    facts, families, pricing = read_model_facts(), read_fim_families(), Pricing(prices)

    def place(deployment: Deployment, runtime: Runtime, *, asked_by_model: bool) -> Placed:
        model = know_model(deployment.model, models, facts)
        family = family_of(model, families)
        priced, source = pricing.priced(with_implied(deployment, runtime), runtime, found=not asked_by_model)
        placed = Placed(
            deployment=priced,
            runtime=runtime,
            model=model,
            egress=egress_of(runtime),
            fill_in=None if family is None else families[family].fill_in,
            asked_by_model=asked_by_model,
        )
        return msgspec.structs.replace(placed, price_version=version_of(placed, source))

    return place


def _aliases(user: File, default: File, placed: tuple[Placed, ...]) -> dict[str, tuple[str, ...]]:
    own = {name: (said,) if isinstance(said, str) else said for name, said in user.aliases.items()}
    everything = {one.id for one in placed} | {one.deployment.model for one in placed if one.asked_by_model}
    built_in = {name: (said,) if isinstance(said, str) else said for name, said in default.aliases.items()}
    built_in[AUTO] = tuple(one.id for one in placed if one.deployment.abilities.chat)
    if not user.defaults.aliases:
        built_in = {AUTO: built_in[AUTO]}
    aliases = dict(own)
    for name, targets in built_in.items():
        standing = tuple(
            target for target in targets if target in everything or target in own or (target == AUTO and built_in[AUTO])
        )
        if name not in own and name not in everything and standing:
            aliases[name] = standing
    return aliases


def _named_in(table: Mapping[str, object], section: str, field: str) -> list[str]:
    """Names as the file has them, also of items that could not be used."""
    items = table.get(section)
    if not isinstance(items, list):
        return []
    return [str(item[field]) for item in items if isinstance(item, dict) and field in item]


def _unused(user: File) -> tuple[str, ...]:
    deployed = {one.model for one in user.deployments}
    return tuple(
        f"[[models]] '{model.id}' is not deployed anywhere"
        for model in user.models
        if not is_glob(model.id) and model.id not in deployed
    )
