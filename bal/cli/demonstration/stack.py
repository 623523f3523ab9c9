"""The real servers: a home connected to a stack under a name of its own, a subscriber, an auditor."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from bal.bootstrap.identities import authority
from bal.bootstrap.kafka import kafka_access
from bal.bootstrap.scd import cassandra_access
from bal.cli.demonstration.cleaning import Made, clean
from bal.cli.demonstration.world import Failed, Say, Tampered
from bal.cli.stack import write_connected
from bal.config import GatewaySettings, Settings, load
from bal.core.source import Source
from bal.core.value import canonical_value
from bal.home import Home
from bal.publish.kafka import certified_topic
from bal.stack.cassandra_guests import administrator
from bal.stack.layout import Layout
from bal.stack.server import Guest
from bal.stack.servers import servers
from bal.stack.stack import Stack
from bal.store.cassandra.session import Session
from bal.store.cassandra.strips import Partition, Strip, encode_readings

_PUBLISHED_SECONDS = 120.0


class OnStack:
    """A home on Fabric, Cassandra, Kafka and Mosquitto; the regulator's home lies in it."""

    def __init__(self, home: Home, layout: Layout) -> None:
        self.home = home
        self.auditor = home.path / "regulator"
        name = f"demo-{secrets.token_hex(3)}"
        self._bal, self._subscriber, self._regulator = name, f"{name}-shop", f"{name}-regulator"
        self.dso, self.pmu = f"{name}-dso", f"{name}-pmu"
        self._stack = Stack(layout, servers(()))
        self._connected = False

    async def prepare(self, say: Say) -> Settings:
        """Start the stack unless it runs; connect the home and the regulator's."""
        if self.home.path.exists() and any(self.home.path.iterdir()):
            message = "this home is in use; name an empty folder"
            raise Failed(message)
        await asyncio.to_thread(self._up, say)
        say(f"connecting a home in {self.home.path} as {self._bal}, and the regulator's as {self._regulator}")
        self._connected = True
        await asyncio.to_thread(write_connected, self._stack, Guest(self._bal, "dso"), self.home)
        auditor = Guest(self._regulator, "regulator", audits=self._bal)
        await asyncio.to_thread(write_connected, self._stack, auditor, Home(self.auditor))
        return load(self.home.path).model_copy(update={"gateway": GatewaySettings(port=0)})

    def _up(self, say: Say) -> None:
        path = self._stack.layout.path
        if self._stack.facts().ports and all(part.ok for part in self._stack.status()):
            say(f"the stack in {path} runs: Fabric, Cassandra, Kafka, Mosquitto")
            return
        say(f"starting the stack in {path}; it goes on running until `bal stack down --dir {path}`")
        self._stack.up(say)

    def source(self, name: str, lane: str) -> Source:
        """Return a source that goes out to Kafka, to the subscriber."""
        return Source(name=name, lane=lane, outputs=("kafka",), readers=(self._subscriber,))

    async def published(self, counts: Mapping[str, int]) -> list[dict[str, Any]]:
        """Read from Kafka as the subscriber, until as much as was certified has come."""
        import json

        from aiokafka import AIOKafkaConsumer

        access = kafka_access(load(self.home.path).kafka)
        tls = access.tls()
        tls.load_cert_chain(*authority(self.home).issue_client(self._subscriber))
        consumer = AIOKafkaConsumer(
            *map(certified_topic, counts),
            bootstrap_servers=list(access.servers),
            group_id=self._subscriber,
            security_protocol="SSL",
            ssl_context=tls,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        found: dict[str, dict[str, Any]] = {}  # at least once: by address
        end = time.monotonic() + _PUBLISHED_SECONDS
        await consumer.start()
        try:
            while len(found) < sum(counts.values()) and time.monotonic() < end:
                for records in (await consumer.getmany(timeout_ms=1000)).values():
                    for record in records:
                        certificate = json.loads(record.value)
                        found[certificate["address"]] = certificate
        finally:
            await consumer.stop()
        return list(found.values())

    def trusted(self, anchors: Path) -> list[str]:
        """Trust the regulator's own peer."""
        del anchors
        return ["--home", str(self.auditor)]

    @asynccontextmanager
    async def tampering(self) -> AsyncIterator[Tampered]:
        """Change a value in Cassandra, as its administrator can."""
        keyspace = cassandra_access(load(self.home.path)).keyspace
        ports = self._stack.facts().ports["cassandra"]
        session = await Session.connect(administrator(self._stack.layout, ports))
        columns = (*Partition._fields, *Strip._fields)
        try:
            row = await session.one(f"SELECT {', '.join(columns)} FROM {keyspace}.readings LIMIT 1")  # noqa: S608
            if row is None:
                message = "Cassandra holds no reading"
                raise Failed(message)
            width = len(Partition._fields)
            partition, strip = Partition(*row[:width]), Strip(*row[width:])
            key = (*partition, *strip.key)
            its = " AND ".join(f"{name} = ?" for name in columns[: len(key)])
            change = f"UPDATE {keyspace}.readings SET contents = ? WHERE {its}"  # noqa: S608
            (address, reading), *others = strip.readings(partition)
            after = canonical_value(str(Decimal(reading.value) + 1))
            altered = encode_readings([reading._replace(value=after), *(each for _, each in others)])
            await session.write(change, (altered, *key))
            try:
                # A row that is not its leaf's leaves the place of its leaf without a row.
                yield Tampered(str(address), reading.value, after, "missing")
            finally:
                await session.write(change, (strip.contents, *key))
        finally:
            await session.close()

    async def clean(self, say: Say) -> None:
        """Take away keyspace, topics, rights and certificates."""
        if self._connected:
            say("\ncleaning up: keyspace, topics, rights, certificates")
            made = Made(self._bal, self._regulator, others=(self._subscriber,), sources=(self.dso, self.pmu))
            for left in await clean(self._stack, made):
                say(f"not taken away: {left}")
            say(f"What stays: what was anchored of the log {self._bal}-1 on the ledger.")
