"""Apache Cassandra 5.0.9: one node, TLS with client certificates, roles with passwords, revocation."""

import asyncio
import os
import socket
import time
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from string import Template
from typing import Any, Final, TypeVar

from bal.core.errors import BalError, Misconfigured, StoreUnavailable, Unavailable
from bal.durable import PUBLIC, SECRET, make_directory, write_file
from bal.resources import resource
from bal.stack import toolchain
from bal.stack.authority import authority
from bal.stack.cassandra_guests import ADMIN_ROLE, administrator, admitted, dismissed, health, prepared
from bal.stack.download import maven_jars
from bal.stack.layout import Layout
from bal.stack.ports import HOST
from bal.stack.process import Process
from bal.stack.server import Guest, Missing, Tell

VERSION: Final = "5.0.9"
JAVA: Final = 17
NODE: Final = "cassandra-node"
"""Common name of the node's certificate."""
SYNC_VARIABLE: Final = "BAL_STACK__CASSANDRA_SYNC"
HEAP_VARIABLE: Final = "BAL_STACK__CASSANDRA_HEAP"
_SYNC: Final = {
    "periodic": "commitlog_sync: periodic\ncommitlog_sync_period: 10000ms",
    "batch": "commitlog_sync: batch",
    "group": "commitlog_sync: group\ncommitlog_sync_group_window: 10ms",
}
T = TypeVar("T")
_JARS: Final = 100
_READY_SECONDS: Final = 240.0
_STOP_SECONDS: Final = 40.0
_POLL_SECONDS: Final = 0.2
# Its workers look for work every hundredth of a millisecond for a while before they sleep: docs/adr/0057.
_TIMER_SLACK: Final = 1_000_000


