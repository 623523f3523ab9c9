"""Off-line signing on the real network."""

import pytest

from bal import fabric
from tests.integration.fabric_client.conftest import Client, Log

QUERY = ("ListLogs", "", "5")


async def sign(client: Client, digest: bytes) -> bytes:
    signature = client.signer()(digest)
    assert isinstance(signature, bytes)
    return signature


async def test_nothing_goes_without_a_signature(dso: Client) -> None:
    contract = dso.contract(signer=None)
    with pytest.raises(fabric.NotSigned):
        await contract.evaluate(*QUERY)
    with pytest.raises(fabric.NotSigned):
        await contract.submit(*QUERY)


async def test_a_query_signed_off_line(dso: Client) -> None:
    gateway = dso.gateway(signer=None)
    contract = gateway.network(dso.settings["channel"]).contract(dso.settings["chaincode"])
    unsigned = contract.new_proposal(*QUERY)
    signed = gateway.new_proposal(unsigned.to_bytes(), await sign(dso, unsigned.digest))
    assert await signed.evaluate()


async def test_a_transaction_and_its_event_signed_off_line(dso: Client, log: Log) -> None:
    gateway = dso.gateway(signer=None)
    network = gateway.network(dso.settings["channel"])
    unsigned = network.contract(dso.settings["chaincode"]).new_proposal("Anchor", log.next())
    proposal = gateway.new_proposal(unsigned.to_bytes(), await sign(dso, unsigned.digest))
    endorsed = await proposal.endorse()
    transaction = gateway.new_transaction(endorsed.to_bytes(), await sign(dso, endorsed.digest))
    submitted = await transaction.submit()
    commit = gateway.new_commit(submitted.to_bytes(), await sign(dso, submitted.digest))
    status = await commit.status()
    assert status.successful

    asked = network.new_chaincode_events_request(dso.settings["chaincode"], status.block_number)
    request = gateway.new_chaincode_events_request(asked.to_bytes(), await sign(dso, asked.digest))
    async with request.events() as events:
        found = [await anext(events)]
        while found[-1].transaction_id != submitted.transaction_id:
            found.append(await anext(events))
    assert found[-1].block_number == status.block_number

    blocks = network.new_block_events_request(status.block_number)
    again = gateway.new_block_events_request(blocks.to_bytes(), await sign(dso, blocks.digest))
    async with again.events() as stream:
        assert (await anext(stream)).header.number == status.block_number
