import asyncio

import pytest

from bal import fabric
from tests.unit.fabric.conftest import Connect
from tests.unit.fabric.fake import Answer, FakeGateway, FakeNetwork, commits_as, hang, refuse

ORGANISATIONS = ("DsoMSP", "MarketMSP", "RegulatorMSP")
TWO_OF_THREE = fabric.Endorsers(ORGANISATIONS, 2)
DEAD = "chaincode stream terminated"


def dead(msp: str) -> Answer:
    return refuse("ABORTED", "failed to endorse transaction", ("p:1", msp, DEAD))


def endorsements(peer: FakeGateway) -> list[tuple[str, ...]]:
    return [tuple(request.endorsing_organizations) for name, request in peer.seen if name == "Endorse"]


async def test_the_preferred_gateway_is_used_while_it_works(
    connect: Connect, peers: list[FakeGateway]
) -> None:
    contract = connect(*peers, endorsers=TWO_OF_THREE).network("c").contract("basic")
    for _ in range(3):
        await contract.submit("put")
    assert endorsements(peers[0]) == [()] * 3
    assert peers[1].seen == peers[2].seen == []


async def test_a_dead_own_peer_is_passed_over_by_naming_the_others_first(
    connect: Connect, peers: list[FakeGateway], network: FakeNetwork
) -> None:
    peers[0].answers["Endorse"] = [dead("DsoMSP")]
    contract = connect(*peers, endorsers=TWO_OF_THREE).network("c").contract("basic")
    assert await contract.submit("put") == b"put"
    assert endorsements(peers[0]) == [(), ("MarketMSP", "RegulatorMSP")]
    assert peers[1].seen == []
    assert len(network.submitted) == 1


async def test_every_pair_is_tried_and_then_another_gateway(
    connect: Connect, peers: list[FakeGateway]
) -> None:
    peers[0].answers["Endorse"] = [dead("DsoMSP"), *([refuse("ABORTED", "failed")] * 3)]
    contract = connect(*peers, endorsers=TWO_OF_THREE).network("c").contract("basic")
    assert await contract.submit("put") == b"put"
    assert set(endorsements(peers[0])) == {
        (),
        ("DsoMSP", "MarketMSP"),
        ("DsoMSP", "RegulatorMSP"),
        ("MarketMSP", "RegulatorMSP"),
    }
    assert len(endorsements(peers[0])) == 4
    assert endorsements(peers[1]) == [("MarketMSP", "RegulatorMSP")]


async def test_it_is_the_same_proposal_at_every_gateway(connect: Connect, peers: list[FakeGateway]) -> None:
    peers[0].answers["Endorse"] = [refuse("ABORTED", "failed")]
    await connect(*peers[:2]).network("c").contract("basic").submit("put")
    (first,) = (request for name, request in peers[0].seen if name == "Endorse")
    (second,) = (request for name, request in peers[1].seen if name == "Endorse")
    assert first.proposed_transaction == second.proposed_transaction


async def test_without_knowing_the_organisations_no_other_is_named(
    connect: Connect, peers: list[FakeGateway]
) -> None:
    peers[0].answers["Endorse"] = [dead("DsoMSP")]
    assert await connect(*peers).network("c").contract("basic").submit("put") == b"put"
    assert endorsements(peers[0]) == [()]
    assert endorsements(peers[1]) == [()]


async def test_who_was_named_is_asked_and_nobody_else(connect: Connect, peers: list[FakeGateway]) -> None:
    peers[0].answers["Endorse"] = [dead("DsoMSP")]
    contract = connect(*peers, endorsers=TWO_OF_THREE).network("c").contract("basic")
    await contract.submit("put", organisations=["DsoMSP"])
    assert endorsements(peers[0]) == [("DsoMSP",)]
    assert endorsements(peers[1]) == [("DsoMSP",)]


async def test_transient_data_goes_to_nobody_that_was_not_named(
    connect: Connect, peers: list[FakeGateway]
) -> None:
    peers[0].answers["Endorse"] = [dead("DsoMSP")]
    contract = connect(*peers, endorsers=TWO_OF_THREE).network("c").contract("basic")
    await contract.submit("put", transient={"key": "secret"})
    assert endorsements(peers[0]) == [()]
    assert endorsements(peers[1]) == [()]


