"""Real servers for tests: `real("cassandra")` starts one when it is first asked for, once a session.

Where its tools or files are missing the test is skipped with the reason, in CI it fails. `STACK=0` leaves them out.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest

from bal.core.errors import BalError
from bal.stack.layout import Layout, cache_path
from bal.stack.server import Guest, Server
from bal.stack.servers import server as server_of
from bal.stack.stack import Stack
from make.stack import in_ci

ROOT: Final = Path(__file__).resolve().parents[1]
START_SECONDS: Final = 600
"""Time limit of a test that may be the one to start a server on a loaded machine."""


class Real:
    """The servers of one session, in a folder of its own."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._stacks: dict[str, Stack] = {}
        self._reasons: dict[str, str] = {}
        self._failed: dict[str, str] = {}
        self._reaper: subprocess.Popen[bytes] | None = None

    def __call__(self, name: str) -> dict[str, Any]:
        """Return the facts of a server that runs now; start it when it is asked for first, or was killed since."""
        self.require(name)
        if name in self._failed:  # waited for once, not for every test
            pytest.fail(self._failed[name])
        stack = self._stacks.get(name) or Stack(self.layout, [server_of(name)])
        facts = stack.facts()
        if name not in self._stacks or not self._runs(stack.servers[0], facts.ports[name]):
            self._reaper = self._reaper or watch(self.layout.path)
            try:
                facts = stack.up(lambda _line: None)
            except BalError as error:
                self._failed[name] = f"{name} does not start: {error.diagnostics()}"
                pytest.fail(self._failed[name])
            self._stacks[name] = stack
        return facts.servers[name]

    def start(self, *names: str) -> None:
        """Start several servers at a time: on cold machines each is slow on its own."""
        self.require(*names)
        waiting = [name for name in names if name not in self._stacks and name not in self._failed]
        if len(waiting) > 1:
            self._reaper = self._reaper or watch(self.layout.path)
            with suppress(BalError):  # told of the one that failed, below
                Stack(self.layout, [server_of(name) for name in waiting]).up(lambda _line: None)
        for name in names:
            self(name)

    def require(self, *names: str) -> None:
        """Skip the test, or fail in CI, when these servers can't be started here."""
        if os.environ.get("STACK") == "0":
            pytest.skip("left out by STACK=0")
        for name in names:
            if name in self._stacks:
                continue
            if name not in self._reasons:  # looked at once, not for every test
                self._reasons[name] = self._lacks(name)
            if self._reasons[name]:
                self._refuse(self._reasons[name])

    def ports(self, name: str) -> Mapping[str, int]:
        """Return the ports of a server, by name."""
        self(name)
        return self._stacks[name].facts().ports[name]

    def facts(self, name: str) -> dict[str, Any]:
        """Return what a server says of itself."""
        return self(name)

    def server(self, name: str) -> Server:
        """Return the server itself, to kill a process of it or to look at its log."""
        self(name)
        return self._stacks[name].servers[0]

    def admit(self, name: str, guest: Guest) -> dict[str, Any]:
        """Admit a guest at one server; return its settings."""
        self(name)
        return self._stacks[name].admit(guest)

    def stop(self) -> None:
        """Stop whatever was started, each of it though another fails."""
        failed = []
        for stack in self._stacks.values():
            try:
                stack.down(lambda _line: None)
            except BalError as error:
                failed.append(error.diagnostics())
        if self._reaper is not None:
            self._reaper.communicate(timeout=60)
        assert failed == []

    def _runs(self, server: Server, ports: Mapping[str, int]) -> bool:
        return all(process.pid for process in server.processes(self.layout, ports))

    def _lacks(self, name: str) -> str:
        """Return why a server can't be started here; empty when it can."""
        try:
            server = server_of(name)
        except BalError as error:
            return error.diagnostics()
        lacks = "; ".join(f"{each.what} is missing: {each.remedy}" for each in server.missing())
        if lacks:
            return f"{name}: {lacks}"
        if not server.is_installed(self.layout):
            return f"{name} is not installed: bal stack install --only {name}"
        return ""

    def _refuse(self, reason: str) -> NoReturn:
        if in_ci():
            pytest.fail(f"in CI the real servers are there: {reason}")
        pytest.skip(reason)


def watch(stack: Path) -> subprocess.Popen[bytes]:
    """Have somebody who stops the servers of a stack when this process is killed; `communicate()` ends it."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.reaper", str(stack)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """Return the real servers; whatever was started is stopped at the session's end."""
    servers = Real(Layout(tmp_path_factory.mktemp("stack"), cache_path()))
    try:
        yield servers
    finally:
        servers.stop()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that ask for `real`; give those that are marked the time to start a server."""
    for item in items:
        if "real" in getattr(item, "fixturenames", ()):
            item.add_marker("real")
        if item.get_closest_marker("real") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(START_SECONDS))
