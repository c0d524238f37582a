"""Reading the configuration: where it stands, what it merges with, what comes out.

Promised: either a `Config` that every part of the server can use without checking again, or a `ConfigError` with all
problems. What may be right tomorrow without editing the file (a secret that is not there yet) is no problem but
leaves its runtime without credentials. Nothing is downloaded and nothing is connected to.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import msgspec

from freehold.config.assembly import Assembled, Base, assemble
from freehold.config.checking import carries_key_in_clear
from freehold.config.checking_budgets import budget_concerns
from freehold.config.checking_prices import batch_concerns
from freehold.config.checking_storage import check_store_reach
from freehold.config.facts import default_config_source
from freehold.config.secrets import MissingSecretError, fetch, parse_reference, readable_by_others
from freehold.config.settings import Settings
from freehold.identity.callers import SHORTEST_KEY_CHARS
from freehold.local.places import data_dir
from freehold.policy.concerns import concerns_of
from freehold.policy.problems import Problem
from freehold.policy.snapshot import Policy
from freehold.runtime import Egress, Launch, Local, Runtime, lower
from freehold.secret import Secret

FILE_NAME = "freehold.toml"
ALERTS = "[alerts]"
"""Of `Config.secrets`: the key that alerts are sent with. No runtime can have this name."""
REDIS = "[storage] redis"
"""Of `Config.secrets`: the password of Redis. No runtime can have this name."""
_ON, _OFF = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}


class ConfigError(Exception):
    """The configuration cannot be used. `problems` holds everything that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...], source: Path | None) -> None:
        super().__init__(describe_problems(problems, source))
        self.problems = problems
        self.source = source


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """A checked configuration: immutable, made anew when the file changes."""

    settings: Settings
    policy: Policy
    runtimes: dict[str, Runtime]
    secrets: dict[str, Secret]
    """By runtime: the key it is called with."""
    without_credentials: dict[str, str]
    """Runtimes whose key is referred to but not there, and why: they are down until it is."""
    server_key: Secret | None
    """The key clients must send; None: none is asked for."""
    launches: dict[str, Launch]
    """By runtime: the engines to start."""
    data_dir: Path
    """Where weights and records live."""
    source: Path | None
    """The file it came from; None: the built-in defaults alone."""
    text: str
    """What the file said."""
    warnings: tuple[str, ...]
    """What is allowed but can hardly be meant."""
    base: Base = Base()
    """For what is laid over it: runtimes that are found while it serves."""


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Read the file at `path`, or the one found, or none. Raises ConfigError with all problems."""
    source = path or find_source(environ)
    if source is None:
        return read_config("", environ, None)
    try:
        text = source.read_text("utf-8-sig")  # editors on Windows begin a file with a mark
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is not UTF-8 text"
        raise ConfigError((Problem(str(source), f"cannot be read: {reason}"),), source) from None
    return read_config(text, environ, source)


def find_source(environ: Mapping[str, str]) -> Path | None:
    """FREEHOLD_CONFIG, else `freehold.toml` here, else in the user's configuration folder; None: there is none."""
    if named := environ.get("FREEHOLD_CONFIG"):
        return Path(named)
    for candidate in (Path(FILE_NAME), _config_home(environ) / "freehold" / FILE_NAME):
        if candidate.is_file():
            return candidate
    return None


