"""A BAL under load on the real servers: its service, a sender with an outbox, a subscriber of what is certified."""

import asyncio
import json
import random
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx

from bal.bootstrap.adapters import open_store
from bal.bootstrap.identities import authority
from bal.bootstrap.kafka import kafka_access
from bal.config import load
from bal.gateway.clients import Clients
from bal.gateway.scopes import INGEST
from bal.keys import Keys
from bal.publish.kafka import KafkaAccess, certified_topic
from bal.simulate.checker import sent_by_record
from bal.system import SystemClock
from tests.cassandra_field import admin, connected
from tests.checks.books import check_audit, rows, sources
from tests.checks.homes import register
from tests.checks.processes import Command, all_ended, free_port
from tests.checks.stream_books import check_source
from tests.grid import Grid
from tests.patience import PATIENCE
from tests.streams import Stream

LEASE = 8.0
ENDLESS = 100_000
"""More documents than are sent before the last fault."""
READER = "faults-reader"
WINDOW = 8
"""Most documents a sender has under way."""


async def until(happened: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Return once `happened`; it is called in a thread."""
    end = time.monotonic() + seconds
    while not await asyncio.to_thread(happened):
        assert time.monotonic() < end, f"never happened: {what}"
        await asyncio.sleep(0.3)


class Sender:
    """A fleet of meters of one source that sends until it is stopped; it keeps what has no receipt."""

    def __init__(self, folder: Path, source: str, *door: str) -> None:
        """Begin to send by a door: options of `bal simulate`."""
        self.source = source
        self._folder = folder
        self._door = door
        self._command = self._start(ENDLESS)

    @property
    def record(self) -> Path:
        """The file in which it writes down its receipts."""
        return self._folder / f"{self.source}.receipts"

    def documents(self) -> int:
        """Return how many documents have a receipt."""
        return max(0, self.record.read_bytes().count(b"\n") - 1) if self.record.exists() else 0

    def readings(self) -> int:
        """Return how many readings the receipts say were accepted."""
        lines = self.record.read_bytes().rpartition(b"\n")[0].splitlines()[1:]
        return sum(json.loads(line)["receipt"]["accepted"] for line in lines)

    async def goes_on(self, documents: int = 1) -> None:
        """Return once so many more documents have a receipt than now."""
        wanted = self.documents() + documents
        await until(lambda: self.documents() >= wanted, f"{wanted} documents of {self.source} with a receipt")

    async def drain(self) -> None:
        """Kill it, start it again to send what has no receipt and nothing new; return once all is answered."""
        self._command.kill()
        self._command = self._start(0)
        code, output = await asyncio.to_thread(self._command.wait)
        assert code == 0, output
        answer = json.loads(output)
        assert answer["rejected"] == answer["pending"] == 0, answer

    def end(self) -> None:
        """Kill it if it runs."""
        self._command.__exit__()

    def _start(self, documents: int) -> Command:
        outbox = self._folder / f"{self.source}.outbox"
        return Command(
            self._folder,
            self._folder / f"{self.source}.log",
            "simulate", "dso", "--source", self.source, "--meters", "3", "--interval-seconds", "0.3",
            "--window", str(WINDOW), "--documents", str(documents), "--retry-seconds", "2", *self._door,
            "--drain-seconds", str(PATIENCE), "--json", "--outbox", str(outbox), "--receipts", str(self.record),
        )  # fmt: skip


class Plant:
    """One BAL on the grid."""

    def __init__(self, grid: Grid, folder: Path, name: str) -> None:
        self.grid = grid
        self.folder = folder
        self.home = grid.home(folder, name)
        self.url = f"https://127.0.0.1:{free_port()}"
        path = self.home.path / "bal.toml"
        gateway = f"port = {self.url.rpartition(':')[2]}\ntoken_seconds = 86400\n"
        lane = f"\n[lane]\nlease_seconds = {LEASE}\nbatch_leaves = 64\nbatch_window_ms = 500\n"
        path.write_text(path.read_text().replace("port = 0\n", gateway) + lane)
        self.settings = load(self.home.path)
        self.service: Command | None = None
        self.chance = random.Random(50)

    async def register(self, *sources: str) -> None:
        """Register sources that one subscriber may read on Kafka."""
        await register(self.home, *sources, outputs=("kafka",), readers=(READER,))
        authority(self.home).issue_client(READER, replace=True)

    def by_mqtt(self, source: str) -> Sender:
        """Return a sender of a source to the field broker."""
        ca = authority(self.home)
        certificate, key = ca.issue_client(source, replace=True)
        door = ("--broker", self.grid.broker(), "--cert", str(certificate), "--key", str(key))
        return Sender(self.folder, source, *door, "--ca", str(ca.certificate_path))

    async def by_https(self, source: str) -> Sender:
        """Return a sender of a source to the gateway of the running service."""
        ca, file = authority(self.home).certificate_path, self.folder / f"{source}.token"
        secret = Clients(self.home.clients, SystemClock()).add(source, [INGEST], [source])
        async with httpx.AsyncClient(
            verify=ssl.create_default_context(cafile=ca), timeout=PATIENCE
        ) as client:
            answer = await client.post(
                f"{self.url}/oauth/token", data={"grant_type": "client_credentials"}, auth=(source, secret)
            )
        file.write_text(answer.raise_for_status().json()["access_token"])
        return Sender(self.folder, source, "--url", self.url, "--token-file", str(file), "--ca", str(ca))

    async def run(self) -> None:
        """Start `bal run` unless it runs; return once it is ready."""
        if self.service is not None and self.service.process.poll() is None:
            return
        log = self.folder / f"{self.home.path.name}-service.log"
        self.service = Command(self.home.path, log, "run", "--json")
        await asyncio.to_thread(self.service.first_line)

    async def kill(self) -> None:
        """Kill the service as `kill -9` does."""
        assert self.service is not None
        self.service.kill()
        await all_ended(self.home.path)

    async def end_lease(self) -> None:
        """Take the lease of a killed worker away, as the seconds do that others wait for."""
        mine = replace(admin(self.grid.real), keyspace=self.settings.cassandra.keyspace)
        async with connected(mine) as session:
            await session.apply("DELETE FROM leases WHERE lane = ? IF EXISTS", (self.settings.lanes[0],))

    def is_running(self) -> bool:
        """Tell whether the service that was started last still runs."""
        return self.service is not None and self.service.process.poll() is None

    def stream(self, source: str) -> Stream:
        """Return what the subscriber reads of a source."""
        mine = kafka_access(self.settings.kafka)
        certificate, key = authority(self.home).client_paths(READER)
        return Stream(KafkaAccess(mine.servers, mine.ca, certificate, key), certified_topic(source))

    async def settled(self) -> None:
        """Return once every stored batch is published."""
        async with open_store(self.home, self.settings, read_only=True) as opened:
            end = time.monotonic() + PATIENCE
            while left := [
                seq for log in await opened.store.logs() for seq in await opened.store.unpublished(log)
            ]:
                assert time.monotonic() < end, f"{len(left)} batches are not published"
                assert self.is_running()
                await asyncio.sleep(0.3)

    async def check(self, *senders: Sender) -> int:
        """End them all, then hold the books; return how many readings there are."""
        for sender in senders:
            await sender.drain()
        await self.settled()
        key, count = Keys.open(self.home.keys).pseudonyms[0], 0
        for sender in senders:
            sent = sent_by_record(sender.record)
            assert sent.certain
            count += await check_source(self.home, sent, self.stream(sender.source), key)
        report = await check_audit(self.home)
        assert report.readings == await self._stored()
        return count

    async def _stored(self) -> int:
        """Return how many readings there are, whatever their source and the test that sent them."""
        return sum([len(await rows(self.home, each, history=True)) for each in await sources(self.home)])

    def close(self) -> None:
        """End the service."""
        if self.service is not None:
            self.service.__exit__()
