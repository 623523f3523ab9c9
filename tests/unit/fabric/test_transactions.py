import asyncio

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from bal import fabric
from tests.unit.fabric.conftest import Connect
from tests.unit.fabric.fake import FakeGateway, FakeNetwork, arguments, commits_as, refuse, transient

MVCC = 11


async def test_evaluate_returns_the_result_and_writes_nothing(
    connect: Connect, peers: list[FakeGateway], network: FakeNetwork
) -> None:
    contract = connect(peers[0]).network("c").contract("basic")
    assert await contract.evaluate("get", "a", b"b") == b"get a b"
    assert network.submitted == []
    assert [name for name, _ in peers[0].seen] == ["Evaluate"]


async def test_submit_returns_the_result_once_it_is_committed(
    connect: Connect, peers: list[FakeGateway], network: FakeNetwork
) -> None:
    contract = connect(peers[0]).network("c").contract("basic")
    assert await contract.submit("put", "a", "1") == b"put a 1"
    assert len(network.submitted) == 1
    assert [name for name, _ in peers[0].seen] == ["Endorse", "Submit", "CommitStatus"]


async def test_what_is_sent_is_signed_by_the_identity(
    connect: Connect, peers: list[FakeGateway], key: ec.EllipticCurvePrivateKey
) -> None:
    await connect(peers[0]).network("c").contract("basic").submit("put")
    (_, endorse), (_, submit), (_, status) = peers[0].seen
    sha256 = ec.ECDSA(hashes.SHA256())
    proposed = endorse.proposed_transaction
    key.public_key().verify(proposed.signature, proposed.proposal_bytes, sha256)
    envelope = submit.prepared_transaction
    key.public_key().verify(envelope.signature, envelope.payload, sha256)
    key.public_key().verify(status.signature, status.request, sha256)


async def test_a_contract_of_several_in_a_chaincode_is_named_before_the_function(
    connect: Connect, peers: list[FakeGateway]
) -> None:
    contract = connect(peers[0]).network("c").contract("basic", "Registry")
    assert await contract.evaluate("get") == b"Registry:get"


async def test_transient_data_is_sent_and_is_no_argument(connect: Connect, peers: list[FakeGateway]) -> None:
    contract = connect(peers[0]).network("c").contract("basic")
    await contract.evaluate("get", transient={"secret": "s", "other": b"\x00"})
    proposed = peers[0].seen[0][1].proposed_transaction
    assert transient(proposed) == {"secret": b"s", "other": b"\x00"}
    assert arguments(proposed) == [b"get"]


async def test_organisations_are_named_when_asked(connect: Connect, peers: list[FakeGateway]) -> None:
    contract = connect(peers[0]).network("c").contract("basic")
    await contract.evaluate("get", organisations=["MarketMSP"])
    await contract.submit("put", organisations=["DsoMSP", "RegulatorMSP"])
    assert list(peers[0].seen[0][1].target_organizations) == ["MarketMSP"]
    assert list(peers[0].seen[1][1].endorsing_organizations) == ["DsoMSP", "RegulatorMSP"]


async def test_submit_async_returns_before_the_commit(connect: Connect, peers: list[FakeGateway]) -> None:
    contract = connect(peers[0]).network("c").contract("basic")
    submitted = await contract.submit_async("put", "a")
    assert submitted.result == b"put a"
    assert peers[0].count("CommitStatus") == 0
    status = await submitted.status()
    assert (status.successful, status.name, status.block_number) == (True, "VALID", 1)
    assert status.transaction_id == submitted.transaction_id


async def test_a_transaction_refused_in_its_block_is_named(
    connect: Connect, peers: list[FakeGateway], network: FakeNetwork
) -> None:
    network.codes = [10]
    contract = connect(peers[0]).network("c").contract("basic")
    with pytest.raises(fabric.CommitError) as caught:
        await contract.submit("put")
    assert (caught.value.code, caught.value.name) == (10, "ENDORSEMENT_POLICY_FAILURE")
    assert caught.value.outcome is fabric.Outcome.REFUSED
    assert caught.value.transaction_id == network.submitted[0]