async def test_without_anybody_in_doubt_the_next_gateway_chooses_itself(
    connect: Connect, peers: list[FakeGateway]
) -> None:
    peers[0].answers["Endorse"] = [refuse("FAILED_PRECONDITION", "no combination of peers")] * 4
    contract = connect(*peers, endorsers=TWO_OF_THREE).network("c").contract("basic")
    assert await contract.submit("put") == b"put"
    assert endorsements(peers[1]) == [()]


@pytest.mark.parametrize("said", ["chaincode response 500, no", "ProposalResponsePayloads do not match"])
async def test_what_another_gateway_would_not_change_is_told_at_once(
    connect: Connect, peers: list[FakeGateway], said: str
) -> None:
    peers[0].answers["Endorse"] = [refuse("ABORTED", "failed", ("p:1", "DsoMSP", said))]
    with pytest.raises(fabric.EndorseError):
        await connect(*peers, endorsers=TWO_OF_THREE).network("c").contract("basic").submit("put")
    assert endorsements(peers[0]) == [()]
    assert peers[1].seen == []


async def test_a_gateway_that_hangs_puts_its_own_peers_in_doubt(
    connect: Connect, peers: list[FakeGateway]
) -> None:
    """Another gateway left to itself might choose the peer that hangs."""
    peers[0].answers["Endorse"] = [hang()]
    peers[1].answers["Endorse"] = []
    short = fabric.Deadlines(endorse=1.5)
    gateway = connect(*peers, msps=ORGANISATIONS, endorsers=TWO_OF_THREE, deadlines=short)
    contract = gateway.network("c").contract("basic")
    await contract.submit("put")
    await contract.submit("put")
    assert endorsements(peers[0]) == [()]
    assert endorsements(peers[1]) == [("MarketMSP", "RegulatorMSP")] * 2


