"""Against the embedded broker over TLS, and with a sender that is killed."""

import asyncio
import hashlib
import json
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from bal.core.errors import Misconfigured, Refused, TooLarge
from bal.core.ownership import source_rights
from bal.core.source import Source
from bal.core.topics import Rights, accepted_topic
from bal.ingest.broker import BrokerSettings, EmbeddedBroker
from bal.pki import Authority
from bal.simulate.dispatch import Simulation, run
from bal.simulate.mqtt import Credentials, MqttDoor
from bal.simulate.outbox import Outbox
from bal.simulate.plan import DsoPlan, PmuPlan
from bal.simulate.receipts import read_receipts
from bal.simulate.sender import SenderSettings
from tests.unit.house.tree import ROOT

PMU = PmuPlan("pmu-a", 5, 2, 1_793_232_000_000_000)
DSO = DsoPlan("dso-a", 5, 12, 1_793_232_000, meters_per_document=4)
QUICK = SenderSettings(window=16, retry=0.3, reconnect=0.01, reconnect_most=0.1, drain=20)


class Service:
    """Takes documents from the broker and answers them, all but those it is told to forget."""

    def __init__(self, forget: int = 0, wanted: int = 1) -> None:
        self.taken: Counter[str] = Counter()
        self.topics: set[str] = set()
        self.broker: EmbeddedBroker | None = None
        self.forget = forget
        self.wanted = wanted
        self.enough = asyncio.Event()
        """Set once `wanted` different messages have come."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, identity: str, topic: str, body: bytes) -> bool:
        digest = hashlib.sha256(body).hexdigest()
        self.taken[digest] += 1
        self.topics.add(topic)
        if len(self.taken) >= self.wanted:
            self.enough.set()
        if self.taken.total() > self.forget:
            task = asyncio.create_task(self._answer(identity, digest))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return True

    async def refuse(self, identity: str, topic: str, body: bytes, reason: str) -> None:
        raise AssertionError(reason)

    async def _answer(self, source: str, digest: str) -> None:
        assert self.broker
        told = {"source": source, "digest": digest, "accepted": 1}
        await self.broker.send(accepted_topic(source), json.dumps(told).encode())


def rights(identity: str) -> Rights:
    return source_rights(Source(name=identity, lane="one"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = Authority.create(tmp_path_factory.mktemp("pki"))
    authority.issue_server()
    for name in ("pmu-a", "dso-a"):
        authority.issue_client(name)
    return authority


def broker(authority: Authority, service: Service, port: int = 0) -> EmbeddedBroker:
    certificate, key = authority.server_paths
    settings = BrokerSettings(authority.certificate_path, certificate, key, port=port)
    found = EmbeddedBroker(settings, rights_of=rights, is_revoked=lambda serial: False, intake=service)
    service.broker = found
    return found


def door(authority: Authority, source: str, port: int, identity: str = "") -> MqttDoor:
    certificate, key = authority.client_paths(identity or source)
    credentials = Credentials(authority.certificate_path, certificate, key)
    return MqttDoor(source, "127.0.0.1", port, credentials, identifier=f"{source}-1", window=16)


async def test_documents_and_frames_arrive_and_their_receipts_come_back(authority: Authority) -> None:
    service = Service(forget=5)
    async with broker(authority, service) as open_broker:
        for plan in (DSO, PMU):
            way = door(authority, plan.source, open_broker.port)
            progress = await run(Simulation(plan, 30, 0, settings=QUICK), way)
            assert (progress.accepted, progress.pending) == (30, 0)
    assert set(service.taken) == {plan.message(n).digest for plan in (DSO, PMU) for n in range(30)}
    assert service.topics == {"bal/dso-a/cim", "bal/pmu-a/pmu/pmu-0001", "bal/pmu-a/pmu/pmu-0002"}


async def test_a_broker_that_went_away_is_found_again(authority: Authority) -> None:
    service = Service()
    async with broker(authority, service) as first:
        port = first.port
        sending = asyncio.create_task(
            run(Simulation(DSO, 60, 0.02, settings=QUICK), door(authority, "dso-a", port))
        )
        await service.enough.wait()
    async with broker(authority, service, port):
        progress = await sending
    assert (progress.accepted, progress.pending) == (60, 0)
    assert progress.connections >= 2


async def test_a_document_that_no_broker_takes_is_told(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bal.simulate.mqtt.MQTT_MESSAGE_BYTES", 1000)
    async with broker(authority, Service()) as open_broker:
        with pytest.raises(TooLarge, match="fewer meters"):
            await run(Simulation(DSO, 1, 0, settings=QUICK), door(authority, "dso-a", open_broker.port))


async def test_a_foreign_certificate_cannot_read_receipts(authority: Authority) -> None:
    async with broker(authority, Service()) as open_broker:
        way = door(authority, "dso-a", open_broker.port, identity="pmu-a")
        with pytest.raises(Misconfigured, match="receipts"):
            await run(Simulation(DSO, 1, 0, settings=QUICK), way)


def test_no_other_machine_and_no_missing_file(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(Refused):
        MqttDoor("dso-a", "10.0.0.1", 8883, Credentials(), identifier="x")
    with pytest.raises(Misconfigured):
        MqttDoor("dso-a", "127.0.0.1", 8883, Credentials(tmp_path / "missing.pem"), identifier="x")
    assert "secret" not in repr(Credentials(password="secret"))


async def test_a_killed_sender_goes_on(authority: Authority, tmp_path: Path) -> None:
    outbox, record = tmp_path / "outbox", tmp_path / "receipts.jsonl"
    certificate, key = authority.client_paths("dso-a")
    service = Service(forget=10, wanted=12)

    async def start(port: int) -> asyncio.subprocess.Process:
        options = (
            f"dso --source dso-a --meters 12 --meters-per-document 4 --documents 45 --interval-seconds 0.02 --seed 5 \
            --broker 127.0.0.1:{port} --cert {certificate} --key {key} --ca {authority.certificate_path} --json \
            --outbox {outbox} --receipts {record} --retry-seconds 0.5 --window 6"
        )
        program = "from bal.cli.simulate import app; app()"
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, *options.split(), stdout=asyncio.subprocess.PIPE, cwd=ROOT
        )

    async with broker(authority, service) as open_broker:
        first = await start(open_broker.port)
        await service.enough.wait()
        first.send_signal(signal.SIGKILL)
        await first.wait()
        second = await start(open_broker.port)
        printed, _ = await second.communicate()
    assert second.returncode == 0
    plan, lines = read_receipts(record)
    assert isinstance(plan, DsoPlan)
    assert {line.number for line in lines} == set(range(45))
    assert all(line.digest == plan.message(line.number).digest for line in lines)
    assert set(service.taken) == {line.digest for line in lines}
    told = json.loads(printed)
    assert told["plan"] == plan.to_json()
    assert told["pending"] == 0
    assert Outbox(outbox, plan).waiting() == []
