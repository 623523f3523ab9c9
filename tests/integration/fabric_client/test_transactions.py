"""Evaluate, submit and what goes wrong with them, on the real network."""

import asyncio
import hashlib
import json

import pytest
from fabric_protos.common import common_pb2 as common
from fabric_protos.msp import identities_pb2 as identities
from fabric_protos.peer import transaction_pb2 as transactions

from bal import fabric
from tests.integration.fabric_client.conftest import MSPS, Client, Log

QUERY = ("ListLogs", "", "5")


def rules(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def test_a_query_is_answered(dso: Client) -> None:
    assert isinstance(json.loads(await dso.contract().evaluate(*QUERY)), list)


async def test_what_was_submitted_is_there(dso: Client, source: str) -> None:
    digest = rules("one")
    answered = await dso.contract(admin=True).submit("SetRules", source, digest)
    assert json.loads(answered)["rules"] == digest
    assert json.loads(await dso.contract().evaluate("GetSource", source))["rules"] == digest


async def test_the_commit_is_told_with_its_block(dso: Client) -> None:
    network = dso.network()
    submitted = await network.contract(dso.settings["chaincode"]).submit_async(*QUERY)
    status = await submitted.status()
    assert status.successful
    assert status.name == "VALID"
    again = await network.new_commit(submitted.transaction_id).status()
    assert again == status


async def test_what_the_contract_refuses(dso: Client) -> None:
    with pytest.raises(fabric.ContractError) as caught:
        await dso.contract().submit("Nonexistent")
    assert caught.value.code == "ABORTED"
    (detail,) = caught.value.details
    assert detail.msp_id == "DsoMSP"
    assert detail.address == dso.settings["gateways"][0]["address"]
    assert "unknown_function" in detail.message
    assert caught.value.outcome is fabric.Outcome.NOT_SUBMITTED


async def test_what_the_contract_refuses_a_query(dso: Client) -> None:
    with pytest.raises(fabric.EvaluateError, match="ListLogs takes 2 to 2 arguments") as caught:
        await dso.contract().evaluate("ListLogs")
    assert caught.value.code == "UNKNOWN"


async def test_a_chaincode_that_is_not_there(dso: Client) -> None:
    with pytest.raises(fabric.EndorseError) as caught:
        await dso.network().contract("nonexistent").submit("f")
    assert caught.value.code in {"FAILED_PRECONDITION", "ABORTED"}
    assert "nonexistent" in str(caught.value)


async def test_a_signature_of_another_organisations_key_is_refused(clients: dict[str, Client]) -> None:
    stranger = clients["dso"].contract(signer=clients["market"].signer())
    with pytest.raises(fabric.EvaluateError, match="access denied") as caught:
        await stranger.evaluate(*QUERY)
    assert caught.value.code == "FAILED_PRECONDITION"
    with pytest.raises(fabric.EndorseError, match="access denied"):
        await stranger.submit(*QUERY)


@pytest.mark.parametrize("msp", MSPS)
async def test_a_query_is_answered_by_the_organisation_named(dso: Client, msp: str) -> None:
    assert await dso.contract().evaluate(*QUERY, organisations=[msp])


@pytest.mark.parametrize("pair", [MSPS[:2], MSPS[1:], (MSPS[0], MSPS[2])])
async def test_the_organisations_named_endorse(dso: Client, pair: tuple[str, str]) -> None:
    contract = dso.contract()
    transaction = await contract.new_proposal(*QUERY, organisations=pair).endorse()
    assert endorsers(transaction) == sorted(pair)
    assert (await (await transaction.submit()).status()).successful


async def test_endorsed_by_too_few_it_is_refused_in_its_block(dso: Client, source: str) -> None:
    with pytest.raises(fabric.CommitError) as caught:
        await dso.contract(admin=True).submit("SetRules", source, rules("x"), organisations=["DsoMSP"])
    assert caught.value.name == "ENDORSEMENT_POLICY_FAILURE"
    assert caught.value.outcome is fabric.Outcome.REFUSED


async def test_conflicts_are_refused_and_settled_only_when_asked(dso: Client, source: str) -> None:
    contract = dso.contract(admin=True)

    async def endorsed(text: str) -> fabric.Transaction:
        return await contract.new_proposal("SetRules", source, rules(text)).endorse()

    first, second = await asyncio.gather(endorsed("a"), endorsed("b"))
    statuses = [await (await one.submit()).status() for one in (first, second)]
    assert [status.name for status in statuses] == ["VALID", "MVCC_READ_CONFLICT"]
    # Peers that endorse while a block reaches one and not yet the other see different states of the source.
    again = fabric.Retry(mvcc=20, mismatch=20)
    done = await asyncio.gather(
        *(contract.submit("SetRules", source, rules(str(n)), retries=again) for n in range(4))
    )
    assert len(done) == 4


async def test_a_transaction_submitted_twice_is_committed_once(dso: Client, log: Log) -> None:
    transaction = await dso.contract().new_proposal("Anchor", log.next()).endorse()
    first = await (await transaction.submit()).status()
    again = await (await transaction.submit()).status()
    assert first.successful
    assert again == first


async def test_200_transactions_in_flight(dso: Client) -> None:
    contract = dso.contract()
    results = await asyncio.gather(*(contract.submit(*QUERY) for _ in range(200)))
    assert len(results) == 200


async def test_a_stranger_to_the_tls_authority_is_not_connected_to(dso: Client) -> None:
    roots = dso.endpoints[1].tls_roots
    endpoint = fabric.Endpoint(dso.endpoints[0].address, tls_roots=roots)
    short = fabric.Deadlines(evaluate=3)
    with pytest.raises(fabric.EvaluateError, match=r"UNAVAILABLE|DEADLINE_EXCEEDED"):
        await dso.contract(endpoints=[endpoint], deadlines=short).evaluate(*QUERY)


def endorsers(transaction: fabric.Transaction) -> list[str]:
    """Return the organisations that signed an endorsed transaction."""
    from fabric_protos.gateway import gateway_pb2 as gateway

    prepared = gateway.PreparedTransaction.FromString(transaction.to_bytes())
    body = transactions.Transaction.FromString(common.Payload.FromString(prepared.envelope.payload).data)
    action = transactions.ChaincodeActionPayload.FromString(body.actions[0].payload).action
    return sorted(
        identities.SerializedIdentity.FromString(each.endorser).mspid for each in action.endorsements
    )