async def test_peers_in_doubt_are_trusted_again_once_they_endorse(
    connect: Connect, peers: list[FakeGateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bal.fabric.backoff.FIRST_SECONDS", 0.0)
    await peers[0].stop()
    gateway = connect(*peers, msps=ORGANISATIONS, endorsers=TWO_OF_THREE)
    contract = gateway.network("c").contract("basic")
    await contract.submit("put")
    assert endorsements(peers[1]) == [("MarketMSP", "RegulatorMSP")]
    await peers[0].start()
    for _ in range(500):
        await contract.submit("put")
        if peers[0].count("Endorse"):
            break
    await contract.submit("put")
    assert endorsements(peers[0])[-1] == ()


async def test_peers_in_doubt_are_tried_again_through_their_own_gateway_only(
    connect: Connect, peers: list[FakeGateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through another gateway that one would hang with them, and be taken for gone as well."""
    peers[0].answers["Endorse"] = [hang()]
    short = fabric.Deadlines(endorse=1.5)
    gateway = connect(*peers, msps=ORGANISATIONS, endorsers=TWO_OF_THREE, deadlines=short)
    contract = gateway.network("c").contract("basic")
    await contract.submit("put")
    ways = gateway._session.failover._ways
    monkeypatch.setattr(ways.organisation("DsoMSP"), "_until", 0.0)
    await contract.submit("put")
    assert endorsements(peers[1]) == [("MarketMSP", "RegulatorMSP")] * 2


async def test_all_that_was_tried_is_told(connect: Connect, peers: list[FakeGateway]) -> None:
    for peer in peers[:2]:
        peer.answers["Endorse"] = [dead("DsoMSP")] * 4
    contract = connect(*peers[:2], endorsers=TWO_OF_THREE).network("c").contract("basic")
    with pytest.raises(fabric.EndorseError) as caught:
        await contract.submit("put")
    assert len(caught.value.attempts) == 8
    assert caught.value.attempts[4].address == peers[1].address
    assert caught.value.details[0].message == DEAD


async def test_what_failed_is_left_alone_for_a_while(connect: Connect, peers: list[FakeGateway]) -> None:
    peers[0].answers["Endorse"] = [dead("DsoMSP")]
    contract = connect(*peers, endorsers=TWO_OF_THREE).network("c").contract("basic")
    await contract.submit("put")
    await contract.submit("put")
    assert endorsements(peers[0])[:2] == [(), ("MarketMSP", "RegulatorMSP")]
    assert endorsements(peers[0])[2] != ()


async def test_the_preferred_way_is_taken_again_later(
    connect: Connect, peers: list[FakeGateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bal.fabric.backoff.FIRST_SECONDS", 0.0)
    peers[0].answers["Endorse"] = [dead("DsoMSP")]
    contract = connect(*peers, endorsers=TWO_OF_THREE).network("c").contract("basic")
    await contract.submit("put")
    await contract.submit("put")
    assert endorsements(peers[0])[-1] == ()


async def test_a_gateway_that_is_gone_is_passed_over_in_every_phase(
    connect: Connect, peers: list[FakeGateway], network: FakeNetwork
) -> None:
    contract = connect(*peers).network("c").contract("basic")
    transaction = await contract.new_proposal("put").endorse()
    await peers[0].stop()
    submitted = await transaction.submit()
    assert (await submitted.status()).successful
    assert await contract.evaluate("get") == b"get"
    assert await contract.submit("put") == b"put"
    assert network.submitted[0] == transaction.transaction_id
    assert len(network.submitted) == 2


async def test_a_gateway_that_comes_back_is_used_again(
    connect: Connect, peers: list[FakeGateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bal.fabric.backoff.FIRST_SECONDS", 0.0)
    contract = connect(*peers[:2]).network("c").contract("basic")
    await peers[0].stop()
    await contract.evaluate("get")
    assert peers[1].count("Evaluate") == 1
    await peers[0].start()
    for _ in range(500):
        await contract.evaluate("get")
        if peers[0].count("Evaluate"):
            return
    pytest.fail("the preferred gateway was never asked again")


async def test_a_gateway_that_hangs_leaves_time_for_another(
    connect: Connect, peers: list[FakeGateway]
) -> None:
    for method in ("Evaluate", "Endorse", "Submit", "CommitStatus"):
        peers[0].answers[method] = [hang()] * 3
    short = fabric.Deadlines(1.5, 1.5, 1.5, 1.5)
    contract = connect(*peers[:2], deadlines=short).network("c").contract("basic")
    assert await contract.evaluate("get") == b"get"
    assert await contract.submit("put") == b"put"


async def test_a_transaction_is_submitted_again_under_its_own_id(
    connect: Connect, peers: list[FakeGateway], network: FakeNetwork
) -> None:
    """A gateway that dies after it handed the transaction on: the network has it, and it is committed once."""
    original = peers[0]._submit

    async def dies(request: object, context: object) -> object:
        await original(request, context)
        return await refuse("UNAVAILABLE", "connection reset")(request, context)

    peers[0].answers["Submit"] = [dies]
    await connect(*peers[:2]).network("c").contract("basic").submit("put")
    assert len(network.submitted) == 2
    assert len(set(network.submitted)) == 1


async def test_submitting_waits_for_orderers_that_elect(connect: Connect, peers: list[FakeGateway]) -> None:
    peers[0].answers["Submit"] = [
        refuse("UNAVAILABLE", "no orderers could successfully process transaction")
    ] * 3
    assert await connect(peers[0]).network("c").contract("basic").submit("put") == b"put"
    assert peers[0].count("Submit") == 4


async def test_a_commit_is_asked_for_elsewhere_when_the_gateway_is_lost(
    connect: Connect, peers: list[FakeGateway]
) -> None:
    submitted = await connect(*peers).network("c").contract("basic").submit_async("put")
    peers[0].answers["CommitStatus"] = [refuse("ABORTED", "unexpected close of commit notification channel")]
    peers[1].answers["CommitStatus"] = [refuse("UNAVAILABLE")]
    peers[2].answers["CommitStatus"] = [commits_as(0, 42)]
    assert (await submitted.status()).block_number == 42


async def test_a_status_that_is_refused_is_not_asked_for_again(
    connect: Connect, peers: list[FakeGateway]
) -> None:
    peers[0].answers["CommitStatus"] = [refuse("PERMISSION_DENIED")]
    submitted = await connect(*peers).network("c").contract("basic").submit_async("put")
    with pytest.raises(fabric.CommitStatusError, match="PERMISSION_DENIED"):
        await submitted.status()
    assert peers[1].count("CommitStatus") == 0


async def test_what_a_contract_answers_a_query_is_not_asked_elsewhere(
    connect: Connect, peers: list[FakeGateway]
) -> None:
    peers[0].answers["Evaluate"] = [refuse("UNKNOWN", "chaincode response 500, no")]
    with pytest.raises(fabric.EvaluateError, match="chaincode response 500, no"):
        await connect(*peers).network("c").contract("basic").evaluate("get")
    assert peers[1].seen == []


def test_a_gateway_needs_an_endpoint(identity: fabric.Identity) -> None:
    with pytest.raises(ValueError, match="no endpoint"):
        fabric.connect(identity=identity, endpoints=[])


@pytest.mark.parametrize("needed", [0, 4])
def test_as_many_organisations_as_needed_must_be_there(needed: int) -> None:
    with pytest.raises(ValueError):
        fabric.Endorsers(ORGANISATIONS, needed)


async def test_a_gateway_that_hangs_is_not_waited_for_when_another_knows_of_the_commit(
    connect: Connect, peers: list[FakeGateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bal.fabric.failover._LONGEST_WAIT", 0.1)
    peers[0].answers["CommitStatus"] = [hang()]
    submitted = await connect(*peers[:2]).network("c").contract("basic").submit_async("put")
    async with asyncio.timeout(10):
        assert (await submitted.status()).successful
    assert peers[1].count("CommitStatus") == 1


async def test_waiting_long_for_a_commit_is_no_fault_of_the_gateway(
    connect: Connect, peers: list[FakeGateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bal.fabric.failover._LONGEST_WAIT", 0.1)
    peers[0].answers["CommitStatus"] = [hang()]
    contract = connect(*peers[:2]).network("c").contract("basic")
    await contract.submit("put")
    await contract.submit("put")
    assert peers[0].count("Endorse") == 2


async def test_a_way_whose_contract_refused_is_a_way_that_works(
    connect: Connect, peers: list[FakeGateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = refuse("ABORTED", "failed", ("p:1", "DsoMSP", "chaincode response 400, no"))
    contract = connect(*peers, endorsers=TWO_OF_THREE).network("c").contract("basic")
    peers[0].answers["Endorse"] = [dead("DsoMSP")]
    monkeypatch.setattr("bal.fabric.backoff.FIRST_SECONDS", 0.0)
    await contract.submit("put")
    monkeypatch.setattr("bal.fabric.backoff.FIRST_SECONDS", 60.0)
    peers[0].answers["Endorse"] = [refused]
    with pytest.raises(fabric.ContractError):
        await contract.submit("put")
    await contract.submit("put")
    assert endorsements(peers[0])[-2:] == [(), ()]


async def test_an_error_is_made_of_the_failure_that_ended_the_phase(
    connect: Connect, peers: list[FakeGateway]
) -> None:
    """Not of a dead peer's words that came before it: the contract's refusal would be lost in them."""
    refused = 'chaincode response 500, {"code":"fork"}'
    peers[0].answers["Endorse"] = [dead("DsoMSP"), refuse("ABORTED", "failed", ("p:2", "MarketMSP", refused))]
    peers[0].answers["Evaluate"] = [refuse("UNAVAILABLE", "failed", ("p:1", "DsoMSP", DEAD))]
    peers[1].answers["Evaluate"] = [refuse("UNKNOWN", refused)]
    contract = connect(*peers, endorsers=TWO_OF_THREE).network("c").contract("basic")
    with pytest.raises(fabric.ContractError) as endorsing:
        await contract.submit("put")
    assert [(each.msp_id, each.message) for each in endorsing.value.details] == [("MarketMSP", refused)]
    assert [attempt.message for attempt in endorsing.value.attempts] == [
        "failed to endorse transaction",
        "failed",
    ]
    with pytest.raises(fabric.EvaluateError) as evaluating:
        await contract.evaluate("get")
    assert (evaluating.value.code, evaluating.value.message) == ("UNKNOWN", refused)
    assert evaluating.value.details == ()


async def test_a_status_says_which_gateway_told_it(connect: Connect, peers: list[FakeGateway]) -> None:
    submitted = await connect(*peers[:2]).network("c").contract("basic").submit_async("put")
    assert (await submitted.status()).gateway == peers[0].address
    await peers[0].stop()
    assert (await submitted.status()).gateway == peers[1].address
