"""Units and property lists say what they should, whatever paths they are made of."""

import os
import plistlib
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from freehold.cli.units import LABEL, Spec, launchd_agent, systemd_unit

SPEC = Spec(
    command=("/opt/freehold/bin/freehold", "serve", "--config", "/etc/freehold.toml"),
    environment={"FREEHOLD_LOCAL_ONLY": "1"},
    secret_names=("BOX_KEY",),
    environment_file="/home/ann/.config/freehold/env",
    writable=("/home/ann/.local/share/freehold",),
    log_file="/Users/ann/Library/Logs/freehold.log",
    drain_s=30.0,
)
ODD = ["plain", "two words", 'a "quote"', "100%h", "$HOME", "back\\slash", "it's", "semi;colon", "#hash", "ünïcode"]


def values(unit: str, name: str) -> list[str]:
    return [line.partition("=")[2] for line in unit.splitlines() if line.partition("=")[0] == name]


def test_the_unit_takes_away_what_a_gateway_does_not_need() -> None:
    unit = systemd_unit(SPEC)
    for name, value in {
        "NoNewPrivileges": "true",
        "ProtectSystem": "strict",
        "ProtectHome": "read-only",
        "Restart": "on-failure",
        "RestartPreventExitStatus": "2",
        "ExecReload": "/bin/kill -HUP $MAINPID",
        "ReadWritePaths": "-/home/ann/.local/share/freehold",
        "TimeoutStopSec": "45",
        "EnvironmentFile": "-/home/ann/.config/freehold/env",
        "Environment": "FREEHOLD_LOCAL_ONLY=1",
    }.items():
        assert values(unit, name) == [value]


def verify(unit: Path, home: Path) -> subprocess.CompletedProcess[str]:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze: not here")
    environ = os.environ | {"XDG_RUNTIME_DIR": str(home), "HOME": str(home)}
    return subprocess.run([found, "verify", "--user", str(unit)], env=environ, capture_output=True, text=True, check=False)


def test_systemd_reads_back_whatever_path_it_is_given(tmp_path: Path) -> None:
    """`verify` looks for the program of `ExecStart`: a path that is read otherwise is not there."""
    unit = tmp_path / "freehold.service"
    for odd in ODD:
        folder = tmp_path / odd
        folder.mkdir()
        program = folder / "freehold"
        spec = msgspec.structs.replace(
            SPEC,
            command=(str(program), "serve", "--config", str(folder / "freehold.toml")),
            environment={"FREEHOLD_HOME": str(folder)},
            environment_file=str(folder / "env"),
            writable=(str(folder),),
        )
        unit.write_text(systemd_unit(spec))
        if "/usr/bin/env" not in unit.read_text():
            assert verify(unit, tmp_path).returncode != 0, "the program is not there yet"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        told = verify(unit, tmp_path)
        assert (told.returncode, told.stderr) == (0, ""), odd


def test_a_program_whose_path_systemd_does_not_take_is_started_all_the_same() -> None:
    unit = systemd_unit(msgspec.structs.replace(SPEC, command=("/opt/it's $5/freehold", "serve")))
    assert values(unit, "ExecStart") == ['/usr/bin/env -- "/opt/it\'s $$5/freehold" serve']


@pytest.mark.parametrize("place", ["command", "writable", "environment_file"])
def test_a_path_that_no_unit_can_hold_is_refused(place: str) -> None:
    bad = "/home/x\n[Service]\nExecStart=/bin/true"
    with pytest.raises(ValueError, match="control character"):
        systemd_unit(msgspec.structs.replace(SPEC, **{place: bad if place == "environment_file" else (bad,)}))


@pytest.mark.parametrize("odd", [*ODD, "<tag>&amp;"])
def test_the_property_list_says_the_same(odd: str) -> None:
    spec = msgspec.structs.replace(SPEC, command=(f"/opt/{odd}/freehold", "serve"))
    agent = plistlib.loads(launchd_agent(spec).encode())
    assert agent["ProgramArguments"] == [f"/opt/{odd}/freehold", "serve"]
    assert agent["Label"] == LABEL
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert agent["EnvironmentVariables"] == {"FREEHOLD_LOCAL_ONLY": "1"}
    assert agent["ExitTimeOut"] == 45
    assert agent["Umask"] == 0o077
