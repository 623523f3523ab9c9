"""`bal stack disconnect` on the four real servers: who is connected can do nothing any more, its data stay."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from secrets import token_hex
from typing import Self

import aiomqtt
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import TopicAuthorizationFailedError

from bal.anchor.fabric.ledger import FabricLedger
from bal.bootstrap.fabric import fabric_access
from bal.bootstrap.kafka import kafka_access
from bal.bootstrap.scd import cassandra_access
from bal.config import Settings, load
from bal.core.errors import BalError, LedgerUnavailable
from bal.home import Home
from bal.publish.kafka.rights import KafkaAdministrator, may_write
from bal.publish.kafka.topics import HEALTH
from bal.store.cassandra.session import Session
from tests.checks.processes import bal
from tests.grid import Grid

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


async def refused(
    work: Callable[[], Awaitable[object]], error: type[Exception], seconds: float = 10.0
) -> None:
    """Return once it is refused: a server asks for rights again after a second at most."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                await work()
            except error:
                return
            await asyncio.sleep(0.1)


async def stack(grid: Grid, home: Home, verb: str, *arguments: str) -> None:
    done = await asyncio.to_thread(bal, home.path, "stack", verb, *arguments, "--dir", str(grid.layout.path))
    assert done.returncode == 0, done.stderr.decode()


class Guest:
    """A BAL with a connection to every server."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name, self.settings = name, settings
        self.keyspace = settings.cassandra.keyspace

    async def __aenter__(self) -> Self:
        self.scd = await Session.connect(cassandra_access(self.settings))
        self.ledger = await FabricLedger.connect(fabric_access(self.settings.fabric))
        access = kafka_access(self.settings.kafka)
        administrator = access.administrator()
        assert administrator is not None
        self.kafka = KafkaAdministrator(administrator)
        self.kafka.allow([may_write(self.name, HEALTH)])
        self.producer = AIOKafkaProducer(
            bootstrap_servers=list(access.servers), security_protocol="SSL", ssl_context=access.tls()
        )
        await self.producer.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.producer.stop()
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

    async def come(self) -> None:
        """Connect to the field broker and away again."""
        mqtt = self.settings.mqtt
        tls = aiomqtt.TLSParameters(str(mqtt.ca), str(mqtt.certificate), str(mqtt.key))
        async with aiomqtt.Client(mqtt.host, mqtt.port, tls_params=tls, timeout=5):
            pass


async def test_a_guest_loses_all_rights_at_once_and_its_data_stay(grid: Grid, tmp_path: Path) -> None:
    name = f"leaver-{token_hex(3)}"
    log = f"{name}-1"
    home = grid.home(tmp_path, name)
    async with Guest(name, load(home.path)) as guest:
        await guest.close(log)
        assert await guest.closed(log)
        await guest.ledger.register_log(log)
        await guest.send()
        await guest.come()
        stolen = {
            path: path.read_bytes()
            for path in (guest.settings.mqtt.certificate, guest.settings.mqtt.key)
            if path
        }
        await stack(grid, home, "disconnect", name)
        with pytest.raises(LedgerUnavailable, match="access denied"):
            await guest.ledger.head(log)
        with pytest.raises(LedgerUnavailable, match="access denied"):
            await guest.ledger.register_log(f"{name}-2")  # as an administrator
        await refused(lambda: guest.closed(log), BalError)
        await refused(guest.send, TopicAuthorizationFailedError)
        assert [right for right in guest.kafka.rights() if right.principal == name] == []
        assert [path for path in stolen if path.exists()] == []
        for path, content in stolen.items():
            path.write_bytes(content)
        await refused(guest.come, aiomqtt.MqttError)
        for path in stolen:
            path.unlink()
    await stack(grid, home, "disconnect", name)  # again is no harm

    await stack(grid, home, "connect", "--home", str(home.path), "--name", name)
    async with Guest(name, load(home.path)) as guest:
        assert await guest.closed(log)
        assert log in await guest.ledger.logs()
        await guest.send()
        await guest.come()
