"""The gateway under proof: a real process, asked over raw connections on loopback, and the commands beside it."""

import asyncio
import contextlib
import signal
from collections.abc import Mapping
from pathlib import Path

from freehold.fault import FaultError
from freehold.gateways.connector import Address, Connector
from freehold.proof.bait import PORT
from freehold.proof.order import GatewayCommand
from freehold.proof.shapes import get
from freehold.runtime import Egress

STARTS_WITHIN_S = 60.0
ANSWERS_WITHIN_S = 30.0
ENDS_WITHIN_S = 20.0
_MOST_BYTES = 1 << 20


class _Once(asyncio.Protocol):
    """One request, everything that comes back, and the end."""

    def __init__(self, request: bytes) -> None:
        self.said = bytearray()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Keep as much as anybody reads."""
        if len(self.said) < _MOST_BYTES:
            self.said += data

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's signature
        """It is over."""
        if not self.ended.done():
            self.ended.set_result(None)


class Asker:
    """Asks the gateway on this namespace's loopback."""

    def __init__(self) -> None:
        self._connector = Connector(Egress.LOCAL)

    async def ask(self, request: bytes, *, port: int = PORT, timeout_s: float = ANSWERS_WITHIN_S) -> bytes:
        """The whole answer, head and all; as much as came in time, nothing where nobody listens."""
        talk: list[_Once] = []

        def protocol() -> _Once:
            talk.append(_Once(request))
            return talk[-1]

        try:
            transport = await self._connector.connect(
                protocol,
                Address("127.0.0.1", port, tls=False, prefix=""),
                egress=Egress.LOCAL,
                ceiling=Egress.LOCAL,
                timeout_s=timeout_s,
            )
        except FaultError:
            return b""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(talk[0].ended, timeout_s)
        transport.abort()
        return bytes(talk[0].said)


def status_of(answer: bytes) -> str:
    """`200`, or `none`."""
    words = answer[:32].split(b" ")
    return words[1][:3].decode("ascii", "replace") if len(words) > 1 and words[0].startswith(b"HTTP/1.") else "none"


class Gateway:
    """One process of `freehold serve`, from its start to its end."""

    def __init__(self, command: GatewayCommand, environ: Mapping[str, str], folder: Path) -> None:
        self._command, self._environ, self._folder = command, environ, folder
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, asker: Asker, *, engine: bool) -> None:
        """Return once it answers; with `engine`, once its own engine is ready. Raises RuntimeError with what it said."""
        log = self._folder / "serve.log"
        with log.open("ab") as out:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                "serve",
                cwd=self._folder / "empty",
                env=dict(self._environ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        ends_s = asyncio.get_running_loop().time() + STARTS_WITHIN_S
        while not _is_up(await asker.ask(get("/readyz")), engine=engine):
            if self._process.returncode is not None or asyncio.get_running_loop().time() > ends_s:
                raise RuntimeError(f"the gateway under proof did not start: {log.read_text()[-600:]}")
            await asyncio.sleep(0.05)

    def read_again(self) -> None:
        """Tell it to read its configuration now."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    async def stop(self, *, at_once: bool = False) -> None:
        """End it."""
        if self._process is None or self._process.returncode is not None:
            return
        if at_once:
            self._process.kill()
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), ENDS_WITHIN_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def _is_up(answer: bytes, *, engine: bool) -> bool:
    return status_of(answer) in {"200", "503"} and (not engine or b'"embedded","egress":"local","status":"ready"' in answer)


async def run_command(command: GatewayCommand, words: str, environ: Mapping[str, str], folder: Path) -> str:
    """Run a command to its end; its exit status, or `none`."""
    process = await asyncio.create_subprocess_exec(
        *command,
        *words.split(),
        cwd=folder / "empty",
        env=dict(environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        return str(await asyncio.wait_for(process.wait(), STARTS_WITHIN_S))
    except TimeoutError:
        process.kill()
        await process.wait()
        return "none"
