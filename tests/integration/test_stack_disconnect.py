"""`bal stack disconnect` on the four real servers: who is connected can do nothing any more, its data stay."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from secrets import token_hex
from typing import Any, Self

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import TopicAuthorizationFailedError
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from bal.anchor.fabric.ledger import FabricLedger
from bal.bootstrap.fabric import fabric_access
from bal.bootstrap.kafka import kafka_access
from bal.bootstrap.scd import cassandra_access
from bal.config import MqttSettings, Settings, load
from bal.core.errors import LedgerUnavailable, StoreFailed
from bal.home import Home
from bal.publish.kafka.rights import KafkaAdministrator, may_write
from bal.publish.kafka.topics import HEALTH
from bal.store.cassandra.session import Session
from tests.brokers import PASSWORD
from tests.checks.processes import bal
from tests.grid import Grid
from tests.integration.mosquitto.knocking import LET_IN, NOT_AUTHORISED, REVOKED, knock
from tests.patience import PATIENCE

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


async def refused(
    work: Callable[[], Awaitable[object]], error: type[Exception], why: str = "", seconds: float = PATIENCE
) -> None:
    """Return once it is refused for that reason, and for no other: a server asks for rights again after a second at most."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                await work()
            except error as refusal:
                if why in str(refusal):
                    return
            await asyncio.sleep(0.1)


async def refused_by_cassandra(work: Callable[[], Awaitable[object]]) -> None:
    await refused(work, StoreFailed, "this role may not do that")


async def told(home: Home, *words: str, stdin: bytes = b"") -> None:
    done = await asyncio.to_thread(bal, home.path, *words, stdin=stdin)
    assert done.returncode == 0, done.stderr.decode()


async def stack(grid: Grid, home: Home, verb: str, *arguments: str) -> None:
    await told(home, "stack", verb, *arguments, "--dir", str(grid.layout.path))


class Standing:
    """A connection to the field broker by MQTT 5, which says of a message whether it was let through."""

    def __init__(self, settings: MqttSettings) -> None:
        self._answers: SimpleQueue[bool] = SimpleQueue()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        self._client.tls_set(str(settings.ca), str(settings.certificate), str(settings.key))
        self._client.on_publish = self._published
        self._client.connect_timeout = PATIENCE
        self._client.connect(settings.host, settings.port)
        self._client.loop_start()

    async def may_publish(self, topic: str) -> bool:
        self._client.publish(topic, b"", qos=1)
        return await asyncio.to_thread(self._answers.get, timeout=PATIENCE)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _published(self, _client: object, _data: object, _id: int, reason: Any, _properties: object) -> None:
        self._answers.put(not reason.is_failure)


