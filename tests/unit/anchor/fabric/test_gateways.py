"""What the channel says of a transaction whose gateway answers with no sense."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bal.anchor.fabric.access import FabricAccess, PeerAccess
from bal.anchor.fabric.gateways import GatewayChannel
from bal.core.errors import LedgerOutcomeUnknown, LedgerUnavailable
from bal.fabric import Closed, Status
from tests.unit.fabric.conftest import certificate_of, pem_of


@pytest.fixture
async def channel(tmp_path: Path) -> GatewayChannel:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = tmp_path / "c.pem"
    certificate.write_bytes(certificate_of(key))
    (tmp_path / "k.pem").write_bytes(pem_of(key))
    peer = PeerAccess("localhost:1", "DsoMSP", certificate)
    return GatewayChannel(
        FabricAccess((peer,), "certification", "certification", "DsoMSP", certificate, tmp_path / "k.pem")
    )


class Script:
    """A contract, and a transaction of it, that fail where told."""

    def __init__(self, at: str, error: Exception) -> None:
        self.at, self.error = at, error

    async def submit_async(self, *_: object, **__: object) -> Script:
        if self.at == "submit":
            raise self.error
        return self

    async def status(self) -> Status:
        raise self.error


@pytest.mark.parametrize("error", [ValueError("no status"), Closed("the gateway was closed")])
async def test_what_was_submitted_is_not_said_not_to_be(
    channel: GatewayChannel, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    for at, kind in (("submit", LedgerUnavailable), ("status", LedgerOutcomeUnknown)):
        script = Script(at, error)
        monkeypatch.setattr(channel, "_contract", lambda *_, script=script: script)
        with pytest.raises(kind):
            await channel.submit("Anchor", ["[]"])
    await channel.close()
