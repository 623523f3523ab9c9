"""What the real ledger refuses: who does not own a log, one organisation alone, a changed past, a stranger, a client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bal.anchor.fabric.access import FabricAccess
from bal.anchor.fabric.ledger import FabricLedger
from bal.core.errors import LedgerRefused, LedgerUnavailable
from bal.fabric import CommitError, Endpoint, Identity, connect, private_key_signer
from bal.pki.certificates import certificate_pem, key_pem, new_key
from bal.stack.fabric.certificates import authority_certificate, member_certificate
from bal.stack.fabric.network import Network
from bal.stack.fabric.organisations import organisation
from bal.stack.fabric.revocation import revoke_guest
from chaincode import canonical
from tests.integration.ledger.world import RealFabricWorld, access, auditor
from tests.real import Real

pytestmark = pytest.mark.real


@pytest.fixture
async def world(real: Real) -> AsyncIterator[RealFabricWorld]:
    made = RealFabricWorld(real)
    await made.open()
    await made.operator.register_log(f"{made.prefix}bal-1")
    await made.operator.register_source(f"{made.prefix}dso-a")
    yield made
    await made.close()


async def refused(ledger: FabricLedger, world: RealFabricWorld, **which: Any) -> str:
    with pytest.raises(LedgerRefused) as error:
        await ledger.anchor(world.chain(1, **which))
    return error.value.code


async def test_only_the_owner_writes_a_log_and_its_past_stays(world: RealFabricWorld) -> None:
    assert await refused(world.other, world) == "wrong_organisation"
    assert await refused(world.regulator, world) == "wrong_organisation"
    first, second = world.chain(2)
    await world.operator.anchor([first])
    assert await refused(world.operator, world, tag="b") == "fork"
    assert await refused(world.operator, world, start=2, previous=second.hash) == "wrong_sequence"
    assert await refused(world.operator, world, start=1, previous="ab" * 32) == "wrong_previous"
    head = await world.operator.head(first.log)
    assert head is not None
    assert head.anchor == first


async def test_one_organisation_alone_endorses_nothing(real: Real, world: RealFabricWorld) -> None:
    who = access(real, "behaviour-dso", "dso")
    gateway = connect(
        identity=Identity.from_pem(who.msp, who.certificate.read_bytes()),
        signer=private_key_signer(who.key.read_bytes()),
        endpoints=[Endpoint(who.gateways[0].address, tls_roots=who.gateways[0].ca.read_bytes())],
    )
    anchors = world.chain(1)
    text = canonical.encode([anchor.to_json() for anchor in anchors]).decode()
    async with gateway:
        contract = gateway.network(who.channel).contract(who.chaincode)
        with pytest.raises(CommitError) as error:
            await contract.submit("Anchor", text, organisations=["DsoMSP"])
    assert error.value.name == "ENDORSEMENT_POLICY_FAILURE"
    for ledger in (world.operator, world.other, world.regulator):
        assert await ledger.find(anchors[0].log, 0) is None
    assert (await world.operator.anchor(anchors))[0].anchor == anchors[0]


async def test_a_certificate_of_another_ca_is_nobody(
    real: Real, world: RealFabricWorld, tmp_path: Path
) -> None:
    who = access(real, "behaviour-dso", "dso")
    ca_key, key = new_key(), new_key()
    ca = authority_certificate(ca_key, "DsoMSP", "ca")
    made = member_certificate(ca, ca_key, key.public_key(), "behaviour-dso", "client")
    (tmp_path / "cert.pem").write_bytes(certificate_pem(made))
    (tmp_path / "key.pem").write_bytes(key_pem(key))
    await nobody(replace(who, certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem"), world)


async def test_a_revoked_certificate_is_nobodys(real: Real, world: RealFabricWorld) -> None:
    who = access(real, f"{world.prefix}leaver", "dso")
    before = world.chain(2)
    ledger = await FabricLedger.connect(who)
    await ledger.anchor(before[:1])
    revoke_guest(Network(real.layout, real.ports("fabric")), organisation("dso"), f"{world.prefix}leaver")
    with pytest.raises(LedgerUnavailable, match="access denied"):
        await ledger.anchor(before[1:])
    with pytest.raises(LedgerUnavailable, match="access denied"):
        await ledger.head(before[0].log)
    await ledger.close()
    assert (await world.operator.anchor(before[1:]))[0].anchor == before[1]
    await world.operator.verify()


async def test_a_client_registers_nothing(real: Real, world: RealFabricWorld) -> None:
    ledger = await FabricLedger.connect(auditor(real, f"{world.prefix}clerk", "dso"))
    for work in (
        ledger.register_log(f"{world.prefix}bal-2"),
        ledger.register_source(f"{world.prefix}dso-b"),
        ledger.set_rules(f"{world.prefix}dso-a", "12" * 32),
        ledger.suspend_source(f"{world.prefix}dso-a", suspended=True, why="mine"),
    ):
        with pytest.raises(LedgerRefused) as error:
            await work
        assert error.value.code == "not_admin"
    await ledger.close()
    assert f"{world.prefix}bal-2" not in await world.operator.logs()


async def nobody(who: FabricAccess, world: RealFabricWorld) -> None:
    """Check that an identity neither reads nor writes."""
    ledger = await FabricLedger.connect(replace(who, admin_certificate=None, admin_key=None))
    anchors = world.chain(1)
    with pytest.raises(LedgerUnavailable, match="access denied"):
        await ledger.anchor(anchors)
    with pytest.raises(LedgerUnavailable, match="access denied"):
        await ledger.find(anchors[0].log, 0)
    with pytest.raises(LedgerUnavailable, match="access denied"):
        await ledger.register_log(f"{world.prefix}bal-9")
    await ledger.close()
    assert await world.operator.find(anchors[0].log, 0) is None
