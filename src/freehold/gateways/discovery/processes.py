"""Ports of engines that choose a new one at each start, from the list of this user's processes. No call is made.

Reads the process table, which takes some milliseconds: not for the event loop's thread.
"""

import ipaddress
from collections.abc import Iterator, Sequence

import psutil

from freehold.gateways.discovery.known import EngineKnown


def ports_of_processes(engines: Sequence[EngineKnown]) -> tuple[int, ...]:
    """Loopback ports that processes of these names listen on. Processes of other users are not seen."""
    names = {name.casefold() for engine in engines for name in engine.processes}
    return tuple(dict.fromkeys(port for process in _named(names) for port in _listening(process)))


def _named(names: set[str]) -> Iterator[psutil.Process]:
    for process in psutil.process_iter(["name"]):
        if (process.info["name"] or "").casefold().removesuffix(".exe") in names:
            yield process


def _listening(process: psutil.Process) -> list[int]:
    try:
        found = process.net_connections(kind="tcp")
    except psutil.Error:
        return []
    return [one.laddr.port for one in found if one.status == psutil.CONN_LISTEN and is_here(one.laddr.ip)]


def is_here(address: str) -> bool:
    """Whether a listening address is reached from loopback."""
    found = ipaddress.ip_address(address)
    return found.is_loopback or found.is_unspecified
