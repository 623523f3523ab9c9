"""The stack a bench runs on: brought up in a folder, its guests, its processes, what it stores."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bal.cli.benchmark.operator import Operator
from bal.cli.benchmark.usage import bytes_in, cpu_seconds
from bal.config import CONFIG_FILE
from bal.durable import SECRET, write_file
from bal.home import Home
from bal.publish.kafka.access import librdkafka
from bal.stack.authority import issued
from bal.stack.cassandra import Cassandra
from bal.stack.cassandra_guests import keyspace_of
from bal.stack.layout import Layout
from bal.stack.server import Guest
from bal.stack.servers import SERVERS, server
from bal.stack.stack import Stack
from bal.stack.toml import written

READER: Final = "bench-reader"
Tell = Callable[[str], None]


class BenchStack:
    """A stack and the homes connected to it, which are in `folder`."""

    def __init__(self, layout: Layout, folder: Path, sync: str, tell: Tell) -> None:
        self._layout = layout
        self._folder = folder
        self._cassandra = Cassandra(sync)
        others = [server(name) for name in SERVERS if name != "cassandra"]
        self._stack = Stack(self._layout, [*others, self._cassandra])
        self._tell = tell

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start all servers; stop them at the end."""
        try:
            self._stack.up(self._tell)
            yield
        finally:
            self._stack.down(self._tell)

    def restart_cassandra(self, sync: str) -> None:
        """Stop Cassandra, which writes what it has in memory to its tables, and start it with another `sync`."""
        only = Stack(self._layout, [self._cassandra])
        only.down(self._tell)
        self._cassandra.sync = sync
        only.up(self._tell)

    @property
    def sync(self) -> str:
        """Return how Cassandra writes its commit log now."""
        return self._cassandra.sync

    # --- guests
    def operator(self, name: str) -> Operator:
        """Admit a BAL everywhere and make its home."""
        operator = Operator(name, Home(self._folder / name).create())
        settings = self._stack.admit(Guest(name, "dso", ""))
        own: dict[str, Any] = {
            "lanes": [operator.log],
            "outputs": ["kafka"],
            "pki": {"path": str(self._layout.pki)},
            "gateway": {"enabled": False},
            "log": {"level": "error"},
        }
        write_file(
            operator.home.path / CONFIG_FILE, written({**own, **settings}).encode(), SECRET, replace=True
        )
        return operator

    def broker(self) -> tuple[str, int]:
        """Return where the field broker is."""
        facts = self._stack.facts().servers["mosquitto"]
        return facts["host"], facts["port"]

    def tls(self, name: str) -> ssl.SSLContext:
        """Return what a sender shows of itself."""
        context = ssl.create_default_context(cafile=str(self._layout.pki / "ca.crt"))
        context.load_cert_chain(*issued(self._layout, name))
        return context

    def reader(self) -> dict[str, Any]:
        """Return the librdkafka settings of the subscriber `READER`."""
        servers = tuple(self._stack.facts().servers["kafka"]["servers"])
        return librdkafka(servers, self._layout.pki / "ca.crt", *issued(self._layout, READER))

    # --- what it uses
    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds of each server so far; of the ledger those of peers, orderers and chaincodes."""
        used: dict[str, float] = {}
        ports = self._stack.facts().ports
        for each in self._stack.servers:
            for process in each.processes(self._layout, ports[each.name]):
                name = (
                    process.name.replace("fabric", "").split("-")[-1] if each.name == "fabric" else each.name
                )
                used[name] = used.get(name, 0.0) + (cpu_seconds(process.pid) if process.pid else 0.0)
        return used

    def ledger_bytes(self) -> tuple[int, int]:
        """Return the bytes of blocks of one peer, and of all that peers and orderers store but for Raft's own log.

        That log is left out: it is made in segments of 64 MB beforehand, and thrown away by and by.
        """
        data = self._layout.server("fabric") / "data"
        blocks = bytes_in([data / "dso-peer" / "ledgersData" / "chains"])
        kept = [path for path in data.glob("*-orderer/*") if path.name not in {"wal", "snapshots"}]
        return blocks, bytes_in([*data.glob("*-peer/ledgersData"), *kept])

    def database_bytes(self, operator: Operator) -> int:
        """Return the bytes of the tables of a BAL's keyspace; all of them only after `restart_cassandra`."""
        data = self._layout.server("cassandra") / "data" / "data"
        return bytes_in([data / keyspace_of(operator.name)])
