"""The same stack in containers (docker-compose.yml): what has to be done once before the servers start, and once after.

All containers share one network and see the files of the stack under the same paths, so configuration, certificates and
addresses are those of a stack without containers.
"""

import asyncio
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from bal.core.errors import BalError, Malformed, Misconfigured, StoreUnavailable, Unavailable
from bal.durable import SECRET, make_directory, write_file
from bal.stack.cassandra import Cassandra
from bal.stack.cassandra_guests import prepared
from bal.stack.fabric import channel, lifecycle
from bal.stack.fabric.network import Network
from bal.stack.fabric.organisations import ORGANISATIONS
from bal.stack.fabric.probe import probe
from bal.stack.fabric.server import Fabric
from bal.stack.facts import Facts
from bal.stack.kafka import Kafka
from bal.stack.layout import Layout, cache_path
from bal.stack.mosquitto import Mosquitto
from bal.stack.server import Tell

FABRIC_CONFIGURATION: Final = "/etc/hyperledger/fabric"
"""Where the images have Fabric's own core.yaml and orderer.yaml."""
_SECONDS: Final = 120.0
_PARTS: Final = (
    ("orderer", 50),
    ("orderer-admin", 53),
    ("orderer-operations", 54),
    ("peer", 51),
    ("peer-chaincode", 52),
    ("peer-operations", 55),
    ("chaincode", 56),
)
PORTS: Final[Mapping[str, Mapping[str, int]]] = {
    "mosquitto": {"mqtt": 8883, "mqtt-password": 8884},
    "cassandra": {"cassandra": 9042, "cassandra-storage": 7000, "cassandra-storage-tls": 7001},
    "kafka": {"kafka": 9093, "kafka-controller": 9094},
    "fabric": {
        f"{each.name}-{part}": 7100 + 100 * place + number
        for place, each in enumerate(ORGANISATIONS)
        for part, number in _PARTS
    },
}
"""Ports of the containers: fixed, as docker-compose.yml names them."""


def prepare(layout: Layout, tell: Tell) -> None:
    """Make identities and configuration of every server, as `bal stack up` does; again is no harm."""
    make_directory(layout.path)
    Mosquitto("0.0.0.0").configure(layout, PORTS["mosquitto"])  # noqa: S104 - in the network of the containers
    Kafka()._configure(layout, PORTS["kafka"])  # noqa: SLF001 - servers of this room
    Cassandra()._configure(layout, PORTS["cassandra"])  # noqa: SLF001
    network = Network(layout, PORTS["fabric"])
    channel.prepare(network)
    if not lifecycle.is_packed(network):
        lifecycle.pack(network)
    for process in network.processes():
        environment = {**process.environment}
        if "FABRIC_CFG_PATH" in environment:
            environment["FABRIC_CFG_PATH"] = FABRIC_CONFIGURATION
        lines = "".join(
            f"export {name}={shlex.quote(value)}\n" for name, value in sorted(environment.items())
        )
        folder = layout.path / "containers"
        make_directory(folder)
        write_file(folder / f"{process.name}.env", lines.encode(), SECRET, replace=True)
    Facts({name: dict(ports) for name, ports in PORTS.items()}, {}).write(layout)
    tell("identities and configuration are made")


def settle(layout: Layout, tell: Tell) -> None:
    """With the servers running: join the channel, deploy the contract, make administrators; return once all answered.

    Raises `Unavailable`.
    """
    network = Network(layout, PORTS["fabric"])
    with ThreadPoolExecutor(2 * len(ORGANISATIONS)) as pool:
        joins = [
            pool.submit(join, network, each)
            for each in ORGANISATIONS
            for join in (channel.join_orderer, Fabric()._join_peer)  # noqa: SLF001
        ]
        for join in joins:
            join.result()
    lifecycle.deploy(network, tell)
    _patiently(lambda: asyncio.run(prepared(layout, PORTS["cassandra"])))
    for server in (Mosquitto(), Kafka(), Cassandra()):
        tell(f"{server.name}: {server.check(layout, PORTS[server.name])}")
    tell(f"fabric: {probe(network, _SECONDS)}")


def _patiently(work: Callable[[], None]) -> None:
    """Do it again until it succeeds, for a while: a server opens its port before it has its first role."""
    end = time.monotonic() + _SECONDS
    while True:
        try:
            return work()
        except (Unavailable, StoreUnavailable, Misconfigured):
            if time.monotonic() > end:
                raise
            time.sleep(1.0)


def main() -> int:
    """`python -m bal.stack.containers prepare|settle FOLDER`. Exit code 2 when it cannot."""
    work = {"prepare": prepare, "settle": settle}
    try:
        if len(sys.argv) != 3 or sys.argv[1] not in work:
            message = "say what to do and where"
            raise Malformed(message, remedy="prepare FOLDER, or settle FOLDER")
        work[sys.argv[1]](Layout(Path(sys.argv[2]), cache_path()), print)
    except BalError as error:
        sys.stderr.write(f"{error.diagnostics()}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
