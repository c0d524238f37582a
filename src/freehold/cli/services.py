"""`freehold service`: Freehold as a service of this user, by systemd or launchd. Doing it twice is doing it once."""

import os
import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import msgspec

from freehold.cli import show
from freehold.cli.setup import load_config
from freehold.cli.units import LABEL, Spec, launchd_agent, systemd_unit
from freehold.config import Config
from freehold.config.secrets import BUS_ADDRESS, is_bus_here, parse_reference
from freehold.storage.store import sqlite_path

UNIT = "freehold.service"
KEPT_VARIABLES = ("FREEHOLD_HOME", "FREEHOLD_LOCAL_ONLY", "XDG_DATA_HOME", "XDG_CONFIG_HOME")
"""What changes where Freehold looks and how far it reaches: as it is now, so shall it be for the service."""
GIVE_UP_S = 30.0


class Action(StrEnum):
    """What to do with the service."""

    INSTALL = "install"
    REMOVE = "remove"
    STATUS = "status"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """How the service stands."""

    path: str
    """Its unit or property list."""
    installed: bool
    current: bool
    """What is installed is what `install` would write now."""
    state: str
    """As the service manager says: `active`, `inactive`, `failed` ...; `unknown` where none answers."""
    pid: int | None = None
    says: tuple[str, ...] = ()
    """What to do next."""


class Keeper(Protocol):
    """A service manager."""

    path: Path

    def text(self, spec: Spec) -> str:
        """What is to stand at `path`."""

    def begin(self, *, changed: bool) -> None:
        """Start it, now and at each login; anew where its text has changed."""

    def end(self) -> None:
        """Stop it, and start it no more."""

    def forget(self) -> None:
        """The file is gone."""

    def state(self) -> tuple[str, int | None]:
        """State and process id."""

    def advice(self, spec: Spec) -> tuple[str, ...]:
        """What a person may want to know."""


def service(action: Action, path: Path | None, *, only_print: bool, as_json: bool) -> None:
    """Install, remove or show the service."""
    keeper = _keeper()
    config = load_config(path)
    try:
        spec = make_spec(config)
        text = keeper.text(spec)
    except ValueError as error:
        show.fail(str(error), 2)
    if only_print:
        if as_json:
            show.print_json({"path": str(keeper.path), "text": text})
        else:
            print(text, end="")
        return
    match action:
        case Action.INSTALL:
            _install(keeper, config, spec, text)
        case Action.REMOVE:
            _remove(keeper)
        case Action.STATUS:
            pass
    _tell(keeper, spec, text, as_json=as_json)


def make_spec(config: Config) -> Spec:
    """What the service runs: this Freehold, with this configuration."""
    settings = config.settings
    references = [settings.server.api_key, *(runtime.api_key for runtime in config.runtimes.values())]
    kept = [parse_reference(reference) for reference in references if reference is not None]
    store = sqlite_path(settings.storage.url) if settings.storage.url else None
    stored = store or (Path(settings.storage.path) if settings.storage.path else None)
    writable = [config.data_dir, *([stored.absolute().parent] if stored is not None else [])]
    return Spec(
        command=(*_freehold(), "serve", *(["--config", str(config.source.absolute())] if config.source is not None else [])),
        environment={name: os.environ[name] for name in KEPT_VARIABLES if os.environ.get(name)},
        secret_names=tuple(dict.fromkeys(reference.name for reference in kept if reference.kind == "env")),
        environment_file=str(_config_home() / "freehold" / "env"),
        writable=tuple(dict.fromkeys(str(folder) for folder in writable)),
        log_file=str(Path.home() / "Library" / "Logs" / "freehold.log"),
        drain_s=settings.server.drain_s,
    )


def _freehold() -> tuple[str, ...]:
    """The command beside this interpreter; a link into a virtual environment is not followed, it would lead out of it."""
    beside = Path(sys.executable).absolute().with_name("freehold")
    return (str(beside),) if beside.exists() else (str(Path(sys.executable).absolute()), "-P", "-m", "freehold")


def _config_home() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _install(keeper: Keeper, config: Config, spec: Spec, text: str) -> None:
    changed = not keeper.path.exists() or keeper.path.read_text() != text
    if changed:
        for folder in (Path(spec.environment_file).parent, config.data_dir):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        keeper.path.parent.mkdir(parents=True, exist_ok=True)
        new = keeper.path.with_name(keeper.path.name + ".new")
        new.write_text(text)
        new.replace(keeper.path)
    keeper.begin(changed=changed)


def _remove(keeper: Keeper) -> None:
    if keeper.path.exists():
        keeper.end()
        keeper.path.unlink()
        keeper.forget()


def _tell(keeper: Keeper, spec: Spec, text: str, *, as_json: bool) -> None:
    installed = keeper.path.exists()
    state, pid = keeper.state()
    told = Told(
        path=str(keeper.path),
        installed=installed,
        current=installed and keeper.path.read_text() == text,
        state=state,
        pid=pid,
        says=keeper.advice(spec) if installed else ("to install it: freehold service install",),
    )
    if as_json:
        show.print_json(told)
        return
    how = "not installed" if not installed else "installed" if told.current else "installed, and out of date: install it again"
    show.pairs("service", [("file", f"{told.path} ({how})"), ("state", f"{state}{f', process {pid}' if pid else ''}")])
    for line in told.says:
        print(show.folded("  ", line))


