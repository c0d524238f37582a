import base64
import hashlib
import os
import time
import zipfile
from pathlib import Path

import pytest

from freehold.fault import FaultError
from freehold.gateways.connector import Connector
from freehold.gateways.http import Upstreams
from freehold.gateways.local_get import make_local_get
from freehold.local.launching import engine_command
from freehold.local.places import data_dir
from freehold.local.supervisor import Engines
from freehold.local.weights import WeightFile, Weights, WheelSource, find
from freehold.runtime import Egress, Launch

TEXT, EMBED = "smollm2-135m-instruct", "all-minilm-l6-v2"


@pytest.fixture(scope="session")
def weights_home():
    """The data directory with real weights; without them tests skip and say so, and fail on CI."""
    home = data_dir(os.environ)
    try:
        for name in (TEXT, EMBED):
            find(name, home)
    except FaultError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must have the weights: {error.fault.message}")
        pytest.skip(f"NOT TESTED, the real engine: {error.fault.message}")
    return home


@pytest.fixture
def journal():
    """What was logged, in order: pairs of an event's name and its facts."""
    return []


@pytest.fixture
async def launch_engines(journal):
    """Start engines; whatever a test does, their processes are gone afterwards."""
    running = []
    connector = Connector(Egress.LOCAL)
    upstreams = Upstreams(connector)

    def log(event: str, **facts: object) -> None:
        journal.append((event, facts))

    def begin(launches: dict[str, Launch], home: Path, command=engine_command, **options: object):
        get = make_local_get(upstreams)
        engines = Engines(launches, home, get=get, log=log, now=time.monotonic, command=command, **options)
        running.append(engines)
        engines.start()
        return engines

    yield begin
    for engines in running:
        await engines.stop()
    await upstreams.close()
    connector.close()


@pytest.fixture
def build_wheel(tmp_path):
    """Build a wheel that pip takes, with the given members; returns its folder and its sha256."""

    def build(package, version, members):
        folder = tmp_path / "wheels"
        folder.mkdir(exist_ok=True)
        name = package.replace("-", "_")
        info = f"{name}-{version}.dist-info"
        contents = members | {
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n".encode(),
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = ""
        for path, data in contents.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record += f"{path},sha256={digest},{len(data)}\n"
        wheel = folder / f"{name}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, data in (contents | {f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}).items():
                archive.writestr(path, data)
        return folder, hashlib.sha256(wheel.read_bytes()).hexdigest()

    return build


@pytest.fixture
def entry():
    """Make a manifest entry of one file from one wheel."""

    def make(data, wheel_sha256, source=None, **changed: object):
        published = {"package": "tiny-weights", "version": "1.0", "sha256": wheel_sha256, "member": "tiny_weights/model.bin"}
        file = {"name": "model.bin", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        sources = (WheelSource(**(published | (source or {}))),)
        return Weights(
            name="tiny",
            engine="llama",
            licence="Apache-2.0",
            about="for tests",
            context=1,
            files=(WeightFile(**(file | changed), sources=sources),),
        )

    return make
