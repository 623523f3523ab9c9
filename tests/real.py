"""Real servers for tests: `real("cassandra")` starts one when it is first asked for, once a session.

Where a test of the session asks for all of them (the fixture `grid`), the first that is asked for starts them all: one
after the other they take twice as long.

Where its tools or files are missing the test is skipped with the reason, in CI it fails. `STACK=0` leaves them out.
"""

import os
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest

from bal.core.errors import BalError
from bal.stack.layout import Layout, cache_path
from bal.stack.server import Guest, Server
from bal.stack.servers import SERVERS
from bal.stack.servers import server as server_of
from bal.stack.stack import Stack
from make.stack import in_ci
from make.tests import UNIT
from tests.patience import PATIENCE

ROOT: Final = Path(__file__).resolve().parents[1]
START_SECONDS: Final = 600
"""Time limit of a test that may be the one to start a server on a loaded machine."""


class Real:
    """The servers of one session, in a folder of its own."""

    def __init__(self, layout: Layout, together: Collection[str] = ()) -> None:
        """Start none yet; those of `together` are started as soon as one of them is asked for."""
        self.layout = layout
        self._together = together
        self._stacks: dict[str, Stack] = {}
        self._reasons: dict[str, str] = {}
        self._failed: dict[str, str] = {}
        self._ready: dict[str, dict[str, int | None]] = {}
        """Of each server the process ids that it answered with."""
        self._reaper: subprocess.Popen[bytes] | None = None

    def __call__(self, name: str) -> dict[str, Any]:
        """Return the facts of a server that answers now; start what of it was not seen answering: killed or restarted since."""
        self.require(name)
        if name in self._together:
            self._start([each for each in self._together if not self._lack(each)])
            self._together = ()
        if name in self._failed:  # waited for once, not for every test
            pytest.fail(self._failed[name])
        if not self._is_ready(name):
            try:
                self._up(name)
            except BalError as error:
                self._failed[name] = f"{name} does not start: {error.diagnostics()}"
                pytest.fail(self._failed[name])
        return self._stacks[name].facts().servers[name]

    def start(self, *names: str) -> None:
        """Start several servers at a time: each is slow on its own."""
        self.require(*names)
        self._start(names)
        for name in names:
            self(name)

    def require(self, *names: str) -> None:
        """Skip the test, or fail in CI, when these servers can't be started here."""
        if os.environ.get("STACK") == "0":
            pytest.skip("left out by STACK=0")
        for name in names:
            reason = self._lack(name)
            if reason:
                self._refuse(reason)

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
        try:
            if self._stacks:
                Stack(self.layout, [server_of(name) for name in self._stacks]).down(lambda _line: None)
        finally:
            if self._reaper is not None:
                self._reaper.communicate(timeout=PATIENCE)

    def _start(self, names: Collection[str]) -> None:
        """Start those of several servers that do not answer, at a time; `real(name)` tells of one that failed."""
        waiting = [name for name in names if name not in self._failed and not self._is_ready(name)]
        if len(waiting) > 1:
            with suppress(BalError):
                self._up(*waiting)

    def _up(self, *names: str) -> None:
        self._reaper = self._reaper or watch(self.layout.path)
        Stack(self.layout, [server_of(name) for name in names]).up(lambda _line: None)
        for name in names:
            self._stacks[name] = Stack(self.layout, [server_of(name)])
            self._ready[name] = self._pids(name)

    def _is_ready(self, name: str) -> bool:
        """Tell whether the processes are those that were seen answering: one that runs again may not answer yet."""
        return name in self._ready and self._ready[name] == self._pids(name)

    def _pids(self, name: str) -> dict[str, int | None]:
        stack = self._stacks[name]
        processes = stack.servers[0].processes(self.layout, stack.facts().ports[name])
        return {process.name: process.pid for process in processes}

    def _lack(self, name: str) -> str:
        """Return why a server can't be started here, empty when it can; looked at once, not for every test."""
        if name in self._stacks:
            return ""
        if name not in self._reasons:
            self._reasons[name] = self._looked_at(name)
        return self._reasons[name]

    def _looked_at(self, name: str) -> str:
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
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """Return the real servers; whatever was started is stopped at the session's end."""
    all_of_them = any("grid" in getattr(item, "fixturenames", ()) for item in request.session.items)
    layout = Layout(tmp_path_factory.mktemp("stack"), cache_path())
    servers = Real(layout, SERVERS if all_of_them else ())
    try:
        yield servers
    finally:
        servers.stop()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that ask for `real` or `grid`; give those on real servers the time to start one."""
    for item in items:
        for fixture in {"real", "grid"} & {*getattr(item, "fixturenames", ())}:
            item.add_marker(fixture)
        marked = item.get_closest_marker("real") or item.get_closest_marker("grid")
        if marked and item.path.is_relative_to(ROOT / UNIT):
            message = f"{item.nodeid} asks for a real server, {UNIT} is not looked at for such"
            raise pytest.UsageError(message)
        if item.get_closest_marker("real") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(START_SECONDS))
