"""What the network lets through and what it refuses."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import grpc
import pytest
from fabric_protos.common.common_pb2 import ChannelHeader, Header
from fabric_protos.gateway.gateway_pb2 import ProposedTransaction
from fabric_protos.peer.proposal_pb2 import Proposal

from bal.fabric import CommitError, ContractError, EndorseError, GatewayError
from bal.stack.fabric import revocation
from bal.stack.fabric.organisations import CHAINCODE, CHANNEL, ORGANISATIONS, organisation
from chaincode_service.package import version
from tests.counts import counts
from tests.integration.fabric.conftest import Ledger, connected
from tests.patience import PATIENCE
from tests.unit.chaincode.memory import argument, chain
from tests.unit.chaincode_service.peer import Peer


def refusal(error: GatewayError) -> str:
    """Return the contract's code in an error of the gateway."""
    said = str(error)
    return str(json.loads(said[said.index("{") : said.index("}") + 1])["code"])


async def test_two_of_three_endorse_and_one_is_not_enough(ledger: Ledger, prefix: str) -> None:
    async with ledger.contract(admin=True) as contract:
        with pytest.raises(CommitError) as refused:
            await contract.submit("RegisterLog", f"{prefix}-one", organisations=("DsoMSP",))
        assert refused.value.name == "ENDORSEMENT_POLICY_FAILURE"
        for pair in (("DsoMSP", "MarketMSP"), ("DsoMSP", "RegulatorMSP"), ("MarketMSP", "RegulatorMSP")):
            name = f"{prefix}-{pair[0][0]}{pair[1][0]}".lower()
            answer = json.loads(await contract.submit("RegisterLog", name, organisations=pair))
            assert answer["organisation"] == "DsoMSP"
        listed = json.loads(await contract.evaluate("ListLogs", f"{prefix}-a", "5"))
    assert [each["log"] for each in listed[:3]] == [f"{prefix}-{pair}" for pair in ("dm", "dr", "mr")]


async def test_roles_and_organisations_are_those_of_the_certificate(ledger: Ledger, prefix: str) -> None:
    async with ledger.contract(admin=True) as admin:
        await admin.submit("RegisterSource", "dso-a")
        await admin.submit("RegisterLog", prefix)
    await ledger.agreed(prefix)
    async with ledger.contract() as client:
        with pytest.raises(ContractError) as refused:
            await client.submit("RegisterLog", f"{prefix}-2")
        assert refusal(refused.value) == "not_admin"
        records = json.loads(await client.submit("Anchor", argument(chain(2, prefix))))
        assert {each["organisation"] for each in records} == {"DsoMSP"}
    async with ledger.contract(owner="market") as other:
        with pytest.raises(ContractError) as refused:
            await other.submit("Anchor", argument(chain(3, prefix)))
    assert refusal(refused.value) == "wrong_organisation"


async def test_an_anchor_is_announced_to_those_who_listen(ledger: Ledger, prefix: str) -> None:
    settings = await asyncio.to_thread(ledger.settings)
    async with ledger.contract(admin=True) as admin:
        await admin.submit("RegisterSource", "dso-a")
        await admin.submit("RegisterLog", prefix)
    await ledger.agreed(prefix)
    async with connected(settings) as gateway:
        network = gateway.network(CHANNEL)
        async with network.chaincode_events(CHAINCODE) as events, asyncio.timeout(PATIENCE):
            waiting = asyncio.ensure_future(_first(events, prefix))
            seq = 0
            previous = chain(1)[0].previous
            while not waiting.done():  # the stream begins at the next block, whenever it is open
                anchor = chain(1, prefix, seq, previous)
                await network.contract(CHAINCODE).submit("Anchor", argument(anchor))
                seq, previous = seq + 1, anchor[0].hash
                await ledger.agreed(prefix)
                await asyncio.wait({waiting}, timeout=1)
            event = await waiting
    assert event.name == "anchored"
    assert json.loads(event.payload)["log"] == prefix


async def _first(events: Any, log: str) -> Any:
    async for event in events:
        if json.loads(event.payload)["log"] == log:
            return event
    return None


async def test_200_transactions_in_flight_are_all_committed(ledger: Ledger, prefix: str) -> None:
    number = counts(4000)
    gate = asyncio.Semaphore(200)

    async def register(index: int) -> str:
        async with gate:
            return str(json.loads(await contract.submit("RegisterLog", f"{prefix}-{index:05}"))["log"])

    async with ledger.contract(admin=True) as contract:
        done = await asyncio.gather(*map(register, range(number)))
        listed = json.loads(await contract.evaluate("ListLogs", f"{prefix}", "256"))
    assert sorted(done) == [f"{prefix}-{index:05}" for index in range(number)]
    assert [each["log"] for each in listed[:50]] == sorted(done)[:50]


async def test_garbage_is_answered_and_the_service_goes_on(ledger: Ledger) -> None:
    async with ledger.contract() as contract:
        for function, arguments in (("Nothing", ()), ("GetHead", (b"\xff",)), ("Anchor", (b"[" * 100_000,))):
            with pytest.raises(GatewayError) as refused:
                await contract.evaluate(function, *arguments)
            assert refusal(refused.value) in {"unknown_function", "malformed"}
        assert await contract.evaluate("ListLogs", "", "1")