class Systemd:
    """The user's systemd."""

    def __init__(self) -> None:
        self.path = _config_home() / "systemd" / "user" / UNIT

    def text(self, spec: Spec) -> str:
        """As `Keeper.text`."""
        return systemd_unit(spec)

    def begin(self, *, changed: bool) -> None:
        """As `Keeper.begin`."""
        self._must("daemon-reload")
        self._must("enable", UNIT)
        self._must("restart" if changed else "start", UNIT)

    def end(self) -> None:
        """As `Keeper.end`."""
        self._must("disable", "--now", UNIT)

    def forget(self) -> None:
        """As `Keeper.forget`."""
        self._must("daemon-reload")

    def state(self) -> tuple[str, int | None]:
        """As `Keeper.state`."""
        asked = _run("systemctl", "--user", "show", UNIT, "--property=ActiveState,MainPID")
        found = dict(line.partition("=")[::2] for line in asked.stdout.splitlines())
        if asked.returncode != 0 or "ActiveState" not in found:
            return "unknown", None
        return found["ActiveState"], int(found.get("MainPID", "0")) or None

    def advice(self, spec: Spec) -> tuple[str, ...]:
        """As `Keeper.advice`."""
        secrets = f"keys ({', '.join(spec.secret_names)}) belong into {spec.environment_file}, chmod 600"
        return (
            "its log: journalctl --user -u freehold; after a change: systemctl --user reload freehold, or wait a second",
            "to run while you are not logged in: loginctl enable-linger",
            *([secrets] if spec.secret_names else []),
        )

    def _must(self, *words: str) -> None:
        ran = _run("systemctl", "--user", *words)
        if ran.returncode != 0:
            why = ran.stderr.strip() or f"exit status {ran.returncode}"
            show.fail(
                f"systemctl --user {' '.join(words)}: {why}\n{self.path} is in place. A user's services need a login session with "
                "systemd in it (over ssh or sudo: XDG_RUNTIME_DIR must be set); then ask again"
            )


class Launchd:
    """The user's launchd."""

    def __init__(self) -> None:
        self.path = Path.home() / "Library" / "LaunchAgents" / f"{LABEL}.plist"
        self._domain = f"gui/{os.getuid()}"

    def text(self, spec: Spec) -> str:
        """As `Keeper.text`."""
        return launchd_agent(spec)

    def begin(self, *, changed: bool) -> None:
        """As `Keeper.begin`."""
        is_known = self.state()[0] != "inactive"
        if is_known and changed:
            self.end()
        if changed or not is_known:
            ran = _run("launchctl", "bootstrap", self._domain, str(self.path))
            if ran.returncode != 0:
                show.fail(
                    f"launchctl bootstrap: {ran.stderr.strip()}\n{self.path} is in place; log in at the screen and ask again"
                )

    def end(self) -> None:
        """As `Keeper.end`."""
        _run("launchctl", "bootout", f"{self._domain}/{LABEL}")

    def forget(self) -> None:
        """As `Keeper.forget`."""

    def state(self) -> tuple[str, int | None]:
        """As `Keeper.state`."""
        asked = _run("launchctl", "print", f"{self._domain}/{LABEL}")
        if asked.returncode != 0:
            return "inactive", None
        found = dict(line.strip().partition(" = ")[::2] for line in asked.stdout.splitlines() if " = " in line)
        pid = found.get("pid", "")
        return "active" if found.get("state") == "running" else found.get("state", "unknown"), int(pid) if pid.isdigit() else None

    def advice(self, spec: Spec) -> tuple[str, ...]:
        """As `Keeper.advice`."""
        names = ", ".join(spec.secret_names)
        secrets = f"launchd reads no file of variables: keep {names} as file:PATH or keyring:NAME instead of env:NAME"
        return (f"its log: {spec.log_file}", *([secrets] if names else []))


def _keeper() -> Keeper:
    if sys.platform == "darwin":
        return Launchd()
    if sys.platform != "linux":
        show.fail(f"there is no service manager for {sys.platform} here; run `freehold serve`")
    return Systemd()


def _run(*words: str) -> "subprocess.CompletedProcess[str]":
    # The manager of this machine is meant: a bus address that names another one would be connected to.
    environ = None if is_bus_here(os.environ) else {name: value for name, value in os.environ.items() if name != BUS_ADDRESS}
    try:
        return subprocess.run(words, env=environ, capture_output=True, text=True, timeout=GIVE_UP_S, check=False)  # noqa: S603 - our own words
    except FileNotFoundError:
        show.fail(f"there is no {words[0]} here: this machine has another service manager. `--print` shows what it should run")
    except subprocess.TimeoutExpired:
        show.fail(f"{words[0]} did not answer within {GIVE_UP_S:g} s")
