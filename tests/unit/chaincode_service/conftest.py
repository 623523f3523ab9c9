"""A service that runs, and identities of an organisation and of a stranger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from fabric_protos.peer.proposal_pb2 import SignedProposal

from bal.stack.fabric.authority import Authority
from chaincode_service.package import package, package_id
from chaincode_service.server import serve
from chaincode_service.settings import Settings
from tests.unit.chaincode_service.peer import Peer, proposal
from tests.unit.chaincode_service.ports import free_port

MSP = "DsoMSP"


@pytest.fixture(scope="session")
def organisation(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return an organisation's CAs."""
    made = Authority(tmp_path_factory.mktemp("dso"), MSP)
    made.prepare()
    return made


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return another organisation's CAs."""
    made = Authority(tmp_path_factory.mktemp("market"), "MarketMSP")
    made.prepare()
    return made


def credentials(of: Authority, trusts: Authority) -> grpc.ChannelCredentials:
    """Return the TLS identity of an organisation's peer that trusts the servers of another."""
    folder = of.path / "peer" / "chaincode"
    return grpc.ssl_channel_credentials(
        trusts.tls_ca.read_bytes(), (folder / "server.key").read_bytes(), (folder / "server.crt").read_bytes()
    )


@dataclass
class Running:
    """A service and who may call it."""

    settings: Settings
    organisation: Authority
    stop: asyncio.Event
    task: asyncio.Task[None]

    def peer(self) -> Peer:
        """Return a peer of the organisation, not connected yet."""
        return Peer(self.settings.address, credentials(self.organisation, self.organisation))

    def by(self, role: str, name: str = "bal-1") -> SignedProposal:
        """Return a proposal of a client or an administrator."""
        certificate, _ = self.organisation.guest(name, role)
        return proposal(MSP, certificate.read_bytes())


@pytest.fixture
async def service(organisation: Authority) -> AsyncIterator[Running]:
    """Return a service that listens."""
    settings = settings_of(organisation)
    stop = asyncio.Event()
    task = asyncio.create_task(serve(settings, stop))
    await listening(settings.address)
    yield Running(settings, organisation, stop, task)
    stop.set()
    await task


def settings_of(organisation: Authority) -> Settings:
    """Return settings of a service on a free port."""
    tls = organisation.path / "chaincode" / "tls"
    files = [(tls / name).read_bytes() for name in ("server.crt", "server.key", "ca.crt")]
    return Settings(f"127.0.0.1:{free_port()}", package_id(package()), *files)


async def listening(address: str) -> None:
    """Return once somebody listens there."""
    host, _, port = address.partition(":")
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


def environment(organisation: Authority, address: str) -> dict[str, str]:
    """Return the environment of a service process."""
    tls: Path = organisation.path / "chaincode" / "tls"
    return {
        "CHAINCODE_SERVER_ADDRESS": address,
        "CHAINCODE_TLS_CERT": str(tls / "server.crt"),
        "CHAINCODE_TLS_KEY": str(tls / "server.key"),
        "CHAINCODE_CLIENT_CA_CERT": str(tls / "ca.crt"),
    }