async def test_a_proposal_of_two_minutes_ago_is_refused(ledger: Ledger) -> None:
    settings = await asyncio.to_thread(ledger.settings)
    async with connected(settings, gateways=1) as gateway:
        contract = gateway.network(CHANNEL).contract(CHAINCODE)
        proposed = ProposedTransaction.FromString(contract.new_proposal("ListLogs", "", "1").to_bytes())
        inner = Proposal.FromString(proposed.proposal.proposal_bytes)
        header = Header.FromString(inner.header)
        channel = ChannelHeader.FromString(header.channel_header)
        for seconds, is_taken in ((120, False), (30, True)):
            old = ChannelHeader.FromString(channel.SerializeToString())
            old.timestamp.seconds -= seconds
            header.channel_header = old.SerializeToString()
            inner.header = header.SerializeToString()
            proposed.proposal.proposal_bytes = inner.SerializeToString()
            again = gateway.new_proposal(proposed.SerializeToString())
            if is_taken:
                await again.endorse()
                continue
            with pytest.raises(EndorseError, match="incorrect timestamp"):
                await again.endorse()


@pytest.mark.parametrize("shown", ["nothing", "another organisation", "a client of the organisation"])
async def test_the_chaincode_lets_nobody_in_but_its_peer(ledger: Ledger, shown: str) -> None:
    network = ledger.network
    own, other = organisation("dso"), organisation("market")
    trusts = network.authority(own).tls_ca.read_bytes()
    folder = network.authority(own).path / "peer" / "chaincode"
    right = ((folder / "server.key").read_bytes(), (folder / "server.crt").read_bytes())
    async with Peer(network.address(own, "chaincode"), grpc.ssl_channel_credentials(trusts, *right)):
        pass  # it is there, and lets its peer in
    files: tuple[bytes, ...] = ()
    if shown == "another organisation":
        folder = network.authority(other).path / "peer" / "chaincode"
        files = ((folder / "server.key").read_bytes(), (folder / "server.crt").read_bytes())
    elif shown == "a client of the organisation":
        settings = await asyncio.to_thread(ledger.settings)
        files = (Path(settings["admin_key"]).read_bytes(), Path(settings["admin_certificate"]).read_bytes())
    peer = Peer(network.address(own, "chaincode"), grpc.ssl_channel_credentials(trusts, *files))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        async with peer:
            pytest.fail("it was let in")
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_revoked_guest_is_refused_and_admitted_anew(ledger: Ledger) -> None:
    before = await asyncio.to_thread(ledger.settings, "leaving", "market")
    own = organisation("market")
    async with connected(before) as gateway, ledger.contract(owner="market") as other:
        contract = gateway.network(CHANNEL).contract(CHAINCODE)
        await contract.submit("ListLogs", "", "1")
        await asyncio.to_thread(revocation.revoke_guest, ledger.network, own, "leaving")
        for call in (contract.submit, contract.evaluate):
            with pytest.raises(GatewayError, match="access denied"):
                await call("ListLogs", "", "1")
        await other.submit("ListLogs", "", "1")
    async with ledger.contract("leaving", "market") as contract:
        await contract.submit("ListLogs", "", "1")
    await asyncio.to_thread(revocation.revoke_guest, ledger.network, own, "leaving")
    async with ledger.contract("leaving", "market") as contract:
        await contract.submit("ListLogs", "", "1")


def test_fabrics_own_command_of_the_regulator_reads_the_contract(ledger: Ledger) -> None:
    network = ledger.network
    regulator = organisation("regulator")
    said = subprocess.run(
        [
            *(
                str(network.installation.command("peer")),
                "chaincode",
                "query",
                "-C",
                CHANNEL,
                "-n",
                CHAINCODE,
            ),
            *("-c", json.dumps({"Args": ["ListLogs", "", "1"]})),
        ],
        env={**os.environ, **network.administration(regulator)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert isinstance(json.loads(said), list)


def test_what_is_secret_is_the_owners_alone(ledger: Ledger) -> None:
    settings = ledger.settings()
    keys = [
        path for path in ledger.network.path.rglob("*") if path.suffix == ".key" or path.name == "key.pem"
    ]
    assert len(keys) > 20
    assert Path(settings["key"]) in keys
    open_to_others = [path for path in keys if stat.S_IMODE(path.stat().st_mode) != 0o600]
    assert open_to_others == []
    assert stat.S_IMODE(ledger.network.path.stat().st_mode) == 0o700
    told = list(ledger.network.path.rglob("release/chaincode/server/connection.json"))
    assert len(told) >= len(ORGANISATIONS)
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in told} == {0}


def test_facts_name_no_secret_and_what_is_there(ledger: Ledger) -> None:
    facts = ledger.facts
    assert facts["channel"] == CHANNEL
    for each in ORGANISATIONS:
        told = facts["organisations"][each.name]
        assert told["msp"] == each.msp
        assert Path(told["ca"]).exists()
    assert "PRIVATE KEY" not in json.dumps(facts)


async def test_a_second_start_changes_nothing(ledger: Ledger) -> None:
    processes = ledger.network.processes()
    before = [process.pid for process in processes]
    await ledger.start()
    assert [process.pid for process in processes] == before
    assert ledger.network.deployed.read_text() == version()
