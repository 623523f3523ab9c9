"""Eclipse Mosquitto 2.0 or 2.1: TLS by client certificate or password, rights a BAL, revocation, nothing retained."""

import asyncio
import os
import pwd
import secrets
import ssl
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Final

import aiomqtt

from bal.core.acl import acl_text
from bal.core.errors import Unavailable
from bal.core.topics import Rights
from bal.durable import PUBLIC, make_directory, write_file
from bal.ingest import MqttSettings, RightsFolder, may_publish
from bal.pki import Authority
from bal.resources import resource
from bal.stack import mosquitto_install
from bal.stack.authority import authority, issued
from bal.stack.layout import Layout, cache_path
from bal.stack.mosquitto_install import program
from bal.stack.process import Process
from bal.stack.server import Guest, Missing, Tell

HOST: Final = "127.0.0.1"
BROKER: Final = "mosquitto"
"""Common name of the broker's certificate."""
CHECK: Final = "mosquitto-check"
"""Who sees whether the broker works; may write and read one topic of its own."""
CHECK_TOPIC: Final = "bal-stack/check"
_READY_SECONDS: Final = 60.0
_ANSWER_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.05


class Mosquitto:
    """The field broker of a stack. It listens at `address`; everything of the stack itself asks it at 127.0.0.1."""

    name = "mosquitto"
    downloads = "Mosquitto 2, an existing one or Debian's packages, 1 MB"
    disk = 20
    memory = 50

    def __init__(self, address: str = HOST) -> None:
        self.address = address

    def missing(self) -> Sequence[Missing]:
        """Return what lacks to have a broker."""
        return mosquitto_install.missing(Layout(cache_path(), cache_path()))

    def is_installed(self, layout: Layout) -> bool:
        """Tell whether there is a broker, the system's or one in the cache, and the command line clients."""
        return all(program(layout, name) is not None for name in ("mosquitto", "mosquitto_pub"))

    def install(self, layout: Layout, tell: Tell) -> None:
        """Unpack a broker into the cache unless the system has one. Raises `Unavailable`."""
        if not self.is_installed(layout):
            mosquitto_install.install(layout, tell)

    def port_names(self) -> Sequence[str]:
        """Return the port for client certificates and that for passwords."""
        return ("mqtt", "mqtt-password")

    def processes(self, layout: Layout, ports: Mapping[str, int]) -> Sequence[Process]:
        """Return the broker."""
        del ports
        broker = program(layout, "mosquitto")
        argv = [str(broker.path) if broker else self.name, "-c", str(_configuration(layout))]
        environment = broker.environment if broker else {}
        return [Process(self.name, argv, layout, environment, layout.server(self.name))]

    def start(self, layout: Layout, ports: Mapping[str, int], tell: Tell) -> None:
        """Write configuration and rights, start the broker, return once a message went through it."""
        (process,) = self.processes(layout, ports)
        changed = self.configure(layout, ports)
        if changed and process.pid is not None:
            tell("Mosquitto: restarted with another configuration")
            process.stop()
        if process.pid is None:
            tell("starting Mosquitto")
            process.start()
        end = time.monotonic() + _READY_SECONDS
        while True:
            try:
                self.check(layout, ports)
            except Unavailable as error:
                if process.pid is None or time.monotonic() > end:
                    message = f"Mosquitto does not come up ({error.what})\n{process.tail()}"
                    remedy = f"look at {layout.log(self.name)}"
                    raise Unavailable(message, subject=self.name, remedy=remedy) from error
                time.sleep(_POLL_SECONDS)
            else:
                break
        # A broker that ran already goes by the revocation list it has read; a new one has read everything.
        self._rights(layout, ports).withdraw(Authority.open(layout.pki))

    def check(self, layout: Layout, ports: Mapping[str, int]) -> str:
        """Publish a message over TLS and receive that very message."""
        if not layout.pki.exists():
            message = "Mosquitto was never started here"
            raise Unavailable(message, subject=self.name, remedy="run `bal stack up`")
        tls = ssl.create_default_context(cafile=str(layout.pki / "ca.crt"))
        tls.load_cert_chain(*issued(layout, CHECK))
        try:
            asyncio.run(_round_trip(ports["mqtt"], tls))
        except (aiomqtt.MqttError, OSError, TimeoutError) as error:
            message = "no message goes through Mosquitto"
            remedy = f"look at {layout.log(self.name)}"
            raise Unavailable(message, subject=self.name, remedy=remedy) from error
        return "published a message over TLS and received it"

    def facts(self, layout: Layout, ports: Mapping[str, int]) -> dict[str, object]:
        """Return the addresses, the CA, the folder of rights, the version and where the programs are."""
        broker = program(layout, "mosquitto")
        programs = {
            name: str(found.path)
            for name in ("mosquitto_pub", "mosquitto_sub")
            if (found := program(layout, name)) is not None
        }
        return {
            "host": HOST,
            "port": ports["mqtt"],
            "password_port": ports["mqtt-password"],
            "ca": str(layout.pki / "ca.crt"),
            "rights": str(rights_path(layout)),
            "version": ".".join(map(str, broker.version)) if broker else "",
            "programs": programs,
            "environment": dict(broker.environment) if broker else {},
        }

    def admit(self, layout: Layout, ports: Mapping[str, int], guest: Guest) -> dict[str, object]:
        """Give a BAL its certificate and a part of the rights, empty until it has sources.

        An auditor needs nothing of the field broker.
        """
        if guest.audits:
            return {}
        certificate, key = issued(layout, guest.name)
        folder = self._rights(layout, ports)
        with folder.writing():
            if guest.name not in folder.parts():
                folder.put(guest.name, f"user {guest.name}\n")
        folder.withdraw(Authority.open(layout.pki))  # whose certificate was revoked has a new one now
        return {
            "mqtt": {
                "broker": "outside",
                "host": HOST,
                "port": ports["mqtt"],
                "identity": guest.name,
                "ca": str(layout.pki / "ca.crt"),
                "certificate": str(certificate),
                "key": str(key),
                "rights": str(rights_path(layout)),
            }
        }

    def dismiss(self, layout: Layout, ports: Mapping[str, int], name: str) -> bool:
        """Remove the rights that the guest has and those it gave to its sources; what waits in sessions stays."""
        folder = self._rights(layout, ports)
        with folder.writing():
            found = folder.remove(name)
        folder.withdraw(Authority.open(layout.pki))
        return found

    def stop(self, layout: Layout, ports: Mapping[str, int]) -> None:
        """Stop the broker; sessions and what waits in them are saved."""
        for process in self.processes(layout, ports):
            process.stop(30.0)

    def configure(self, layout: Layout, ports: Mapping[str, int]) -> bool:
        """Write what the broker reads; tell whether it reads another configuration than before."""
        make_directory(layout.server(self.name))
        for folder in (data_path(layout), rights_path(layout)):
            make_directory(folder)
        rights = self._rights(layout, ports)
        with authority(layout) as ca:
            certificate, key = ca.paths_of_server(BROKER)
            if not (certificate.exists() and key.exists()):
                ca.issue_server(server=BROKER, replace=True)
            places = {"ca": ca.certificate_path, "crl": ca.crl_path, "certificate": certificate, "key": key}
        with rights.writing():
            rights.put(CHECK, acl_text({CHECK: Rights((CHECK_TOPIC,), (CHECK_TOPIC,))}))
            rights.merge_passwords()
        text = configuration(
            {
                **places,
                "user": pwd.getpwuid(os.getuid()).pw_name,
                "address": self.address,
                "port": ports["mqtt"],
                "password_port": ports["mqtt-password"],
                "data": data_path(layout),
                "rights": rights_path(layout),
            }
        )
        path = _configuration(layout)
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return False
        write_file(path, text.encode(), PUBLIC, replace=True)
        return True

    def _rights(self, layout: Layout, ports: Mapping[str, int]) -> RightsFolder:
        """Return the folder of rights as the stack's own identity asks about it."""
        certificate, key = issued(layout, CHECK)
        access = MqttSettings(HOST, ports["mqtt"], "", layout.pki / "ca.crt", certificate, key)
        return RightsFolder(rights_path(layout), lambda topic: may_publish(access, topic), CHECK)


def configuration(values: Mapping[str, object]) -> str:
    """Return `mosquitto/mosquitto.conf` filled in. Raises `KeyError` for a value that is not given."""
    template = (resource("mosquitto") / "mosquitto.conf").read_text(encoding="utf-8")
    return Template(template).substitute(values)


def rights_path(layout: Layout) -> Path:
    """Return the folder of the broker's rights: every BAL of the stack writes its part there."""
    return layout.server(Mosquitto.name) / "rights"


def data_path(layout: Layout) -> Path:
    """Return the folder of the broker's sessions and waiting messages."""
    return layout.server(Mosquitto.name) / "data"


def _configuration(layout: Layout) -> Path:
    return layout.server(Mosquitto.name) / "mosquitto.conf"


async def _round_trip(port: int, tls: ssl.SSLContext) -> None:
    body = secrets.token_bytes(16)
    async with (
        asyncio.timeout(_ANSWER_SECONDS),
        aiomqtt.Client(HOST, port, tls_context=tls, timeout=_ANSWER_SECONDS) as client,
    ):
        await client.subscribe(CHECK_TOPIC, qos=1)
        await client.publish(CHECK_TOPIC, body, qos=1)
        async for message in client.messages:
            if message.payload == body:  # another check may be under way
                return
