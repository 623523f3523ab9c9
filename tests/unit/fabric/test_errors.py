import asyncio
import logging

import pytest

from bal import fabric
from tests.unit.fabric.conftest import Connect
from tests.unit.fabric.fake import FakeGateway, FakeNetwork, hang, refuse, until

PEERS = [("peer0:7051", "DsoMSP", "said one"), ("peer1:8051", "MarketMSP", "said two")]


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("Evaluate", fabric.EvaluateError),
        ("Endorse", fabric.EndorseError),
        ("Submit", fabric.SubmitError),
        ("CommitStatus", fabric.CommitStatusError),
    ],
)
async def test_each_phase_has_its_error_with_code_and_the_peers_details(
    connect: Connect, peers: list[FakeGateway], method: str, error: type[fabric.GatewayError]
) -> None:
    peers[0].answers[method] = [refuse("INTERNAL", "in all", *PEERS)]
    contract = connect(peers[0]).network("c").contract("basic")
    with pytest.raises(error) as caught:
        await (contract.evaluate("f") if method == "Evaluate" else contract.submit("f"))
    assert type(caught.value) is error
    assert (caught.value.code, caught.value.message) == ("INTERNAL", "in all")
    assert caught.value.details == tuple(
        fabric.ErrorDetail(address=a, msp_id=m, message=t) for a, m, t in PEERS
    )
    assert caught.value.transaction_id == _transaction_id(peers[0])
    assert "peer1:8051: said two" in str(caught.value)


async def test_every_error_is_of_one_tree() -> None:
    raised = [value for value in vars(fabric).values() if isinstance(value, type)]
    errors = [value for value in raised if issubclass(value, Exception)]
    assert len(errors) >= 12
    assert all(issubclass(error, fabric.FabricError) for error in errors)


async def test_what_the_contract_refused_is_told_apart(connect: Connect, peers: list[FakeGateway]) -> None:
    said = ("p", "DsoMSP", "chaincode response 500, wrong sequence")
    peers[0].answers["Endorse"] = [refuse("ABORTED", "failed to endorse", said)]
    with pytest.raises(fabric.ContractError, match="wrong sequence") as caught:
        await connect(peers[0]).network("c").contract("basic").submit("f")
    assert caught.value.outcome is fabric.Outcome.NOT_SUBMITTED


async def test_differing_results_are_told_apart(connect: Connect, peers: list[FakeGateway]) -> None:
    said = ("p", "MarketMSP", "ProposalResponsePayloads do not match")
    peers[0].answers["Endorse"] = [refuse("ABORTED", "failed to collect", said)]
    with pytest.raises(fabric.MismatchError) as caught:
        await connect(peers[0]).network("c").contract("basic").submit("f")
    assert caught.value.outcome is fabric.Outcome.NOT_SUBMITTED


@pytest.mark.parametrize(
    "code", ["INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND", "PERMISSION_DENIED"]
)
async def test_a_gateway_that_refuses_to_submit_has_not_submitted(
    connect: Connect, peers: list[FakeGateway], code: str
) -> None:
    peers[0].answers["Submit"] = [refuse(code)]
    with pytest.raises(fabric.SubmitError) as caught:
        await connect(peers[0]).network("c").contract("basic").submit("f")
    assert caught.value.outcome is fabric.Outcome.NOT_SUBMITTED


@pytest.mark.parametrize("code", ["ABORTED", "INTERNAL", "UNKNOWN"])
async def test_after_any_other_refusal_it_may_be_submitted(
    connect: Connect, peers: list[FakeGateway], code: str
) -> None:
    peers[0].answers["Submit"] = [refuse(code)]
    with pytest.raises(fabric.SubmitError) as caught:
        await connect(peers[0]).network("c").contract("basic").submit("f")
    assert caught.value.outcome is fabric.Outcome.UNKNOWN


async def test_once_uncertain_a_later_refusal_changes_nothing(
    connect: Connect, peers: list[FakeGateway]
) -> None:
    peers[0].answers["Submit"] = [refuse("UNAVAILABLE"), refuse("NOT_FOUND")]
    with pytest.raises(fabric.SubmitError) as caught:
        await connect(peers[0]).network("c").contract("basic").submit("f")
    assert caught.value.outcome is fabric.Outcome.UNKNOWN
    assert [attempt.code for attempt in caught.value.attempts] == ["UNAVAILABLE", "NOT_FOUND"]


