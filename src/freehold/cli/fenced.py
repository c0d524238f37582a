"""`freehold serve --fence`: take the address outside, go inside, serve from there.

Two processes' worth of work in one: the first part binds and starts this module afresh, because namespaces want a
process without threads and the libraries of a gateway start some; the second part raises the fence before anything else
is imported, checks that it stands, and serves.
"""

import os
import sys
from typing import NoReturn

from freehold.local.fence import FenceError, devices, enter

LOCAL_ONLY = "FREEHOLD_LOCAL_ONLY"


def start_over(listening_fd: int, arguments: list[str]) -> NoReturn:
    """Become a fresh Python that runs `main` below with this socket. Does not return."""
    from freehold.server.signals import wait_to_stop

    os.set_inheritable(listening_fd, True)
    command = [sys.executable, "-P", "-m", "freehold.cli.fenced", str(listening_fd), *arguments]
    wait_to_stop()
    os.execve(sys.executable, command, os.environ | {LOCAL_ONLY: "1"})  # noqa: S606 - ourselves, with no shell


def main() -> None:
    """`FD CONFIG HOST PORT DEMO`: raise the fence, then serve on FD."""
    listening_fd, config, host, port, demo = sys.argv[1:]
    from freehold.cli.show import FailedError, report

    try:
        _raise_fence()
        from pathlib import Path

        from freehold.cli.serving import serve

        serve(Path(config) if config else None, host=host, port=int(port), demo=demo == "1", listening_fd=int(listening_fd))
    except FailedError as failure:
        report(failure, as_json=False)
        sys.exit(failure.code)


def _raise_fence() -> None:
    from freehold.cli import show

    try:
        enter()
    except FenceError as error:
        show.fail(f"there is no fence on this machine, so nothing is served with --fence: {error}")
    others = sorted(set(devices()) - {"lo"})
    routed = [name for name in others if _has_route(name)]
    if routed:
        show.fail(f"the fence does not stand: routes lead out through {', '.join(routed)}, so nothing is served with --fence")


def _has_route(name: str) -> bool:
    """Whether anything can leave by it. Kernels with tunnels built in show such devices in every namespace, down."""
    from pathlib import Path

    routes = [line.split()[0] for line in Path("/proc/self/net/route").read_text().splitlines()[1:]]
    six = Path("/proc/self/net/ipv6_route")
    routes += [line.split()[-1] for line in six.read_text().splitlines()] if six.exists() else []
    return name in routes


if __name__ == "__main__":
    main()
