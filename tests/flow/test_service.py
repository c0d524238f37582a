"""`freehold service` by a real process, against a `systemctl` that writes down what it is told."""

import os
import sys
from pathlib import Path

import pytest

from support.place import Place

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")
SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$HOME/told"
case "$2" in
show) echo ActiveState=active; echo MainPID=42 ;;
restart) [ ! -e "$HOME/broken" ] || { echo "Failed to connect to bus: No medium found" >&2; exit 1; } ;;
esac
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(
        tmp_path, "[server]\napi_key = 'env:DOOR_KEY'\n", DOOR_KEY="the-key-that-must-not-leak", FREEHOLD_LOCAL_ONLY="1"
    )
    binaries = tmp_path / "bin"
    binaries.mkdir()
    (binaries / "systemctl").write_text(SYSTEMCTL)
    (binaries / "systemctl").chmod(0o755)
    place.environ["PATH"] = f"{binaries}:{os.environ['PATH']}"
    return place


def told(place: Place) -> list[str]:
    """What systemctl was told since it was asked last."""
    file = place.folder / "told"
    lines = file.read_text().splitlines() if file.exists() else []
    file.write_text("")
    return [line for line in lines if " show " not in line]


def test_installing_twice_is_installing_once_and_removing_twice_is_removing_once(place: Place) -> None:
    unit = place.folder / ".config" / "systemd" / "user" / "freehold.service"
    assert place.json("service", "status")["installed"] is False
    assert place.json("service", "install")["current"] is True
    assert told(place) == ["--user daemon-reload", "--user enable freehold.service", "--user restart freehold.service"]
    text = unit.read_text()
    assert "the-key-that-must-not-leak" not in text
    assert "DOOR_KEY" in text
    assert "Environment=FREEHOLD_LOCAL_ONLY=1" in text
    assert f"ReadWritePaths=-{place.folder / 'data'}" in text
    assert (place.folder / "data").stat().st_mode & 0o777 == 0o700
    assert place.run("service", "install", "--print") == text

    said = place.run("service", "install")
    assert told(place)[-1] == "--user start freehold.service", "what has not changed is not restarted"
    assert "active, process 42" in said
    assert "DOOR_KEY" in said
    assert "the-key-that-must-not-leak" not in said

    place.config.write_text("[server]\ndrain_s = 5\n")
    assert "out of date" in place.run("service", "status")
    place.run("service", "install")
    assert told(place)[-1] == "--user restart freehold.service"
    assert "TimeoutStopSec=20" in unit.read_text()

    assert place.json("service", "remove")["installed"] is False
    assert told(place) == ["--user disable --now freehold.service", "--user daemon-reload"]
    assert not unit.exists()
    place.run("service", "remove")
    assert told(place) == []


def test_foreseeable_faults_are_told(place: Place) -> None:
    assert "install, remove, status" in place.run("service", "instal", code=2)
    (place.folder / "broken").touch()
    said = place.run("service", "install", code=1)
    assert "No medium found" in said
    assert "login session" in said
    place.environ["PATH"] = str(place.folder)
    assert "no systemctl here" in place.run("service", "install", code=1)
    place.run("service", "install", "--print")
    place.config.write_text("[server]\nprt = 1\n")
    assert "server.prt" in place.run("service", "install", code=2)
