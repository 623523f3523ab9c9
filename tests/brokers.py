"""An embedded broker with a CA of its own, and clients of every kind for it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import aiomqtt

from bal.core.ownership import Ownership
from bal.core.source import Source
from bal.core.topics import ALL_RIGHTS, Rights, TopicMapping
from bal.ingest import Accounts, BrokerSettings, EmbeddedBroker, EmbeddedInbox, Intake
from bal.ingest.broker import MessageIntake
from bal.pki import Authority, RevocationList
from tests.patience import PATIENCE

PASSWORD = "correct horse battery"
SOURCES = [
    Source(
        name="dso-a",
        lane="lane-1",
        topics=(TopicMapping(topic="field/a/+/frames", form="pmu", device_level=2),),
    ),
    Source(name="dso-b", lane="lane-1"),
]


@cache
def _account() -> str:
    """Return the accounts' file once for all tests: hashing is slow on purpose."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "accounts"
        Accounts(path).put("dso-b", PASSWORD)
        return path.read_text()


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is asked has no event
            await asyncio.sleep(0.01)


class Arrivals:
    """An intake that keeps what arrives."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, bytes]] = []
        self.refused: list[tuple[str, str, bytes, str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.arrived = asyncio.Event()

    async def take(self, identity: str, topic: str, body: bytes) -> bool:
        await self.gate.wait()
        self.taken.append((identity, topic, body))
        self.arrived.set()
        return True

    async def refuse(self, identity: str, topic: str, body: bytes, reason: str) -> None:
        self.refused.append((identity, topic, body, reason))

    async def until(self, body: bytes) -> None:
        """Wait until a message with this body is there."""
        async with asyncio.timeout(PATIENCE):
            while not any(taken[2] == body for taken in self.taken):
                self.arrived.clear()
                await self.arrived.wait()


class Field:
    """A broker, its authority, its accounts and its sources."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority.create(directory / "pki")
        self.certificate, self.key = self.authority.issue_server()
        self.accounts = Accounts(directory / "accounts")
        (directory / "accounts").write_text(_account())
        self.ownership = Ownership(SOURCES)
        self.grants: dict[str, Rights] = {"bal-service": ALL_RIGHTS}
        self.revocations = RevocationList(self.authority.certificate_path, self.authority.crl_path)
        for name in ("dso-a", "bal-service"):
            self.authority.issue_client(name)
        self.broker = EmbeddedBroker(
            self.settings(),
            rights_of=lambda name: self.grants.get(name) or self.ownership.rights_of(name),
            is_revoked=self.revocations.is_revoked,
            accounts=self.accounts,
        )

    def settings(self, connections: int = 100) -> BrokerSettings:
        return BrokerSettings(
            self.authority.certificate_path, self.certificate, self.key, connections=connections
        )

    def inbox(self, limit: int = 1 << 26) -> EmbeddedInbox:
        """Return an inbox that gets everything."""
        inbox = EmbeddedInbox(self.broker.send, limit)
        self.broker.serve(Intake(lambda: self.ownership, lambda _: inbox, self.broker.send))
        return inbox

    def arrivals(self) -> Arrivals:
        arrivals = Arrivals()
        intake: MessageIntake = arrivals
        self.broker.serve(intake)
        return arrivals

    def tls(self, name: str | None, authority: Authority | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority.certificate_path))
        if name is not None:
            context.load_cert_chain(*(authority or self.authority).client_paths(name))
        return context

    def client(
        self,
        name: str | None = "dso-a",
        *,
        tls: ssl.SSLContext | None = None,
        identifier: str | None = None,
        clean: bool = True,
        user: tuple[str, str] | None = None,
        will: aiomqtt.Will | None = None,
        keepalive: int = 60,
    ) -> aiomqtt.Client:
        return aiomqtt.Client(
            "127.0.0.1",
            self.broker.port,
            tls_context=tls or self.tls(name),
            identifier=identifier,
            clean_session=clean,
            username=user[0] if user else None,
            password=user[1] if user else None,
            will=will,
            keepalive=keepalive,
            timeout=PATIENCE,
        )


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[Field]:
    """Run a broker for as long as the context lasts."""
    field = Field(directory)
    async with field.broker:
        yield field
