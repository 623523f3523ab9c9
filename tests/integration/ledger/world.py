"""The ledger on the real Fabric, shared by all tests of a session: names begin with what is one test's own."""

from __future__ import annotations

from secrets import token_hex
from typing import Any

import pytest

from bal.anchor.fabric.access import FabricAccess
from bal.anchor.fabric.gateways import GatewayChannel
from bal.anchor.fabric.ledger import FabricLedger
from bal.bootstrap.fabric import fabric_access
from bal.config import FabricSettings
from bal.core.errors import LedgerOutcomeUnknown
from bal.stack.server import Guest
from chaincode.anchor import Anchor
from tests.real import Real
from tests.unit.anchor.embedded.home import chain


def access(real: Real, name: str, organisation: str) -> FabricAccess:
    """Return the access of a guest, admitted on first use."""
    settings = real.admit("fabric", Guest(name, organisation))
    return fabric_access(FabricSettings.model_validate(settings["fabric"]))


def auditor(real: Real, name: str, organisation: str) -> FabricAccess:
    """Return the access of a guest that is a client and no administrator."""
    settings = real.admit("fabric", Guest(name, organisation, audits="behaviour-dso"))
    return fabric_access(FabricSettings.model_validate(settings["fabric"]))


class RealFabricWorld:
    """Fabric as the stack runs it."""

    operator: FabricLedger
    regulator: FabricLedger
    other: FabricLedger

    def __init__(self, real: Real) -> None:
        self.prefix = f"t{token_hex(4)}-"
        self._access = [
            access(real, f"behaviour-{organisation}", organisation)
            for organisation in ("dso", "market", "regulator")
        ]

    async def open(self) -> None:
        self.operator, self.other, self.regulator = [
            await FabricLedger.connect(each) for each in self._access
        ]

    def chain(self, count: int, **which: Any) -> list[Anchor]:
        """Return anchors of this test's first log over its first source."""
        return chain(count, log=f"{self.prefix}bal-1", source=f"{self.prefix}dso-a", **which)

    def lose_outcome(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def lost(*args: Any, **more: Any) -> None:
            await submit(*args, **more)
            raise LedgerOutcomeUnknown("the answer was lost")

        submit = GatewayChannel.submit
        monkeypatch.setattr(GatewayChannel, "submit", lost)

    async def reopen(self) -> None:
        await self.close()
        await self.open()

    async def close(self) -> None:
        for ledger in (self.operator, self.other, self.regulator):
            await ledger.close()
