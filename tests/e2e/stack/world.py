"""A BAL on the real servers, its auditor, and stock clients that know nothing of the BAL's code."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bal.bootstrap.scd import cassandra_access
from bal.config import Settings, load
from bal.store.cassandra.access import CassandraAccess
from tests.e2e.command import Shell, environment
from tests.e2e.service import Service
from tests.grid import Grid
from tests.patience import PATIENCE


class RealService(Service):
    """`bal run` in a home that is connected to the stack."""

    options = ()

    def __init__(self, grid: Grid, home: Path) -> None:
        self._pki = grid.layout.pki
        super().__init__(home)

    @property
    def ca(self) -> str:
        """File of the CA's certificate."""
        return str(self._pki / "ca.crt")


class Dso:
    """One BAL: a running service in a home of its own with one source, sent to Kafka and MQTT, and one subscriber."""

    def __init__(self, grid: Grid, folder: Path, name: str, organisation: str) -> None:
        self.name, self.organisation = name, organisation
        self.source, self.log = f"{name}-meters", f"{name}-1"
        self.subscriber = f"{name}-shop"
        self.grid = grid
        grid.home(folder, name, organisation)
        shell = Shell(folder / name)
        shell.done("sources", "add", self.source, "--output", "kafka", "--output", "mqtt")
        self.sender: dict[str, Any] = shell.done("pki", "issue", self.source, "--json").value()
        self.handed: dict[str, Any] = shell.done(
            "subscribers", "add", self.subscriber, "--source", self.source, "--json"
        ).value()
        self.service = RealService(grid, folder / name)

    @property
    def settings(self) -> Settings:
        """What its home is set to."""
        return load(self.service.home)

    def send(self, document: bytes) -> None:
        """Send a document as the stock client does, with the source's certificate."""
        files = (self.sender["certificate"], self.sender["key"])
        publish(self.grid, files, f"bal/{self.source}/cim", document)

    def anchored(self, *values: str) -> list[dict[str, Any]]:
        """Wait until readings of these values are anchored; return all that are shown."""
        end = time.monotonic() + PATIENCE
        while True:
            rows: list[dict[str, Any]] = self.service.readings(source=self.source)
            lacking = set(values) - {row["value"] for row in rows}
            if not lacking:
                return rows
            assert time.monotonic() < end, (lacking, self.service.log.read_text()[-2000:])
            time.sleep(0.5)

    def consumed(self, address: str) -> dict[str, Any]:
        """Return the certificate of an address as its subscriber gets it from Kafka, by Kafka's own consumer."""
        command = console_consumer(self.grid, self.handed["kafka"][0])
        log = self.folder.parent / f"{self.subscriber}.log"
        with (
            log.open("w") as complaints,
            subprocess.Popen(
                command, cwd=self.folder, stdout=subprocess.PIPE, stderr=complaints, text=True
            ) as process,
        ):
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    certificate: dict[str, Any] = json.loads(line)
                    if certificate["address"] == address:
                        return certificate
            finally:
                process.kill()
        raise AssertionError(log.read_text())

    @property
    def folder(self) -> Path:
        """What its subscriber was handed."""
        return Path(self.handed["folder"])

    @property
    def subscriber_files(self) -> tuple[Path, Path]:
        """Certificate and key of its subscriber."""
        return self.folder / f"{self.subscriber}.crt", self.folder / f"{self.subscriber}.key"


def console_consumer(grid: Grid, topic: str, silence: float = PATIENCE) -> list[str]:
    """Return the command line of Kafka's own consumer; it ends when nothing comes for so many seconds."""
    facts = grid.real.facts("kafka")
    return [
        *facts["tools"],
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        *("--bootstrap-server", facts["servers"][0], "--command-config", "kafka.properties"),
        *("--topic", topic, "--from-beginning", "--timeout-ms", str(int(silence * 1000))),
    ]