class Cassandra:
    """The Shared Customer Database's server of a stack.

    `sync` is when a write is acknowledged: `batch` and `group` once it is on disk; `periodic` at once, and one node that is
    killed then loses what came in the last tenth of a second (docs/adr/0037). `heap` is the JVM's, such as `512m`. Both
    count from the next start of the process on.
    """

    name = "cassandra"
    downloads = f"Cassandra {VERSION} by Maven, 69 MB"
    disk = 600
    memory = 1600

    def __init__(self, sync: str = "", heap: str = "") -> None:
        self.sync = sync or os.environ.get(SYNC_VARIABLE) or "batch"
        self.heap = heap or os.environ.get(HEAP_VARIABLE) or "1g"
        if self.sync not in _SYNC:
            message = "there is no such way to write the commit log"
            raise Misconfigured(message, subject=SYNC_VARIABLE, remedy=f"choose among {', '.join(_SYNC)}")

    def missing(self) -> Sequence[Missing]:
        """Return what of a JDK and Maven is not there."""
        return toolchain.all_missing([toolchain.jdk(JAVA), toolchain.maven()])

    def is_installed(self, layout: Layout) -> bool:
        """Tell whether the jars are in the cache."""
        return jars(layout).is_dir()

    def install(self, layout: Layout, tell: Tell) -> None:
        """Fetch the jars by Maven; their bytes are compared with the sums that come along."""
        there = resource("scd")
        maven_jars(there / "pom.xml", jars(layout), tell, jars=_JARS, sums=there / "jars.sha256")

    def port_names(self) -> Sequence[str]:
        """Return the ports of clients and of other nodes; the third is not opened but must have a number."""
        return ("cassandra", "cassandra-storage", "cassandra-storage-tls")

    def processes(self, layout: Layout, ports: Mapping[str, int]) -> Sequence[Process]:
        """Return the node."""
        del ports
        folder, lib = layout.server(self.name), jars(layout)
        return [
            Process(
                self.name,
                [
                    str(toolchain.java(JAVA)),
                    f"@{resource('scd') / 'jvm.options'}",
                    f"-Xms{self.heap}",
                    f"-Xmx{self.heap}",
                    f"-javaagent:{lib / 'jamm-0.4.0.jar'}",
                    f"-Dcassandra.config={(folder / 'cassandra.yaml').as_uri()}",
                    f"-Dcassandra.storagedir={folder / 'data'}",
                    f"-Dlogback.configurationFile={resource('scd') / 'logback.xml'}",
                    f"-Djava.io.tmpdir={folder / 'tmp'}",
                    "-cp",
                    f"{folder}:{lib}/*",
                    "org.apache.cassandra.service.CassandraDaemon",
                ],
                layout,
                directory=folder,
                timer_slack=_TIMER_SLACK,
            )
        ]

    def start(self, layout: Layout, ports: Mapping[str, int], tell: Tell) -> None:
        """Write the configuration, start the node, put an administrator of our own in the place of the default one."""
        (process,) = self.processes(layout, ports)
        if process.pid is None:
            self._configure(layout, ports)
            tell(f"starting Cassandra, commit log {self.sync}")
            process.start()
        try:
            self._wait(layout, ports, process)
        except BalError as error:
            message = f"Cassandra does not come up ({error.what})\n{process.tail()}"
            remedy = f"look at {layout.log(self.name)}"
            raise Unavailable(message, subject=self.name, remedy=remedy) from error

    def check(self, layout: Layout, ports: Mapping[str, int]) -> str:
        """Write a row over TLS and read that very row."""
        if not layout.pki.exists():
            message = "Cassandra was never started here"
            raise Unavailable(message, subject=self.name, remedy="run `bal stack up`")
        _finish(health(layout, ports))
        return "wrote a row and read it"

    def facts(self, layout: Layout, ports: Mapping[str, int]) -> dict[str, object]:
        """Return the address, the CA and the administrator's role."""
        return {
            "hosts": [HOST],
            "port": ports["cassandra"],
            "ca": str(layout.pki / "ca.crt"),
            "admin": ADMIN_ROLE,
            "admin_password_file": str(administrator(layout, ports).password_file),
            "sync": self.sync,
            "version": VERSION,
        }

    def admit(self, layout: Layout, ports: Mapping[str, int], guest: Guest) -> dict[str, object]:
        """Give a BAL its keyspace with all tables and a role that writes it; an auditor one that reads the audited one."""
        return _finish(admitted(layout, ports, guest))

    def dismiss(self, layout: Layout, ports: Mapping[str, int], name: str) -> bool:
        """Drop the guest's roles; its keyspace stays."""
        return _finish(dismissed(layout, ports, name))

    def stop(self, layout: Layout, ports: Mapping[str, int]) -> None:
        """Stop the node."""
        for process in self.processes(layout, ports):
            process.stop(_STOP_SECONDS)

    def _wait(self, layout: Layout, ports: Mapping[str, int], process: Process) -> None:
        """Return once it is ready; raise what is in the way when it ended, refuses, or takes too long."""
        end = time.monotonic() + _READY_SECONDS
        while True:
            try:
                with socket.create_connection((HOST, ports["cassandra"]), timeout=1.0):
                    pass
                _finish(prepared(layout, ports))
            except (OSError, StoreUnavailable, Misconfigured) as error:
                # Misconfigured: the role that Cassandra comes with is made a moment after the port is open.
                if process.pid is None or time.monotonic() > end:
                    if isinstance(error, BalError):
                        raise
                    message = "its port is not open"
                    raise StoreUnavailable(message, subject="cassandra") from error
                time.sleep(_POLL_SECONDS)
            else:
                return

    def _configure(self, layout: Layout, ports: Mapping[str, int]) -> None:
        folder = layout.server(self.name)
        make_directory(folder)
        make_directory(folder / "tmp")
        with authority(layout) as ca:
            node = ca.paths_of_server(NODE)
            if not all(path.exists() for path in node):
                node = ca.issue_server(server=NODE)
            write_file(folder / "node.pem", ca.keystore(node), SECRET, replace=True)
            trusted = ca.certificate_path
        template = Template((resource("scd") / "cassandra.yaml").read_text(encoding="utf-8"))
        filled = template.substitute(
            port=ports["cassandra"],
            storage_port=ports["cassandra-storage"],
            storage_tls_port=ports["cassandra-storage-tls"],
            data=folder / "data",
            commitlog=_SYNC[self.sync],
            keystore=folder / "node.pem",
            ca=trusted,
        )
        write_file(folder / "cassandra.yaml", filled.encode(), PUBLIC, replace=True)


def jars(layout: Layout) -> Path:
    """Return the folder of the server's jars."""
    return layout.cache / "cassandra" / VERSION / "lib"


def _finish(work: Coroutine[Any, Any, T]) -> T:
    """Return what comes of `work`, also for a caller on whose thread a loop runs."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
