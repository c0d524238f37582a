"""What a shell may complete a value with, each list made when it is asked for. A list that cannot be made is empty."""

from typing import get_args


def outcomes() -> list[str]:
    """Of `log --outcome`."""
    from freehold.record import Outcome

    return list(get_args(Outcome))


def tasks() -> list[str]:
    """Of `log --task`."""
    from freehold.features import Task

    return [*Task]


def groupings() -> list[str]:
    """Of `cost --by`."""
    from freehold.ledger.totals import By

    return list(get_args(By))


def wire_formats() -> list[str]:
    """Of `explain --format`."""
    from freehold.wire.formats import CODECS

    return [*CODECS]


def endpoints() -> list[str]:
    """Of `explain --endpoint`."""
    from freehold.server.rehearsal import ENDPOINTS

    return [*ENDPOINTS]


def service_actions() -> list[str]:
    """Of `service`."""
    from freehold.cli.services import Action

    return [*Action]


def audit_actions() -> list[str]:
    """Of `audit`."""
    from freehold.cli.auditing import Action

    return [*Action]


def proofs() -> list[str]:
    """Of `prove`."""
    from freehold.cli.proving import What

    return [*What]


def clients() -> list[str]:
    """Of `launch`."""
    from freehold.cli.recipes import ANY, read_recipes

    return [recipe.name for recipe in read_recipes().clients if recipe.name != ANY]


def weights() -> list[str]:
    """Of `pull`."""
    from freehold.local.weights import read_manifest

    return [*read_manifest()]


def models() -> list[str]:
    """Of `--model`: the names that the configuration gives."""
    import os

    from freehold.config import ConfigError, load

    try:
        return list(load(None, os.environ).policy.listed())
    except ConfigError:
        return []