def publish(grid: Grid, files: Sequence[str | Path], topic: str, document: bytes) -> None:
    """Publish by the stock `mosquitto_pub` with a client certificate; that the broker took it says nothing."""
    done = _mosquitto(grid, "mosquitto_pub", files, ["-t", topic, "-s"], document)
    assert done.returncode == 0, done.stderr


class Listener:
    """The stock `mosquitto_sub` under a session of its own: what is published from now on waits for it."""

    def __init__(self, grid: Grid, files: Sequence[str | Path], name: str, *topics: str) -> None:
        self._grid, self._files = grid, files
        words = [word for topic in topics for word in ("-t", topic)]
        self._session = ["-i", name, "-c", *words]
        done = _mosquitto(grid, "mosquitto_sub", files, [*self._session, "-E"])
        assert done.returncode == 0, done.stderr

    def received(self, count: int, seconds: float = PATIENCE) -> list[tuple[str, bytes]]:
        """Return topics and payloads of the next messages: so many, fewer when no more come for so many seconds."""
        words = [*self._session, "-C", str(count), "-W", str(int(seconds)), "-F", "%t %x"]
        done = _mosquitto(self._grid, "mosquitto_sub", self._files, words)
        lines = [line.split(" ") for line in done.stdout.decode().splitlines()]
        return [(topic, bytes.fromhex(payload)) for topic, payload in lines]


def _mosquitto(
    grid: Grid, program: str, files: Sequence[str | Path], words: Sequence[str], stdin: bytes = b""
) -> "subprocess.CompletedProcess[bytes]":
    facts = grid.real.facts("mosquitto")
    certificate, key = map(str, files)
    return subprocess.run(
        [
            facts["programs"][program],
            *("-h", "localhost", "-p", str(facts["port"]), "-q", "1"),
            *("--cafile", facts["ca"], "--cert", certificate, "--key", key),
            *words,
        ],
        input=stdin,
        env={**environment(), **facts["environment"]},
        capture_output=True,
        timeout=2 * PATIENCE,
        check=False,
    )


def access(shell: Shell) -> CassandraAccess:
    """Return how a home reaches its database."""
    return cassandra_access(load(shell.home))


def named_files(value: Any) -> Iterator[Path]:
    """Yield every file that settings name."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from named_files(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from named_files(each)


def peer_query(grid: Grid, shell: Shell, folder: Path, *arguments: str) -> Any:
    """Return what `peer chaincode query` says to the identity of a home, on its own peer."""
    facts = grid.real.facts("fabric")
    fabric = load(shell.home).fabric
    own = fabric.gateways[0]
    organisation = next(each for each in facts["organisations"].values() if each["msp"] == fabric.msp)
    msp = folder / "msp"
    if not msp.exists():  # an MSP folder as Fabric's commands want it, with his own certificate and key
        hidden = shutil.ignore_patterns("signcerts", "keystore")
        shutil.copytree(Path(organisation["admin_msp"]), msp, ignore=hidden)
        for part, path in (("signcerts", fabric.certificate), ("keystore", fabric.key)):
            assert path is not None
            (msp / part).mkdir()
            shutil.copy(path, msp / part)
    variables: Mapping[str, str] = {
        "FABRIC_CFG_PATH": facts["config"],
        "CORE_PEER_TLS_ENABLED": "true",
        "CORE_PEER_LOCALMSPID": fabric.msp,
        "CORE_PEER_ADDRESS": own.address,
        "CORE_PEER_MSPCONFIGPATH": str(msp),
        "CORE_PEER_TLS_ROOTCERT_FILE": str(own.ca),
    }
    call = json.dumps({"Args": list(arguments)})
    done = subprocess.run(
        [
            *(str(Path(facts["commands"]) / "peer"), "chaincode", "query"),
            *("-C", facts["channel"], "-n", facts["chaincode"], "-c", call),
        ],
        env={**environment(), **variables},
        capture_output=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)
