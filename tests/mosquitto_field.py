"""The real Mosquitto with sources, accounts and rights, and clients of every kind for it."""

import asyncio
import ssl
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiomqtt

from bal.core.source import Source
from bal.ingest import BrokerAccounts, BrokerRights, MqttInbox, MqttSettings, RightsFolder, may_publish
from bal.pki import Authority
from bal.stack.authority import issued
from bal.stack.server import Guest
from tests.brokers import PASSWORD, SOURCES
from tests.patience import PATIENCE
from tests.real import Real


def done(work: Coroutine[Any, Any, None]) -> None:
    """Do something for all tests of a module, from a fixture that a test's own loop asked for."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


class MosquittoField:
    """One BAL at the broker of the session, with the sources the other doors have."""

    def __init__(self, real: Real, name: str = "bal-service", sources: Sequence[Source] = SOURCES) -> None:
        self.facts = real("mosquitto")
        self.layout = real.layout
        self.identity = name
        self.sources = sources
        self.settings: Mapping[str, Any] = real.admit("mosquitto", Guest(name, "dso"))["mqtt"]
        self.folder = RightsFolder(
            Path(self.settings["rights"]), lambda topic: may_publish(self.access(""), topic), name
        )
        self.rights = BrokerRights(self.folder, name)
        self.accounts = BrokerAccounts(self.folder, name)

    async def prepare(self) -> None:
        """Put rights and accounts in force."""
        await self.rights.grant(self.sources)
        if "dso-b" in {source.name for source in self.sources}:
            await asyncio.to_thread(self.accounts.put, "dso-b", PASSWORD)

    async def take_back(self) -> None:
        """Take rights and accounts away: a user of one BAL is no identity of another's sources."""
        await self.rights.grant([])
        await asyncio.to_thread(self.accounts.remove, "dso-b")

    def tls(self, name: str | None, other: Authority | None = None) -> ssl.SSLContext:
        """Return the TLS settings of an identity: by certificate of the stack's CA or another, or by none."""
        context = ssl.create_default_context(cafile=self.settings["ca"])
        if other is not None and name is not None:
            context.load_cert_chain(*other.client_paths(name))
        elif name is not None:
            context.load_cert_chain(*issued(self.layout, name))
        return context

    def client(
        self,
        name: str | None = "dso-a",
        *,
        tls: ssl.SSLContext | None = None,
        identifier: str | None = None,
        clean: bool = True,
        user: tuple[str, str] | None = None,
        port: int | None = None,
        version: aiomqtt.ProtocolVersion = aiomqtt.ProtocolVersion.V311,
        seconds: float = PATIENCE,
    ) -> aiomqtt.Client:
        return aiomqtt.Client(
            "127.0.0.1",
            port or self.facts["password_port" if user else "port"],
            tls_context=tls or self.tls(name),
            identifier=identifier,
            protocol=version,
            clean_session=None if version == aiomqtt.ProtocolVersion.V5 else clean,
            username=user[0] if user else None,
            password=user[1] if user else None,
            timeout=seconds,
        )

    def access(self, session: str) -> MqttSettings:
        """Return how the BAL connects."""
        return MqttSettings(
            self.settings["host"],
            self.settings["port"],
            session,
            Path(self.settings["ca"]),
            Path(self.settings["certificate"]),
            Path(self.settings["key"]),
        )

    def inbox(self, session: str = "bal-lane-1") -> MqttInbox:
        return MqttInbox(self.access(session), lambda: self.sources)

    async def fresh(self, session: str = "bal-lane-1") -> None:
        """Throw the session away with what waits in it, and make it anew with its subscriptions."""
        await self.forget(session)
        async with self.client(self.identity, identifier=session, clean=False) as client:
            for source in self.sources:
                await client.subscribe(
                    [(f"bal/{source.name}/cim", 1), (f"bal/{source.name}/pmu/+", 1)]
                    + [(mapping.topic, 1) for mapping in source.topics]
                )

    async def forget(self, session: str = "bal-lane-1") -> None:
        """Throw the session away with what waits in it."""
        async with self.client(self.identity, identifier=session):
            pass
