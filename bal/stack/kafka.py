"""Apache Kafka 4.3.1: one node that is broker and controller, mutual TLS, rights by certificate, revocation."""

import base64
import re
import secrets
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bal.core.errors import BalError, Unavailable
from bal.durable import PUBLIC, SECRET, make_directory, write_file
from bal.publish.kafka.access import client_properties, librdkafka
from bal.publish.kafka.probe import round_trip
from bal.publish.kafka.rights import KafkaAdministrator
from bal.publish.kafka.topics import HEALTH, read_families
from bal.resources import resource
from bal.stack import toolchain
from bal.stack.authority import authority, issued
from bal.stack.download import maven_jars
from bal.stack.layout import Layout
from bal.stack.process import Process
from bal.stack.server import Guest, Missing, Tell

VERSION: Final = "4.3.1"
JAVA: Final = 17
BROKER: Final = "kafka-broker"
"""Common name of the broker's certificate, its principal; it calls itself with it."""
ADMIN: Final = "kafka-admin"
"""Common name of whoever makes topics and rights: may do everything."""
HEAP: Final = "512m"
_JARS: Final = 46
_TOOL_JARS: Final = 86
_READY_SECONDS: Final = 240.0
_ANSWER_SECONDS: Final = 10.0
_FORMAT_SECONDS: Final = 180.0
_POLL_SECONDS: Final = 0.1