class Guest:
    """A BAL with a connection to every server."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name, self.settings = name, settings
        self.keyspace = settings.cassandra.keyspace

    async def __aenter__(self) -> Self:
        self.scd = await Session.connect(cassandra_access(self.settings))
        member = fabric_access(self.settings.fabric)
        assert member.admin_certificate
        assert member.admin_key
        self.ledger = await FabricLedger.connect(member)
        self.administrator = await FabricLedger.connect(
            replace(member, certificate=member.admin_certificate, key=member.admin_key)
        )
        access = kafka_access(self.settings.kafka)
        administrator = access.administrator()
        assert administrator is not None
        self.kafka = KafkaAdministrator(administrator)
        self.kafka.allow([may_write(self.name, HEALTH)])
        self.producer = AIOKafkaProducer(
            bootstrap_servers=list(access.servers), security_protocol="SSL", ssl_context=access.tls()
        )
        await self.producer.start()
        self.mqtt = Standing(self.settings.mqtt)
        self.tls = ssl.create_default_context(cafile=self.settings.mqtt.ca)
        self.password_tls = ssl.create_default_context(cafile=self.settings.mqtt.ca)
        certificate, key = self.identity()
        self.tls.load_cert_chain(certificate, key)
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.mqtt.close()
        await self.producer.stop()
        await self.administrator.close()
        await self.ledger.close()
        await self.scd.close()

    async def close(self, log: str) -> None:
        """Write a row to the database."""
        await self.scd.write(
            f"INSERT INTO {self.keyspace}.closed_logs (part, log, reason, closed_at) VALUES (0, ?, 'test', 0)",
            (log,),
        )

    async def closed(self, log: str) -> bool:
        """Tell whether that row is there."""
        asked = f"SELECT reason FROM {self.keyspace}.closed_logs WHERE part = 0 AND log = ?"
        return await self.scd.one(asked, (log,)) is not None

    async def send(self) -> None:
        await self.producer.send_and_wait(HEALTH, b"hello")

    def identity(self) -> tuple[Path, Path]:
        """Return certificate and key."""
        mqtt = self.settings.mqtt
        assert mqtt.certificate
        assert mqtt.key
        return mqtt.certificate, mqtt.key

    async def come(self) -> str:
        """Connect to the field broker; return what it says."""
        return await knock(self.settings.mqtt.port, self.tls)


class Auditor:
    """An auditor with a connection to the database and the ledger."""

    def __init__(self, scd: Session, ledger: FabricLedger, keyspace: str) -> None:
        self.scd, self.ledger, self._keyspace = scd, ledger, keyspace

    async def read(self) -> object:
        return await self.scd.one(f"SELECT * FROM {self._keyspace}.lanes LIMIT 1")


@asynccontextmanager
async def auditing(home: Home) -> AsyncIterator[Auditor]:
    settings = load(home.path)
    scd = await Session.connect(cassandra_access(settings))
    ledger = await FabricLedger.connect(fabric_access(settings.fabric))
    try:
        yield Auditor(scd, ledger, settings.cassandra.keyspace)
    finally:
        await ledger.close()
        await scd.close()


async def test_a_guest_loses_all_rights_at_once_and_its_data_stay(grid: Grid, tmp_path: Path) -> None:
    name = f"leaver-{token_hex(3)}"
    log, source, receipts = f"{name}-1", f"{name}-meters", f"bal/{name}-meters/accepted"
    home, auditors = grid.home(tmp_path, name), f"{name}-auditor"
    auditor_home = grid.auditor(tmp_path, auditors, name)
    await told(home, "sources", "add", source)
    await told(home, "users", "add", source, "--password-file", "-", stdin=PASSWORD.encode())
    passwords, user = grid.real.ports("mosquitto")["mqtt-password"], (source, PASSWORD)
    async with Guest(name, load(home.path)) as guest, auditing(auditor_home) as auditor:
        await guest.close(log)
        assert await guest.closed(log)
        assert log in await guest.ledger.logs()
        assert log in await guest.administrator.logs()
        await guest.send()
        assert await guest.come() == LET_IN
        assert await guest.mqtt.may_publish(receipts)
        assert await knock(passwords, guest.password_tls, user) == LET_IN

        await stack(grid, home, "disconnect", name)
        with pytest.raises(LedgerUnavailable, match="access denied"):
            await guest.ledger.head_at(guest.ledger.peers[0], log)
        with pytest.raises(LedgerUnavailable, match="access denied"):
            await guest.administrator.head_at(guest.administrator.peers[0], log)
        await refused_by_cassandra(lambda: guest.closed(log))
        await refused(guest.send, TopicAuthorizationFailedError)
        assert [right for right in guest.kafka.rights() if right.principal == name] == []
        assert [path for path in guest.identity() if path.exists()] == []
        assert not await guest.mqtt.may_publish(receipts)
        assert await guest.come() == REVOKED
        assert await knock(passwords, guest.password_tls, user) == NOT_AUTHORISED

        await auditor.read()  # who audits it goes on
        await auditor.ledger.head(log)
        await stack(grid, auditor_home, "disconnect", auditors)
        await refused_by_cassandra(auditor.read)
        with pytest.raises(LedgerUnavailable, match="access denied"):
            await auditor.ledger.head_at(auditor.ledger.peers[0], log)
    await stack(grid, home, "disconnect", name)  # again is no harm

    await stack(grid, home, "connect", "--home", str(home.path), "--name", name)
    async with Guest(name, load(home.path)) as guest:
        assert await guest.closed(log)
        assert log in await guest.ledger.logs()
        await guest.send()
        assert await guest.come() == LET_IN
        assert await knock(passwords, guest.password_tls, user) == NOT_AUTHORISED