async def test_the_status_of_any_transaction_can_be_asked_for(
    connect: Connect, peers: list[FakeGateway]
) -> None:
    channel = connect(peers[0]).network("c")
    submitted = await channel.contract("basic").submit_async("put")
    assert (await channel.new_commit(submitted.transaction_id).status()).successful


async def test_a_conflict_is_not_tried_again_unless_asked(
    connect: Connect, peers: list[FakeGateway], network: FakeNetwork
) -> None:
    network.codes = [MVCC]
    with pytest.raises(fabric.CommitError, match="MVCC_READ_CONFLICT"):
        await connect(peers[0]).network("c").contract("basic").submit("put")
    assert len(network.submitted) == 1


async def test_a_conflict_is_tried_again_as_a_whole_new_proposal(
    connect: Connect, peers: list[FakeGateway], network: FakeNetwork
) -> None:
    network.codes = [MVCC, 12]
    contract = connect(peers[0]).network("c").contract("basic")
    assert await contract.submit("put", retries=fabric.Retry(mvcc=2, pause=0.001)) == b"put"
    assert len(set(network.submitted)) == 3


async def test_retries_end(connect: Connect, peers: list[FakeGateway], network: FakeNetwork) -> None:
    network.codes = [MVCC] * 5
    contract = connect(peers[0]).network("c").contract("basic")
    with pytest.raises(fabric.CommitError):
        await contract.submit("put", retries=fabric.Retry(mvcc=2, pause=0.001))
    assert len(network.submitted) == 3


@pytest.mark.parametrize("code", [1, 4, 10, 24])
async def test_only_conflicts_are_tried_again(
    connect: Connect, peers: list[FakeGateway], network: FakeNetwork, code: int
) -> None:
    network.codes = [code]
    contract = connect(peers[0]).network("c").contract("basic")
    with pytest.raises(fabric.CommitError):
        await contract.submit("put", retries=fabric.Retry(mvcc=5, mismatch=5, pause=0.001))
    assert len(network.submitted) == 1


async def test_differing_results_are_tried_again_when_asked(
    connect: Connect, peers: list[FakeGateway]
) -> None:
    differ = refuse("ABORTED", "failed", ("p", "MarketMSP", "ProposalResponsePayloads do not match"))
    peers[0].answers["Endorse"] = [differ]
    contract = connect(peers[0]).network("c").contract("basic")
    assert await contract.submit("put", retries=fabric.Retry(mismatch=1, pause=0.001)) == b"put"
    first, second = (request.transaction_id for name, request in peers[0].seen if name == "Endorse")
    assert first != second


async def test_an_id_that_is_in_two_places_is_what_it_is_in_the_first(
    connect: Connect, peers: list[FakeGateway]
) -> None:
    peers[0].answers["CommitStatus"] = [commits_as(9), commits_as(0, 4)]
    submitted = await connect(peers[0]).network("c").contract("basic").submit_async("put")
    assert (await submitted.status()).block_number == 4


async def test_an_id_of_somebody_elses_transaction_stays_a_duplicate(
    connect: Connect, peers: list[FakeGateway]
) -> None:
    peers[0].answers["CommitStatus"] = [commits_as(9), commits_as(9)]
    submitted = await connect(peers[0]).network("c").contract("basic").submit_async("put")
    assert (await submitted.status()).name == "DUPLICATE_TXID"


async def test_many_transactions_in_flight(
    connect: Connect, peers: list[FakeGateway], network: FakeNetwork
) -> None:
    contract = connect(peers[0]).network("c").contract("basic")
    results = await asyncio.gather(*(contract.submit("put", str(n)) for n in range(200)))
    assert results == [f"put {n}".encode() for n in range(200)]
    assert len(set(network.submitted)) == 200
