"""All four real servers, started once a session, and homes connected to them: the fixture `grid`.

Servers, keyspaces, topics and the ledger last as long as the session: every test names its homes and sources itself.
"""

from pathlib import Path

import pytest

from bal.home import Home
from bal.stack.facts import Facts
from bal.stack.process import Process
from bal.stack.servers import SERVERS, server
from tests.checks.processes import bal
from tests.real import Real


class Grid:
    """The running stack of one session."""

    def __init__(self, real: Real) -> None:
        self.real = real
        self.layout = real.layout

    def up(self, *names: str) -> None:
        """Start what does not run of these servers, of all when none is named; return once each answers real requests.

        One that a test started itself, by `Process.start`, is waited for like any other.
        """
        for name in names or SERVERS:
            self.real(name)

    def home(self, folder: Path, name: str, organisation: str = "dso") -> Home:
        """Return a home in `folder`, connected as a BAL `name` of an organisation: dso, market or regulator.

        Its lane and log are `{name}-1`, it publishes to Kafka, and its gateway takes any free port.
        """
        return self._connect(folder, name, "--organisation", organisation)

    def auditor(self, folder: Path, name: str, of: str, organisation: str = "regulator") -> Home:
        """Return a home in `folder` of an auditor of the BAL `of`: it may read, and holds no key of the operator."""
        return self._connect(folder, name, "--organisation", organisation, "--auditor-of", of)

    def broker(self) -> str:
        """Return host:port of the field broker, for clients with a certificate."""
        return f"127.0.0.1:{Facts.read(self.layout).ports['mosquitto']['mqtt']}"

    def process(self, name: str) -> Process:
        """Return a process of the stack by its name, such as `cassandra` or `fabric-dso-peer`, to kill or to start it."""
        ports = Facts.read(self.layout).ports
        every = (each for known in SERVERS for each in server(known).processes(self.layout, ports[known]))
        return next(each for each in every if each.name == name)

    def _connect(self, folder: Path, name: str, *options: str) -> Home:
        home = folder / name
        connect = ("--dir", str(self.layout.path), "--home", str(home), "--name", name)
        done = bal(home, "stack", "connect", *connect, *options)
        assert done.returncode == 0, done.stderr.decode()
        path = home / "bal.toml"
        path.write_text(path.read_text() + "\n[gateway]\nport = 0\n")
        return Home(home)


@pytest.fixture(scope="session")
def grid(real: Real) -> Grid:
    """Return the four servers, running."""
    real.start(*SERVERS)
    return Grid(real)
