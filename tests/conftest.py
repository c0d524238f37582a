"""Shared by all tests: a guard that lets them reach loopback only, and loud words on what could not be run."""

import asyncio
import functools
import inspect
import ipaddress
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import uvloop

from support.kernel import REFUSED

if TYPE_CHECKING:
    from support.budget_servers import Servers

IN_CI = os.environ.get("CI") == "true"
REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = REPOSITORY.parent / "shared"

# A busy machine must not fail a test: how fast something is, the bench measures.
hypothesis.settings.register_profile("freehold", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("freehold")

# What runs in the background of a shell ignores SIGINT, and so would every command that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        reasons = sorted(
            {str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr) for report in skipped}
        )
        terminalreporter.section("NOT RUN on this machine", sep="!", red=True, bold=True)
        for reason in reasons:
            terminalreporter.line(f"{sum(1 for report in skipped if reason in str(report.longrepr))} x {reason}", red=True)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI nothing may be skipped but what no package could bring."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter is not None else []
    if IN_CI and exitstatus == 0 and any(REFUSED not in str(report.longrepr) for report in skipped):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A coroutine that waits in vain fails by itself: pytest-timeout's alarm does not get through to uvloop while it waits."""
    usual_s = float(config.getini("timeout"))
    for item in items:
        test = getattr(item, "obj", None)
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(test):
            marked = item.get_closest_marker("timeout")
            limit_s = float(marked.args[0]) if marked is not None and marked.args else usual_s
            if limit_s > 0:
                item.obj = _ends_within(test, 0.9 * limit_s)


def _ends_within(test: Callable[..., Coroutine[Any, Any, None]], limit_s: float) -> Callable[..., Coroutine[Any, Any, None]]:
    @functools.wraps(test)
    async def limited(*arguments: Any, **named: Any) -> None:
        async with asyncio.timeout(limit_s):
            await test(*arguments, **named)

    return limited


@pytest.fixture(autouse=True, scope="session")
def _only_loopback() -> Iterator[None]:
    """A test that reaches past this machine fails."""
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not ipaddress.ip_address(address[0]).is_loopback:
            raise AssertionError(f"a test tried to reach {address}")
        real(self, address)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", connect)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def servers() -> "Iterator[Servers]":
    """PostgreSQL and Redis, started by the first test that needs them: each gets a database of its own, and an empty Redis."""
    from support.budget_servers import Servers

    made = Servers()
    yield made
    made.remove()


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Any]:
    """The loop the server really runs on."""
    return {"uvloop": uvloop.new_event_loop}
