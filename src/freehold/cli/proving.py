"""`freehold prove`: the shipped proofs, run on this machine."""

import datetime as dt
import os
import subprocess
import sys
import tempfile
from enum import StrEnum
from pathlib import Path

import msgspec
import typer

from freehold.cli import show
from freehold.local.places import data_dir
from freehold.proof.order import Found, Order
from freehold.proof.report import Report, in_words, is_unchanged, make_report, read_key, signer_of

GIVE_UP_S = 600
COMMAND = (sys.executable, "-P", "-m", "freehold")
INSIDE = (sys.executable, "-P", "-m", "freehold.proof.inside")


class What(StrEnum):
    """The proofs there are."""

    LOCAL_ONLY = "local-only"


def prove(what: What, *, out: Path | None, idle_s: float, as_json: bool) -> None:
    """Run it, write the report, say what it found. Exit code 1: it is not proven."""
    home = data_dir(os.environ)
    found = run_inside(Order(folder="", command=COMMAND, data_dir=str(home), idle_s=idle_s))
    now = dt.datetime.now(dt.UTC)
    try:
        key = read_key(home, make=True)
        assert key is not None
        report = make_report(found, on=now.isoformat(timespec="seconds"), key=key)
        path = out or home / "proofs" / f"{what}-{now:%Y%m%dT%H%M%SZ}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
        path.with_suffix(".txt").write_text(in_words(report) + "\n")
    except OSError as error:
        show.fail(f"the report could not be written: {error}")
    if as_json:
        show.print_json(report)
    else:
        print("\n".join(show.plain(line) for line in in_words(report).splitlines()))
        print(f"written to {path} and {path.with_suffix('.txt').name}")
    if not report.holds:
        raise typer.Exit(1)


def verify(path: Path, *, signer: str | None, as_json: bool) -> None:
    """Check the signature of a report. `signer` None: it must be this installation's. Exit code 1: it is not, or was changed."""
    try:
        report = msgspec.json.decode(path.read_bytes(), type=Report)
        key = read_key(data_dir(os.environ), make=False) if signer is None else None
    except (OSError, msgspec.DecodeError) as error:
        show.fail(f"{path} is no report of a proof: {error}")
    expected = signer if key is None else signer_of(key)
    is_whole = is_unchanged(report)
    is_genuine = is_whole and report.signer == expected
    if as_json:
        show.print_json(
            {"genuine": is_genuine, "unchanged": is_whole, "holds": report.holds, "on": report.on, "signer": report.signer}
        )
    elif is_genuine:
        print(f"signed on {report.on} and not changed since; {'proven' if report.holds else 'not proven'}")
    if not is_whole:
        show.fail(f"{path} was changed since it was signed")
    if not is_genuine:
        whose = "whom `--signer` names" if signer is not None else "this installation"
        show.fail(f"{path} was not signed by {whose}, but by {report.signer}; `--signer KEY` says whose report it must be")


def run_inside(order: Order) -> Found:
    """Run an order in namespaces of its own, in a folder that is gone afterwards."""
    if sys.platform != "linux":
        return Found(missing=f"network namespaces are Linux's, and this is {sys.platform}")
    with tempfile.TemporaryDirectory(prefix="freehold-proof-") as folder:
        said = msgspec.json.encode(msgspec.structs.replace(order, folder=folder))
        try:
            ran = subprocess.run(INSIDE, input=said, capture_output=True, timeout=GIVE_UP_S, check=False)  # noqa: S603 - ourselves
        except subprocess.TimeoutExpired:
            return Found(trouble=f"the proof did not end within {GIVE_UP_S} s")
        try:
            return msgspec.json.decode(ran.stdout, type=Found)
        except msgspec.DecodeError:
            return Found(trouble=f"the proof broke off: {ran.stderr.decode(errors='replace')[-600:]}")
