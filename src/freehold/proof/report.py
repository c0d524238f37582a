"""The report of a proof: what was done and found, dated, and signed so that a later change shows to anybody.

The signature is Ed25519 (RFC 8032) with a key in the data directory (0600), made at the first proof; its public half stands in
the report as `signer`. Who knows this installation's public key can check the report anywhere, and cannot write one. Not
promised: that a report with another signer comes from this installation; anybody can make a key and sign with it.
"""

import base64
import binascii
import os
import platform
import secrets
import sys
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from freehold import __version__
from freehold.proof.order import Found

KEY_FILE = "proof.key"
KEY_BYTES = 32


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One proof."""

    claim: str = "With FREEHOLD_LOCAL_ONLY=1 no packet leaves this machine"
    holds: bool
    failures: list[str]
    on: str
    """UTC, ISO 8601."""
    freehold: str
    python: str
    kernel: str
    found: Found
    signer: str
    """The Ed25519 public key, base64."""
    signature: str = ""
    """Over the report's JSON with sorted keys and this field empty, base64."""


def make_report(found: Found, *, on: str, key: bytes) -> Report:
    """Dated by the caller, signed here with `key`, an Ed25519 private key as `read_key` gives it."""
    own_key = Ed25519PrivateKey.from_private_bytes(key)
    report = Report(
        holds=not found.failures,
        failures=found.failures,
        on=on,
        freehold=__version__,
        python=sys.version.split()[0],
        kernel=f"{platform.system()} {platform.release()} {platform.machine()}",
        found=found,
        signer=signer_of(key),
    )
    return msgspec.structs.replace(report, signature=base64.b64encode(own_key.sign(_signed(report))).decode())


def signer_of(key: bytes) -> str:
    """The public half of a private key, as reports name it."""
    return base64.b64encode(Ed25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw()).decode()


def is_unchanged(report: Report) -> bool:
    """Whether it stands as its signer signed it."""
    try:
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(report.signer, validate=True))
        public.verify(base64.b64decode(report.signature, validate=True), _signed(report))
    except (binascii.Error, ValueError, InvalidSignature):
        return False
    return True


def _signed(report: Report) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(report, signature=""), order="deterministic")


def read_key(data_dir: Path, *, make: bool) -> bytes | None:
    """The key of this installation; None: there is none and none was to be made. Raises OSError."""
    path = data_dir / KEY_FILE
    try:
        return path.read_bytes()
    except FileNotFoundError:
        if not make:
            return None
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = secrets.token_bytes(KEY_BYTES)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
    return key


def in_words(report: Report) -> str:
    """The report for people."""
    found = report.found
    lines = [
        f"{report.claim}: {'PROVEN on this machine' if report.holds else 'NOT PROVEN'}",
        f"{report.on}, Freehold {report.freehold}, Python {report.python}, {report.kernel}",
        f"in {found.namespaces}; the local engine was {found.engine}" if found.namespaces else "nothing was run",
        *(f"  ! {failure}" for failure in report.failures),
    ]
    if found.controls:
        lines += ["", "leaks planted first, to see that they are counted (kernel / sinkhole):"]
        lines += [f"  {one.packets:>6} / {one.frames:<6} {one.name}" for one in found.controls]
    if found.phases:
        lines += ["", "packets that left the machine:"]
        lines += [f"  {phase.packets:>6} {phase.name}{_asked(phase.asked, phase.statuses)}" for phase in found.phases]
        lines += [f"  {found.left:>6} in all; {found.attacks} attacks, {found.served} ordinary requests served between them"]
    lines += [f"  left: {one.protocol} to {one.to} {one.says}" for one in found.leaks]
    return "\n".join([*lines, "", f"signed by {report.signer}"])


def _asked(asked: int, statuses: dict[str, int]) -> str:
    return f" ({asked}: {', '.join(f'{count} x {status}' for status, count in sorted(statuses.items()))})" if asked else ""
