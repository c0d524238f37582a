"""References to secrets, and what they refer to.

A key is never written into the configuration: it is `env:NAME`, `file:PATH`, `keyring:NAME` or `keyring:SERVICE/NAME`, of
the operating system's keyring by way of the `keyring` package, which is imported when the first such key is. A reference is checked
at load; what it refers to may be missing, and then only the runtime that needs it cannot serve. No message here ever
holds a secret.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, cast

import msgspec

from freehold.secret import Secret

KEYRING_SERVICE = "freehold"
MAX_SECRET_BYTES = 16 * 1024
BUS_ADDRESS = "DBUS_SESSION_BUS_ADDRESS"
_KINDS = ("env", "file", "keyring")


class MissingSecretError(LookupError):
    """The reference is right, but there is no usable secret behind it. The text says which, and what helps."""


class Reference(msgspec.Struct, frozen=True):
    """Where a secret is kept."""

    kind: str
    """env, file or keyring."""
    name: str


class _Keyring(Protocol):
    def get_password(self, service: str, name: str) -> str | None: ...


def parse_reference(text: str) -> Reference:
    """Read a reference. Raises ValueError, without repeating the text: it may be a key written down by mistake."""
    kind, colon, name = text.partition(":")
    if not colon or kind not in _KINDS or not all(part.strip() for part in _parts(kind, name)):
        raise ValueError("is not a reference to a secret: write env:NAME, file:PATH or keyring:NAME, never the key itself")
    return Reference(kind, name.strip())


def _parts(kind: str, name: str) -> list[str]:
    return name.split("/", 1) if kind == "keyring" else [name]


def fetch(reference: Reference, environ: Mapping[str, str], folder: Path) -> Secret:
    """The secret itself. Relative paths start at `folder`. Raises MissingSecretError."""
    match reference.kind:
        case "env":
            value = environ.get(reference.name)
            where = f"environment variable {reference.name}"
        case "file":
            path = secret_path(reference, folder)
            value, where = _read_file(path), f"file {path}"
        case _:
            service, name = keyring_entry(reference)
            if not is_bus_here(environ):
                raise MissingSecretError(f"the keyring is not asked: {BUS_ADDRESS} is no socket of this machine (`unix:...`)")
            value, where = _read_keyring(service, name), f"keyring entry {name} of service {service}"
    value = (value or "").strip()
    if not value:
        raise MissingSecretError(f"{where} is not set or empty")
    if not (value.isascii() and value.isprintable()):
        raise MissingSecretError(f"{where} holds characters that no key has")
    return Secret(value)


def secret_path(reference: Reference, folder: Path) -> Path:
    """The file a reference of kind `file` means. Relative paths start at `folder`."""
    return folder / Path(reference.name).expanduser()


def keyring_entry(reference: Reference) -> tuple[str, str]:
    """Service and name of a reference of kind `keyring`; without a service it is Freehold's own."""
    service, slash, name = reference.name.partition("/")
    return (service.strip(), name.strip()) if slash else (KEYRING_SERVICE, reference.name)


def readable_by_others(reference: Reference, folder: Path) -> bool:
    """Whether a secret's file is anybody's business but its owner's: its mode is not 0600 or less."""
    if reference.kind != "file":
        return False
    try:
        mode = secret_path(reference, folder).stat().st_mode
    except OSError:
        return False
    return bool(mode & 0o077)


def _read_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_SECRET_BYTES).decode()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is not text"
        raise MissingSecretError(f"file {path} cannot be read: {reason}") from None


def is_bus_here(environ: Mapping[str, str]) -> bool:
    """Whether every address of the user's D-Bus, over which keyrings and service managers are asked, is a socket of this machine."""
    said = (one.strip() for one in environ.get(BUS_ADDRESS, "").split(";"))
    return all(one.startswith(("unix:", "autolaunch:")) for one in said if one)


def _read_keyring(service: str, name: str) -> str | None:
    try:
        keyring = cast("_Keyring", importlib.import_module("keyring"))
    except ImportError:
        raise MissingSecretError(f"keyring:{name} needs the `keyring` package: pip install 'freehold[keyring]'") from None
    try:
        return keyring.get_password(service, name)
    except Exception as error:  # noqa: BLE001 - each keyring backend has errors of its own
        raise MissingSecretError(f"the keyring did not give {name}: {type(error).__name__}") from None
