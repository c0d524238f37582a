"""Secrets from the operating system's keyring: the real package, with a keyring that lives as long as the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from freehold.config.secrets import MissingSecretError, Reference, fetch, parse_reference, readable_by_others

keyring = pytest.importorskip("keyring")
backend = pytest.importorskip("keyring.backend")


class Remembered(backend.KeyringBackend):  # type: ignore[misc]  # the package may be missing
    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        if username == "locked":
            raise RuntimeError("the keyring is locked; secret-in-an-error")
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password


@pytest.fixture(autouse=True)
def _remembering() -> Iterator[None]:
    former = keyring.get_keyring()
    keyring.set_keyring(Remembered())
    keyring.set_password("freehold", "cloud", "own-service-secret")
    keyring.set_password("team", "cloud/eu", "team-service-secret")
    yield
    keyring.set_keyring(former)


@pytest.mark.parametrize(
    ("text", "secret"), [("keyring:cloud", "own-service-secret"), ("keyring:team/cloud/eu", "team-service-secret")]
)
def test_a_reference_names_an_entry_of_ours_or_of_a_service(text: str, secret: str):
    assert fetch(parse_reference(text), {}, Path()).reveal() == secret


def test_an_entry_that_is_not_there_is_named_with_its_service():
    with pytest.raises(MissingSecretError, match="keyring entry nothing of service team is not set"):
        fetch(parse_reference("keyring:team/nothing"), {}, Path())


def test_what_a_keyring_says_when_it_fails_is_not_repeated():
    with pytest.raises(MissingSecretError, match="RuntimeError") as caught:
        fetch(parse_reference("keyring:locked"), {}, Path())
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["keyring:/name", "keyring:service/", "keyring: / "])
def test_half_a_name_is_no_reference(text: str):
    with pytest.raises(ValueError, match="keyring:NAME"):
        parse_reference(text)


@pytest.mark.parametrize(("mode", "is_told"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True), (0o620, True)])
def test_a_file_that_is_not_its_owners_alone_is_told(tmp_path: Path, mode: int, is_told: bool):
    path = tmp_path / "key"
    path.write_text("a-vendors-secret")
    path.chmod(mode)
    assert readable_by_others(Reference("file", str(path)), tmp_path) is is_told


@pytest.mark.parametrize(
    ("address", "is_asked"),
    [
        ("", True),
        ("unix:path=/run/user/1000/bus", True),
        ("unix:abstract=/tmp/bus;unix:path=/tmp/other", True),
        ("tcp:host=10.0.0.7,port=1234", False),
        ("unix:path=/tmp/bus;nonce-tcp:host=bus.example,port=1", False),
        ("unixexec:path=/usr/bin/ssh,argv1=bus.example", False),
    ],
)
def test_a_bus_that_is_not_on_this_machine_is_not_asked(tmp_path: Path, address: str, is_asked: bool):
    reference, environ = Reference("keyring", "cloud"), {"DBUS_SESSION_BUS_ADDRESS": address}
    if is_asked:
        assert fetch(reference, environ, tmp_path).reveal() == "own-service-secret"
    else:
        with pytest.raises(MissingSecretError, match="no socket of this machine"):
            fetch(reference, environ, tmp_path)