class Kafka:
    """The stream broker of a stack."""

    name = "kafka"
    downloads = f"Kafka {VERSION} and its command line tools by Maven, 87 MB"
    disk = 400
    memory = 700

    def missing(self) -> Sequence[Missing]:
        """Return what of a JDK and Maven is not there."""
        return toolchain.all_missing([toolchain.jdk(JAVA), toolchain.maven()])

    def is_installed(self, layout: Layout) -> bool:
        """Tell whether the jars of the broker and of the tools are in the cache."""
        return broker_jars(layout).is_dir() and tool_jars(layout).is_dir()

    def install(self, layout: Layout, tell: Tell) -> None:
        """Fetch both sets of jars by Maven; their bytes are compared with the sums that come along."""
        there = resource("kafka")
        maven_jars(there / "pom.xml", broker_jars(layout), tell, jars=_JARS, sums=there / "jars.sha256")
        tools = there / "tools"
        maven_jars(tools / "pom.xml", tool_jars(layout), tell, jars=_TOOL_JARS, sums=tools / "jars.sha256")

    def port_names(self) -> Sequence[str]:
        """Return the ports of clients and of the controller."""
        return ("kafka", "kafka-controller")

    def processes(self, layout: Layout, ports: Mapping[str, int]) -> Sequence[Process]:
        """Return the broker."""
        del ports
        folder = layout.server(self.name)
        return [
            Process(
                self.name,
                [
                    *_java(layout),
                    f"-Xms{HEAP}",
                    f"-Xmx{HEAP}",
                    "-XX:+UseG1GC",
                    "-XX:MaxGCPauseMillis=20",
                    "-XX:+ExitOnOutOfMemoryError",
                    *_REVOCATION,
                    "kafka.Kafka",
                    str(folder / "server.properties"),
                ],
                layout,
                directory=folder,
            )
        ]

    def start(self, layout: Layout, ports: Mapping[str, int], tell: Tell) -> None:
        """Write the configuration, format the data once, start the broker, return once it took and gave a record."""
        (process,) = self.processes(layout, ports)
        if process.pid is None:
            self._configure(layout, ports)
            self._format(layout)
            tell("starting Kafka")
            process.start()
        end = time.monotonic() + _READY_SECONDS
        while True:
            try:
                self.check(layout, ports)
            except BalError as error:
                if process.pid is None or time.monotonic() > end:
                    message = f"Kafka does not come up ({error.what})\n{process.tail()}"
                    remedy = f"look at {layout.log(self.name)}"
                    raise Unavailable(message, subject=self.name, remedy=remedy) from error
                time.sleep(_POLL_SECONDS)
            else:
                return

    def check(self, layout: Layout, ports: Mapping[str, int]) -> str:
        """Write a record to `bal.health` and read that very record."""
        if not layout.pki.exists():
            message = "Kafka was never started here"
            raise Unavailable(message, subject=self.name, remedy="run `bal stack up`")
        access = _administrator(layout, ports)
        KafkaAdministrator(access).ensure_topic(HEALTH, read_families()["health"])
        round_trip(access, HEALTH, _ANSWER_SECONDS)
        return f"wrote a record to {HEALTH} and read it"

    def facts(self, layout: Layout, ports: Mapping[str, int]) -> dict[str, object]:
        """Return the address, the CA, the administrator's certificate, and how Kafka's own tools are run."""
        return {
            "servers": [_address(ports)],
            "ca": str(layout.pki / "ca.crt"),
            "admin": ADMIN,
            "admin_properties": str(layout.server(self.name) / "admin.properties"),
            "tools": [str(part) for part in tool(layout)],
            "version": VERSION,
        }

    def admit(self, layout: Layout, ports: Mapping[str, int], guest: Guest) -> dict[str, object]:
        """Give a BAL its certificate and the right to write idempotently; its topics come with its sources.

        An auditor needs nothing of Kafka.
        """
        if guest.audits:
            return {}
        certificate, key = issued(layout, guest.name)
        admin_certificate, admin_key = issued(layout, ADMIN)
        KafkaAdministrator(_administrator(layout, ports)).allow_idempotence(guest.name)
        return {
            "kafka": {
                "servers": [_address(ports)],
                "ca": str(layout.pki / "ca.crt"),
                "certificate": str(certificate),
                "key": str(key),
                "admin_certificate": str(admin_certificate),
                "admin_key": str(admin_key),
            }
        }

    def dismiss(self, layout: Layout, ports: Mapping[str, int], name: str) -> bool:
        """Remove every allowance of the guest: connections that stand are refused at their next request."""
        administrator = KafkaAdministrator(_administrator(layout, ports))
        rights = [right for right in administrator.rights() if right.principal == name]
        administrator.deny(rights)
        return bool(rights)

    def stop(self, layout: Layout, ports: Mapping[str, int]) -> None:
        """Stop the broker; what it has acknowledged is on disk."""
        for process in self.processes(layout, ports):
            process.stop(30.0)

    def _configure(self, layout: Layout, ports: Mapping[str, int]) -> None:
        folder = layout.server(self.name)
        make_directory(folder)
        certificate, key = issued(layout, ADMIN)
        with authority(layout) as ca:
            broker = ca.paths_of_server(BROKER)
            if not all(path.exists() for path in broker):
                broker = ca.issue_server(server=BROKER, peer=True)
            write_file(folder / "broker.pem", ca.keystore(broker), SECRET, replace=True)
            write_file(folder / "admin.pem", ca.keystore((certificate, key)), SECRET, replace=True)
            trusted = ca.certificate_path
        filled = fill(
            (resource("kafka") / "server.properties").read_text(encoding="utf-8"),
            {
                "port": ports["kafka"],
                "controller_port": ports["kafka-controller"],
                "data": folder / "data",
                "keystore": folder / "broker.pem",
                "ca": trusted,
                "broker": BROKER,
                "admin": ADMIN,
            },
        )
        write_file(folder / "server.properties", filled.encode(), PUBLIC, replace=True)
        properties = client_properties(trusted, folder / "admin.pem")
        write_file(folder / "admin.properties", properties.encode(), PUBLIC, replace=True)

    def _format(self, layout: Layout) -> None:
        """Make an empty log with a cluster id of its own, unless there is one."""
        folder = layout.server(self.name)
        if (folder / "data" / "meta.properties").exists():
            return
        # Kafka's own form of an id; one that begins with '-' would be read as an option.
        cluster = "B" + base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")[1:]
        tool = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(folder / "server.properties")]
        try:
            done = subprocess.run(  # noqa: S603 - a command of this module
                [*_java(layout), *tool],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_FORMAT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            message = f"making Kafka's log takes longer than {_FORMAT_SECONDS:.0f} s"
            raise Unavailable(message, subject=self.name, remedy="try again on a quieter machine") from error
        if done.returncode:
            message = f"Kafka's log cannot be made\n{(done.stdout + done.stderr)[-2000:]}"
            raise Unavailable(message, subject=self.name, remedy="look at what it says")


# The JDK looks for the revocation list at the place each certificate names, at most every 30 seconds, and refuses a
# certificate whose state it cannot tell. Source: JDK, Java PKI Programmer's Guide, appendix C.
_REVOCATION: Final = (
    "-Dcom.sun.net.ssl.checkRevocation=true",
    "-Dcom.sun.security.enableCRLDP=true",
    "-Djdk.tls.server.sessionTicketTimeout=1",
)


def broker_jars(layout: Layout) -> Path:
    """Return the folder of the broker's jars."""
    return layout.cache / "kafka" / VERSION / "broker"


def tool_jars(layout: Layout) -> Path:
    """Return the folder of the jars of Kafka's own command line tools."""
    return layout.cache / "kafka" / VERSION / "tools"


def tool(layout: Layout) -> Sequence[str | Path]:
    """Return the begin of a command of Kafka's own tools: a class of `org.apache.kafka.tools` and its options follow."""
    configuration = resource("kafka") / "tools" / "log4j2.properties"
    return (
        toolchain.java(JAVA),
        "-Xmx256m",
        f"-Dlog4j2.configurationFile={configuration}",
        "-cp",
        f"{tool_jars(layout)}/*",
    )


def fill(template: str, values: Mapping[str, object]) -> str:
    """Return a configuration with a value for every `${name}`. Raises `KeyError` for one that has none."""
    return re.sub(r"\$\{([a-z_]+)\}", lambda found: str(values[found[1]]), template)


def _java(layout: Layout) -> list[str]:
    return [
        str(toolchain.java(JAVA)),
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={resource('kafka') / 'log4j2.yaml'}",
        "-cp",
        f"{broker_jars(layout)}/*",
    ]


def _address(ports: Mapping[str, int]) -> str:
    return f"127.0.0.1:{ports['kafka']}"


def _administrator(layout: Layout, ports: Mapping[str, int]) -> dict[str, object]:
    certificate, key = issued(layout, ADMIN)
    return librdkafka((_address(ports),), layout.pki / "ca.crt", certificate, key)
