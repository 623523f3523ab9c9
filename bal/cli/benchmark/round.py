"""One round of the bench: documents sent by MQTT to `bal run`, waited for on Kafka."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bal.bootstrap.adapters import read_ledger
from bal.cli.benchmark.documents import document, moment
from bal.cli.benchmark.operator import Operator
from bal.cli.benchmark.receiving import Receiving
from bal.cli.benchmark.sending import Sending
from bal.cli.benchmark.stack import READER, BenchStack
from bal.cli.benchmark.usage import cpu_seconds, machine_busy
from bal.cli.control import ask, control
from bal.config import load
from bal.core.errors import Unavailable
from bal.publish.kafka.access import library
from bal.publish.kafka.topics import certified_topic

_READY_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent in a round, and how the lane takes it."""

    name: str
    leaves: int
    """Leaves of a full batch."""
    documents: int
    meters: int
    """Readings of a document."""
    anchors: int = 64
    """Batches a ledger transaction may anchor."""
    window: int = 32
    """Documents without a receipt."""
    rate: float = 0.0
    """Readings a second; 0: as fast as they are taken."""
    first: int = 0
    """Number of the first document."""

    @property
    def readings(self) -> int:
        """Return the readings of all documents."""
        return self.documents * self.meters


class Round:
    """Measures loads on one stack."""

    def __init__(self, stack: BenchStack, *, workers: int, seconds: float) -> None:
        """`seconds`: how long a load may take before it is given up."""
        self._stack = stack
        self._workers = workers
        self._seconds = seconds

    async def measure(self, operator: Operator, load_: Load, profile: Path | None = None) -> dict[str, Any]:
        """Return the figures of one load. `Unavailable` when it takes too long."""
        with self._service(operator, load_, profile) as service:
            async with control(operator.home) as client:
                source = {"name": operator.source, "readers": [READER]}
                await ask(client, "POST", "/sources", json=source)
            topic = certified_topic(operator.source)
            receiving = Receiving(library("confluent_kafka"), self._stack.reader(), topic)
            receiving.start()
            try:
                return await self._figures(operator, load_, service.pid, receiving)
            finally:
                receiving.close()

    async def _figures(
        self, operator: Operator, load_: Load, service: int, receiving: Receiving
    ) -> dict[str, Any]:
        numbers = range(load_.first, load_.first + load_.documents)
        documents = [document(number, load_.meters) for number in numbers]
        moments = [moment(number).encode() for number in numbers]
        sending = Sending(
            *self._stack.broker(), self._stack.tls(operator.source), operator.source, window=load_.window
        )
        transactions, ledger = await self._transactions(operator), self._stack.ledger_bytes()
        used, busy = self._used(service), machine_busy()
        pause = load_.meters / load_.rate if load_.rate else 0.0
        try:
            async with asyncio.timeout(self._seconds):
                await sending.run(documents, pause)
                await self._all_come(receiving, moments, load_.readings)
        except TimeoutError:
            message = f"not all of {load_.readings} readings came in {self._seconds:.0f} s"
            raise Unavailable(message, subject=load_.name, remedy="ask for fewer readings") from None
        arrivals = [
            (when - sent, when, count)
            for each, sent in zip(moments, sending.sent, strict=True)
            for when, count in receiving.arrived[each]
        ]
        after, busy = self._used(service), machine_busy() - busy
        kilo = load_.readings / 1000
        seconds = max(when for _, when, _ in arrivals) - sending.sent[0]
        blocks, stored = (now - then for now, then in zip(self._stack.ledger_bytes(), ledger, strict=True))
        cpu = {name: round((after[name] - used[name]) / kilo, 3) for name in used}
        return {
            "load": load_.name,
            "cassandra_sync": self._stack.sync,
            "batch_leaves": load_.leaves,
            "anchors_per_transaction": load_.anchors,
            "readings": load_.readings,
            "readings_per_document": load_.meters,
            "sent_per_second": round(load_.rate) or None,
            "seconds": round(seconds, 3),
            "certified_readings_per_second": round(load_.readings / seconds, 1),
            "sent_to_receipt_p50_ms": round(1000 * sorted(sending.receipted)[len(sending.receipted) // 2], 1),
            "sent_to_kafka_p50_ms": round(1000 * quantile(arrivals, 0.5), 1),
            "sent_to_kafka_p99_ms": round(1000 * quantile(arrivals, 0.99), 1),
            "transactions_per_1000_readings": round(
                (await self._transactions(operator) - transactions) / kilo, 3
            ),
            "cpu_seconds_per_1000_readings": cpu,
            "cpu_seconds_per_1000_readings_all": round(sum(cpu.values()), 3),
            "cpu_would_allow_per_second": round(1000 * (os.cpu_count() or 1) / max(sum(cpu.values()), 0.001)),
            "cpu_of_others_seconds": round(busy - sum(after.values()) + sum(used.values()), 1),
            "ledger_block_bytes_per_1000_readings": round(blocks / kilo),
            "ledger_bytes_per_1000_readings": round(stored / kilo),
        }

    async def _all_come(self, receiving: Receiving, moments: list[bytes], readings: int) -> None:
        while sum(map(receiving.count, moments)) < readings:  # noqa: ASYNC110 - they come in on another thread
            await asyncio.sleep(_POLL_SECONDS)

    def _used(self, service: int) -> dict[str, float]:
        own = os.times()
        return {
            "service": cpu_seconds(service),
            **self._stack.cpu(),
            "bench": own.user + own.system,
        }

    async def _transactions(self, operator: Operator) -> int:
        """Return how many ledger transactions anchored the log of a BAL."""
        settings = load(operator.home.path)
        async with read_ledger(operator.home, settings) as opened:
            return len({each.tx_id async for each in opened.ledger.anchors(operator.log)})

    @contextmanager
    def _service(
        self, operator: Operator, load_: Load, profile: Path | None
    ) -> Iterator["subprocess.Popen[str]"]:
        environment = {
            **os.environ,
            "BAL_HOME": str(operator.home.path),
            "BAL_WORKERS": str(self._workers),
            "BAL_LANE__BATCH_LEAVES": str(load_.leaves),
            "BAL_LANE__ANCHORS_PER_TRANSACTION": str(load_.anchors),
        }
        how = [] if profile is None else ["-m", "cProfile", "-o", str(profile.absolute())]
        command = [sys.executable, *how, "-m", "bal", "run", "--json"]
        with subprocess.Popen(  # noqa: S603 - this program
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as running:
            try:
                assert running.stdout is not None
                if not json.loads(running.stdout.readline() or "{}").get("ready"):
                    message = "`bal run` does not start"
                    raise Unavailable(message, subject=load_.name, remedy="see what it printed")
                yield running
            finally:
                running.send_signal(signal.SIGTERM)
                try:
                    running.wait(_READY_SECONDS)
                except subprocess.TimeoutExpired:
                    running.kill()


def quantile(arrivals: list[tuple[float, float, int]], part: float) -> float:
    """Return the delay that `part` of all readings stayed under; arrivals are (delay, when, readings)."""
    left = part * sum(count for _, _, count in arrivals)
    for delay, _, count in sorted(arrivals):
        left -= count
        if left <= 0:
            return delay
    return max(delay for delay, _, _ in arrivals)
