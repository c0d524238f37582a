"""Install the peers the bench compares with, each at a pinned version, into bench/.peers/<name>, and nowhere else.

    python bench/peers.py install [NAME ...]     all of them without a name; what is there already is left alone
    python bench/peers.py list

Python peers get a virtual environment of their own (uv makes it when it is on the PATH, pip otherwise); Node peers a
prefix of their own, with install scripts off but for the one SQLite binding that has to be compiled. Nothing is started.
"""

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PEERS = Path(__file__).resolve().parent / ".peers"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A package to install. `requirement` is pip's, or npm's `name@version`."""

    name: str
    requirement: str
    version: str
    from_npm: bool = False

    @property
    def folder(self) -> Path:
        """Where it is installed."""
        return PEERS / self.name

    @property
    def is_installed(self) -> bool:
        """Whether this version is there, whole."""
        stamp = self.folder / "installed"
        return stamp.is_file() and stamp.read_text("utf-8").strip() == self.requirement


LITELLM = Peer(name="litellm", requirement="litellm[proxy]==1.106.2", version="1.106.2")
TENSORZERO = Peer(name="tensorzero", requirement="tensorzero==2026.6.0", version="2026.6.0")
CCR = Peer(name="claude-code-router", requirement="@musistudio/claude-code-router@3.1.1", version="3.1.1", from_npm=True)
ALL = (LITELLM, TENSORZERO, CCR)

# The package also names two dependencies that its registry does not have: its own bundle carries one, a chat bot uses
# the other. So the package is unpacked, and only what the gateway loads is installed beside it.
CCR_NEEDS = ("better-sqlite3@12.11.1", "node-forge@1.4.0", "undici@7.29.0")


def call(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command; its output. Raises CalledProcessError, with what it said on standard error shown."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write(done.stdout[-2000:] + done.stderr[-2000:])
        done.check_returncode()
    return done.stdout


def install_from_pip(peer: Peer) -> None:
    """Into a virtual environment of its own."""
    python = peer.folder / "bin" / "python"
    if uv := shutil.which("uv"):
        call(uv, "venv", "-q", "--clear", "--python", sys.executable, peer.folder)
        call(uv, "pip", "install", "-q", "--python", python, peer.requirement)
    else:
        call(sys.executable, "-m", "venv", "--clear", peer.folder)
        call(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input", peer.requirement)


def install_from_npm(peer: Peer) -> None:
    """The package unpacked into a prefix, and what it loads beside it."""
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is missing: install Node 20 or newer")
    shutil.rmtree(peer.folder, ignore_errors=True)
    modules = peer.folder / "node_modules" / peer.requirement.rpartition("@")[0]
    peer.folder.mkdir(parents=True)
    (peer.folder / "package.json").write_text(json.dumps({"private": True}), "utf-8")
    call(npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", *CCR_NEEDS, cwd=peer.folder)
    call(npm, "rebuild", "better-sqlite3", cwd=peer.folder)
    archive = peer.folder / call(npm, "pack", "--silent", peer.requirement, cwd=peer.folder).split()[-1]
    call("tar", "-xzf", archive, cwd=peer.folder)
    modules.parent.mkdir(parents=True)
    (peer.folder / "package").rename(modules)
    archive.unlink()


def install(peer: Peer) -> None:
    """Install one peer, unless it is there."""
    if peer.is_installed:
        print(f"{peer.requirement}: is there")
        return
    print(f"{peer.requirement}: installing ...", flush=True)
    (install_from_npm if peer.from_npm else install_from_pip)(peer)
    (peer.folder / "installed").write_text(peer.requirement, "utf-8")


def main() -> int:
    """Install or list. `list` ends with status 1 when one is missing; `install` says so: the bench leaves it out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["install", "list"])
    parser.add_argument("names", nargs="*", choices=[[], *(peer.name for peer in ALL)])
    given = parser.parse_args()
    missing = 0
    for peer in ALL:
        if given.names and peer.name not in given.names:
            continue
        if given.action == "install":
            try:
                install(peer)
            except (OSError, subprocess.CalledProcessError) as error:
                print(f"{peer.requirement}: could not be installed: {error}")
        missing += not peer.is_installed
        if given.action == "list":
            print(f"{peer.requirement}: {'is there' if peer.is_installed else 'missing'}")
    return 1 if missing and given.action == "list" else 0


if __name__ == "__main__":
    sys.exit(main())