def read_config(text: str, environ: Mapping[str, str], source: Path | None) -> Config:
    """As `load`, from the text itself. Relative paths in it start at the folder of `source`."""
    try:
        table = cast("dict[str, object]", tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError((Problem(str(source or FILE_NAME), f"is not TOML: {error}"),), source) from None
    # What is neither yes nor no is reported below, and no reason to look for vendors.
    local_only = environ.get("FREEHOLD_LOCAL_ONLY", "").strip().lower() not in _OFF
    assembled = assemble(table, tomllib.loads(default_config_source()), environ, local_only=local_only)
    problems = list(assembled.problems)
    ceiling, local_only_problem = _server_ceiling(assembled, environ)
    problems += local_only_problem
    problems += check_store_reach(assembled.settings.storage, ceiling)
    folder = source.parent if source is not None else Path()
    server_key, key_problem = _server_key(assembled, environ, folder)
    problems += key_problem
    if problems:
        raise ConfigError(tuple(problems), source)
    secrets, without, warnings = _fetch_secrets(assembled, environ, folder)
    policy = Policy(assembled.placed, assembled.aliases, assembled.rules, ceiling, assembled.labels)
    return Config(
        settings=assembled.settings,
        policy=policy,
        runtimes=assembled.runtimes,
        secrets=secrets,
        without_credentials=without,
        server_key=server_key,
        launches={
            name: runtime.launch
            for name, runtime in assembled.runtimes.items()
            if isinstance(runtime, Local) and runtime.launch is not None
        },
        data_dir=data_dir(environ),
        source=source,
        text=text,
        base=assembled.base,
        warnings=(
            *(*assembled.warnings, *warnings, *concerns_of(policy)),
            *(*budget_concerns(assembled.settings, policy), *batch_concerns(policy.placed.values())),
        ),
    )


def describe_problems(problems: tuple[Problem, ...], source: Path | None) -> str:
    """All problems as text for people, one a line."""
    where = str(source) if source is not None else "the configuration"
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return "\n".join([f"{where} has {count}:", *(f"  {problem}" for problem in problems)])


def _server_ceiling(assembled: Assembled, environ: Mapping[str, str]) -> tuple[Egress, list[Problem]]:
    ceiling = assembled.settings.egress.ceiling
    said = environ.get("FREEHOLD_LOCAL_ONLY", "").strip().lower()
    if said in _ON:
        return lower(Egress.LOCAL, ceiling), []
    if said in _OFF:
        return ceiling, []
    # Someone asked for something; guessing "no" here would let prompts out.
    return Egress.LOCAL, [Problem("FREEHOLD_LOCAL_ONLY", "is neither yes nor no", "1 for local only, 0 or unset otherwise")]


def _server_key(assembled: Assembled, environ: Mapping[str, str], folder: Path) -> tuple[Secret | None, list[Problem]]:
    reference = assembled.settings.server.api_key
    if reference is None:
        return None, []
    try:
        key = fetch(parse_reference(reference), environ, folder)
    except MissingSecretError as error:
        return None, [Problem("server.api_key", str(error), "without it nobody could be told from anybody")]
    except ValueError:
        return None, []  # reported by check_server
    if len(key.reveal()) < SHORTEST_KEY_CHARS:
        message = f"what it refers to is shorter than {SHORTEST_KEY_CHARS} characters"
        return None, [Problem("server.api_key", message, "make one with `openssl rand -hex 24`")]
    return key, []


def _fetch_secrets(
    assembled: Assembled, environ: Mapping[str, str], folder: Path
) -> tuple[dict[str, Secret], dict[str, str], list[str]]:
    secrets: dict[str, Secret] = {}
    without: dict[str, str] = {}
    warnings = _own_key_warnings(assembled.settings.server.api_key, folder)
    for name, runtime in assembled.runtimes.items():
        if runtime.api_key is None:
            continue
        reference = parse_reference(runtime.api_key)
        try:
            secrets[name] = fetch(reference, environ, folder)
        except MissingSecretError as error:
            without[name] = f"no credentials: {error}"
            warnings.append(f"runtime '{name}' cannot serve, it has no credentials: {error}")
        if readable_by_others(reference, folder):
            warnings.append(f"runtime '{name}': its key file is not its owner's alone; chmod 600 it")
        if carries_key_in_clear(runtime):
            warnings.append(f"runtime '{name}': its key crosses the network in clear; use https")
    if (key := assembled.settings.alerts.api_key) is not None:
        try:
            secrets[ALERTS] = fetch(parse_reference(key), environ, folder)
        except MissingSecretError as error:
            warnings.append(f"alerts are not sent, their key is not there: {error}")
    if (password := assembled.settings.storage.redis_password) is not None:
        try:
            secrets[REDIS] = fetch(parse_reference(password), environ, folder)
        except MissingSecretError as error:
            warnings.append(f"storage.redis is asked without a password, which is not there: {error}")
    return secrets, without, warnings


def _own_key_warnings(reference: str | None, folder: Path) -> list[str]:
    if reference is None or not readable_by_others(parse_reference(reference), folder):
        return []
    return ["server.api_key: its file is not its owner's alone; chmod 600 it"]


def _config_home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("XDG_CONFIG_HOME") or _home(environ) / ".config")


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or Path.home())
