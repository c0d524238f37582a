"""The engines that are looked for, read from `data/discovery.toml`, and the ports to look at."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files

import msgspec

from freehold.chat import WireFormat
from freehold.gateways.connector import read_base_url, read_literal

MAX_PORTS = 64


class EngineKnown(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An engine, and where it listens unless told otherwise."""

    name: str
    title: str
    ports: tuple[int, ...]
    address_variable: str | None = None
    """The environment variable its users move it with."""
    formats: tuple[WireFormat, ...] = ("openai_chat",)
    """What it is spoken to in."""
    processes: tuple[str, ...] = ()
    """Names of its process, where its port is another one at each start."""
    source: str


class RelayKnown(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program that passes requests on, and how it gives itself away."""

    name: str
    path: str
    says: str
    source: str


class _RelayHeaders(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    names: tuple[str, ...]
    source: str


class Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that is looked for."""

    engines: tuple[EngineKnown, ...]
    relays: tuple[RelayKnown, ...]
    relay_headers: _RelayHeaders

    def engine(self, name: str) -> EngineKnown:
        """Raises StopIteration for a name that is in no file."""
        return next(engine for engine in self.engines if engine.name == name)

    def ports(self, environ: Mapping[str, str], more: tuple[int, ...] = ()) -> tuple[int, ...]:
        """The ports to look at: those asked for, those engines were moved to, the defaults."""
        moved = (moved_port(environ.get(engine.address_variable or "", "")) for engine in self.engines)
        defaults = (port for engine in self.engines for port in engine.ports)
        every = dict.fromkeys([*more, *(port for port in moved if port is not None), *defaults])
        return tuple(port for port in every if 0 < port < 65536)[:MAX_PORTS]


def read_known() -> Known:
    """The file that comes with Freehold."""
    return msgspec.convert(tomllib.loads(files("freehold.data").joinpath("discovery.toml").read_text("utf-8")), Known)


def moved_port(said: str) -> int | None:
    """The port in `host:port` or a URL, as `OLLAMA_HOST` has it; None: none is named, or the host is another machine."""
    url = said.strip()
    if not url:
        return None
    if url.startswith(":"):
        url = f"127.0.0.1{url}"
    try:
        address = read_base_url(url if "://" in url else f"http://{url}")
    except ValueError:
        return None
    literal = read_literal(address.host)
    here = address.host == "localhost" or (literal is not None and (literal.is_loopback or literal.is_unspecified))
    return address.port if here and not address.tls and address.port != 80 else None
