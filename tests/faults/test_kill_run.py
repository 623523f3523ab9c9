"""`kill -9` of `bal run` at random moments under load: what had a receipt is there, certified, published, shown once."""

import asyncio
import json
import random
import ssl
from pathlib import Path

import httpx
import pytest

from bal.bootstrap.identities import authority
from bal.gateway.clients import Clients
from bal.gateway.scopes import INGEST
from bal.home import Home
from bal.keys import Keys
from bal.simulate.checker import sent_by_record
from bal.system import SystemClock
from tests.checks.books import check_books
from tests.checks.homes import register
from tests.checks.processes import Command, all_ended, bal, free_port
from tests.checks.traces import in_bytes, in_folder
from tests.counts import counts, figure, part
from tests.patience import PATIENCE

KILLS = 50
ENDLESS = 100_000
"""More documents than are sent before the last kill."""


async def _prepare(home: Home) -> str:
    """Register sources and their identities; return the secret of the one that sends by HTTP."""
    await register(home, "dso-a", "dso-web", "pmu-a")
    authority(home).issue_client("dso-a")
    authority(home).issue_client("pmu-a")
    clients = Clients(home.clients, SystemClock())
    return clients.add("web-server", [INGEST], ["dso-web"])


async def _token(home: Home, secret: str, url: str) -> str:
    """Return a token by the client credentials grant."""
    tls = ssl.create_default_context(cafile=authority(home).certificate_path)
    async with httpx.AsyncClient(verify=tls, timeout=PATIENCE) as client:
        answer = await client.post(
            f"{url}/oauth/token", data={"grant_type": "client_credentials"}, auth=("web-server", secret)
        )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


class Senders:
    """Three senders, each a process of its own with an outbox and a record of its receipts."""

    def __init__(self, home: Home, folder: Path, mqtt: int, url: str, token: str) -> None:
        self._folder = folder
        self._ca = authority(home)
        (folder / "token").write_text(token)
        self._broker, self._web = f"127.0.0.1:{mqtt}", ("--url", url, "--token-file", str(folder / "token"))
        self.commands: dict[str, Command] = {}
        self._start(documents=ENDLESS, seconds=ENDLESS / 10)

    def _start(self, *, documents: int, seconds: float) -> None:
        fleet = ("--meters", "12", "--interval-seconds", "0.1", "--documents", str(documents))
        frames = ("--devices", "1", "--rate", "5", "--seconds", str(seconds))
        broker = ("--broker", self._broker)
        self.commands = {
            "dso-a": self._sender("dso-a", "dso", *fleet, *broker, *self._certificate("dso-a")),
            "pmu-a": self._sender("pmu-a", "pmu", *frames, *broker, *self._certificate("pmu-a")),
            "dso-web": self._sender("dso-web", "dso", *fleet, "--seed", "2", *self._web),
        }

    def _certificate(self, name: str) -> tuple[str, ...]:
        certificate, key = self._ca.client_paths(name)
        return "--cert", str(certificate), "--key", str(key)

    def _sender(self, source: str, kind: str, *options: str) -> Command:
        outbox, record = self._folder / f"{source}.outbox", self.record(source)
        return Command(
            self._folder,
            self._folder / f"{source}.log",
            "simulate", kind, "--source", source, "--ca", str(self._ca.certificate_path), "--retry-seconds", "2",
            "--drain-seconds", str(PATIENCE), "--json", "--outbox", str(outbox), "--receipts", str(record), *options,
        )  # fmt: skip

    def record(self, source: str) -> Path:
        """Return the file in which a sender writes down its receipts."""
        return self._folder / f"{source}.receipts"

    def receipts(self) -> dict[str, int]:
        """Return how many bytes of receipts each sender has written down."""
        paths = {source: self.record(source) for source in self.commands}
        return {source: path.stat().st_size if path.exists() else 0 for source, path in paths.items()}

    async def under_load(self, before: dict[str, int]) -> None:
        """Wait until every sender has got receipts since `before`: all are at work."""
        async with asyncio.timeout(PATIENCE):
            while any(after <= before[source] for source, after in self.receipts().items()):
                assert all(command.process.poll() is None for command in self.commands.values())
                await asyncio.sleep(0.02)

    async def drain(self) -> None:
        """Kill the senders too; start them again to send what has no receipt, and nothing new."""
        for command in self.commands.values():
            command.kill()
        self._start(documents=0, seconds=0)
        for source, command in self.commands.items():
            code, output = await asyncio.to_thread(command.wait)
            assert code == 0, (source, output)
            answer = json.loads(output)
            assert answer["rejected"] == answer["pending"] == 0, source


def service(home: Home, folder: Path, mqtt: int, gateway: int) -> Command:
    """Start `bal run` and wait until it is ready."""
    command = Command(
        home.path,
        folder / "service.log",
        "run", "--mqtt-port", str(mqtt), "--gateway-port", str(gateway), "--json",
        BAL_LOG__LEVEL="debug",
        BAL_GATEWAY__TOKEN_SECONDS="86400",
        BAL_LANE__BATCH_LEAVES="64",
        BAL_LANE__BATCH_WINDOW_MS="20",
    )  # fmt: skip
    command.first_line()
    return command


@pytest.mark.hammer
@pytest.mark.timeout(600 + 20 * part(KILLS))
async def test_kill_9_of_the_service_under_load(tmp_path: Path) -> None:
    home, chance, kills = Home(tmp_path / "home"), random.Random(50), counts(KILLS)
    secret = await _prepare(home)
    mqtt, gateway = free_port(), free_port()
    running = service(home, tmp_path, mqtt, gateway)
    url = f"https://127.0.0.1:{gateway}"
    senders = Senders(home, tmp_path, mqtt, url, await _token(home, secret, url))
    before = dict.fromkeys(senders.commands, 1000)  # the plan is in the file already
    try:
        for number in range(kills):
            if number % 5 != 4:  # the fifth comes while the senders may not be back yet
                await senders.under_load(before)
            await asyncio.sleep(chance.uniform(0, 1.5))
            running.kill()
            before = senders.receipts()
            await all_ended(home.path)
            running = service(home, tmp_path, mqtt, gateway)
        await senders.under_load(before)
        await senders.drain()
    finally:
        for command in senders.commands.values():
            command.__exit__()
        running.stop()
    await all_ended(home.path)
    sent = [sent_by_record(senders.record(name)) for name in senders.commands]
    assert all(one.certain for one in sent)
    count = await check_books(home, sent, key=Keys.open(home.keys).pseudonyms[0], sample=7)
    meters = {one.identifier for each in sent for one in each.plan.expected(0)[::40]}
    assert in_folder(home.path, meters) == []
    for log in tmp_path.glob("*.log"):
        content = log.read_bytes()
        assert list(in_bytes(content, log.name, meters)) == []
    shown = bal(home.path, "readings", "--source", "dso-a", "--json")
    lines = [json.loads(line) for line in shown.stdout.splitlines()]
    assert len({line["address"] for line in lines}) == len(lines)
    figure(f"{kills} kills, {count} readings, {sum(len(one.certain) for one in sent)} receipts")