async def test_no_connection_at_all_is_known_not_to_have_submitted(
    connect: Connect, peers: list[FakeGateway]
) -> None:
    contract = connect(peers[0]).network("c").contract("basic")
    transaction = await contract.new_proposal("f").endorse()
    await peers[0].stop()
    await asyncio.sleep(0.05)
    with pytest.raises(fabric.SubmitError) as caught:
        await transaction.submit(seconds=0.4)
    assert caught.value.code == "UNAVAILABLE"
    assert caught.value.outcome is fabric.Outcome.NOT_SUBMITTED


async def test_a_status_not_learnt_leaves_the_outcome_unknown(
    connect: Connect, peers: list[FakeGateway]
) -> None:
    peers[0].answers["CommitStatus"] = [hang()] * 5
    contract = connect(peers[0], deadlines=fabric.Deadlines(commit_status=0.1)).network("c").contract("basic")
    with pytest.raises(fabric.CommitStatusError) as caught:
        await contract.submit("f")
    assert caught.value.code == "DEADLINE_EXCEEDED"
    assert caught.value.outcome is fabric.Outcome.UNKNOWN


@pytest.mark.parametrize("method", ["Evaluate", "Endorse", "Submit"])
async def test_each_phase_has_a_deadline(connect: Connect, peers: list[FakeGateway], method: str) -> None:
    peers[0].answers[method] = [hang()] * 5
    short = fabric.Deadlines(evaluate=0.1, endorse=0.1, submit=0.1)
    contract = connect(peers[0]).network("c").contract("basic")
    with pytest.raises(fabric.GatewayError) as caught:
        await (
            contract.evaluate("f", deadlines=short)
            if method == "Evaluate"
            else contract.submit("f", deadlines=short)
        )
    assert caught.value.code == "DEADLINE_EXCEEDED"


async def test_a_deadline_is_given_call_by_call(connect: Connect, peers: list[FakeGateway]) -> None:
    peers[0].answers["Evaluate"] = [hang()]
    proposal = connect(peers[0]).network("c").contract("basic").new_proposal("f")
    with pytest.raises(fabric.EvaluateError):
        await proposal.evaluate(seconds=0.1)
    assert await proposal.evaluate() == b"f"


async def test_a_cancelled_caller_is_cancelled(connect: Connect, peers: list[FakeGateway]) -> None:
    peers[0].answers["Evaluate"] = [hang()]
    task = asyncio.create_task(connect(peers[0]).network("c").contract("basic").evaluate("f"))
    await until(lambda: peers[0].count("Evaluate") == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_calls_under_way_end_with_an_error_when_the_gateway_is_closed(
    connect: Connect, peers: list[FakeGateway]
) -> None:
    peers[0].answers["Evaluate"] = [hang()]
    gateway = connect(peers[0])
    task = asyncio.create_task(gateway.network("c").contract("basic").evaluate("f"))
    await until(lambda: peers[0].count("Evaluate") == 1)
    await gateway.close()
    with pytest.raises(fabric.EvaluateError, match="CANCELLED"):
        await task
    with pytest.raises(fabric.Closed):
        await gateway.network("c").contract("basic").evaluate("f")


async def test_closed_while_submitting_the_outcome_is_unknown(
    connect: Connect, peers: list[FakeGateway]
) -> None:
    peers[0].answers["Submit"] = [hang()]
    gateway = connect(peers[0])
    task = asyncio.create_task(gateway.network("c").contract("basic").submit("f"))
    await until(lambda: peers[0].count("Submit") == 1)
    await gateway.close()
    with pytest.raises(fabric.SubmitError) as caught:
        await task
    assert caught.value.outcome is fabric.Outcome.UNKNOWN


async def test_nothing_of_a_transaction_is_logged(
    connect: Connect, peers: list[FakeGateway], network: FakeNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    contract = connect(peers[0], peers[1]).network("c").contract("basic")
    await peers[0].stop()
    await contract.submit("put", "PAYLOAD", transient={"key": "SECRET"})
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("bal")]
    assert ours == [f"Endorse at {peers[0].address} failed: UNAVAILABLE"]


def test_objects_show_no_key_and_no_payload(identity: fabric.Identity) -> None:
    event = fabric.ChaincodeEvent(1, "t", "c", "n", b"PAYLOAD")
    endpoint = fabric.Endpoint("a:1", tls_roots=b"ROOTS", key=b"KEY", certificate=b"CERT")
    shown = repr((event, endpoint, identity))
    assert not any(word in shown for word in ("PAYLOAD", "KEY", "CERT", "ROOTS"))


def _transaction_id(peer: FakeGateway) -> str:
    return str(peer.seen[0][1].transaction_id)
