"""The report of a proof: what was done and found, dated, and sealed so that a later change shows.

The seal is an HMAC-SHA256 with a key in the data directory (0600), made at the first proof. It shows that this
installation wrote the report and nobody without that key changed it since. It is not a public signature: who has the key
can write any report, and only who has it can check one.
"""

import hashlib
import hmac
import os
import platform
import secrets
import sys
from pathlib import Path

import msgspec

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
    seal: str = ""
    """`hmac-sha256:KEY:MAC`: the first 8 bytes of the key's SHA-256, and the code over the report without its seal."""


def make_report(found: Found, *, on: str, key: bytes) -> Report:
    """Dated by the caller, sealed here."""
    report = Report(
        holds=not found.failures,
        failures=found.failures,
        on=on,
        freehold=__version__,
        python=sys.version.split()[0],
        kernel=f"{platform.system()} {platform.release()} {platform.machine()}",
        found=found,
    )
    return msgspec.structs.replace(report, seal=_seal(report, key))


def is_genuine(report: Report, key: bytes) -> bool:
    """Whether it was sealed with this key, and has not changed since."""
    return hmac.compare_digest(report.seal.encode(), _seal(report, key).encode())


def _seal(report: Report, key: bytes) -> str:
    body = msgspec.json.encode(msgspec.structs.replace(report, seal=""), order="deterministic")
    return f"hmac-sha256:{hashlib.sha256(key).hexdigest()[:16]}:{hmac.new(key, body, hashlib.sha256).hexdigest()}"


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
    return "\n".join([*lines, "", f"seal {report.seal}"])


def _asked(asked: int, statuses: dict[str, int]) -> str:
    return f" ({asked}: {', '.join(f'{count} x {status}' for status, count in sorted(statuses.items()))})" if asked else ""
