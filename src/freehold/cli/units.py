"""The text of a service: a systemd user unit, a launchd agent. Pure.

Promised: whatever the paths hold, the text means these paths and nothing else; no value of a secret is in it, only the
names of the variables that hold one. The unit takes from the process what a gateway does not need. A user's own service
manager may not be able to make name spaces; it then leaves `ProtectSystem` and its like out, and starts all the same
(systemd.exec(5)). Deliberately not taken away: the devices (GPUs) and writable and executable memory (engines compile).
"""

import plistlib
from collections.abc import Mapping, Sequence
from pathlib import PurePath

import msgspec

LABEL = "dev.freehold.gateway"
"""The agent's name for launchd."""
SPARE_STOP_S = 15
"""Beyond the drain: for last words, engines and the ledger's last rows."""
CONFIGURED_WRONGLY = 2
"""The exit code that another start does not heal."""


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What a service runs, and with what."""

    command: tuple[str, ...]
    """The argument vector, absolute, without a shell."""
    environment: Mapping[str, str]
    """Variables that are no secrets."""
    secret_names: tuple[str, ...]
    """Variables that the configuration takes secrets from."""
    environment_file: str
    """Where these are kept, as `NAME=value` lines."""
    writable: tuple[str, ...]
    """Folders it writes to."""
    log_file: str
    """Where launchd puts what systemd hands to the journal."""
    drain_s: float


def systemd_unit(spec: Spec) -> str:
    """The unit, for `systemctl --user`. Raises ValueError for a path with a control character."""
    lines = [
        "[Unit]",
        "Description=Freehold, a local-first AI gateway",
        "StartLimitIntervalSec=300",
        "StartLimitBurst=10",
        "",
        "[Service]",
        "Type=exec",
        f"ExecStart={_command_line(spec.command)}",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "Restart=on-failure",
        "RestartSec=2",
        f"RestartPreventExitStatus={CONFIGURED_WRONGLY}",
        "KillMode=mixed",
        f"TimeoutStopSec={round(spec.drain_s) + SPARE_STOP_S}",
        *(f"Environment={_quoted(f'{name}={value}')}" for name, value in spec.environment.items()),
        *_about_secrets(spec.secret_names),
        f"EnvironmentFile=-{_plain_path(spec.environment_file)}",
        "UMask=0077",
        "LimitCORE=0",
        "NoNewPrivileges=true",
        "ProtectSystem=strict",
        "ProtectHome=read-only",
        *(f"ReadWritePaths={_quoted('-' + path)}" for path in spec.writable),
        "PrivateTmp=true",
        "ProtectControlGroups=true",
        "ProtectKernelTunables=true",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK",
        "RestrictNamespaces=true",
        "RestrictRealtime=true",
        "RestrictSUIDSGID=true",
        "LockPersonality=true",
        "SystemCallArchitectures=native",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def launchd_agent(spec: Spec) -> str:
    """The property list, for `launchctl bootstrap gui/UID`."""
    agent = {
        "Label": LABEL,
        "ProgramArguments": list(spec.command),
        "EnvironmentVariables": dict(spec.environment),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ExitTimeOut": round(spec.drain_s) + SPARE_STOP_S,
        "StandardErrorPath": spec.log_file,
        "StandardOutPath": spec.log_file,
        "Umask": 0o077,
        "HardResourceLimits": {"Core": 0},
    }
    return plistlib.dumps(agent).decode()


def _about_secrets(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    return [f"# {', '.join(names)}: as NAME=value lines in the file below (chmod 600), never here"]


def _command_line(command: Sequence[str]) -> str:
    """Systemd takes no quote, backslash or dollar in the program's own path; as an argument it takes any."""
    program = ["/usr/bin/env", "--"] if any(letter in command[0] for letter in "\"'\\$") else []
    return " ".join(_argument(word) for word in (*program, *command))


def _argument(text: str) -> str:
    """A word of a command line: quoted, without specifiers and variables (systemd.service(5))."""
    return _quoted(text).replace("$", "$$")


def _quoted(text: str) -> str:
    """A word as systemd.syntax(7) reads it back."""
    plain = _without_specifiers(text)
    if plain and not any(letter in plain for letter in " \"'\\;#"):
        return plain
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _plain_path(path: str) -> str:
    """A path where systemd takes the rest of the line as it stands."""
    if not PurePath(path).is_absolute():
        raise ValueError(f"{path!r} is not absolute")
    return _without_specifiers(path)


def _without_specifiers(text: str) -> str:
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise ValueError(f"{text!r} holds a control character, and a unit cannot")
    return text.replace("%", "%%")
