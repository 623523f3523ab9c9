"""Chaincode events and blocks on the real network, where other tests may commit at the same time."""

import json
from pathlib import Path
from typing import Any

import pytest

from bal import fabric
from tests.integration.fabric_client.conftest import Client, Log

KINDS = ["block_events", "filtered_block_events", "block_and_private_data_events"]
QUERY = ("ListLogs", "", "5")


def number_of(block: Any) -> int:
    """Return the number of a block of any kind."""
    if hasattr(block, "block"):
        return int(block.block.header.number)
    return int(block.header.number if hasattr(block, "header") else block.number)


async def of(events: fabric.Events[fabric.ChaincodeEvent], log: Log) -> fabric.ChaincodeEvent:
    """Return the next event of a log."""
    async for event in events:
        if json.loads(event.payload)["log"] == log.name:
            return event
    pytest.fail("the stream ended")


async def started(network: fabric.Network) -> fabric.Status:
    """Commit something, so that a block to start at is known."""
    return await (await network.contract("certification").submit_async(*QUERY)).status()


async def anchor(client: Client, log: Log) -> fabric.Status:
    status = await (await client.contract().submit_async("Anchor", log.next())).status()
    await log.reached()
    return status


async def test_an_event_is_received(dso: Client, log: Log) -> None:
    network = dso.network()
    begin = await started(network)
    async with network.chaincode_events(dso.settings["chaincode"], begin.block_number) as events:
        status = await anchor(dso, log)
        event = await of(events, log)
    assert (event.name, event.chaincode) == ("anchored", dso.settings["chaincode"])
    assert (event.block_number, event.transaction_id) == (status.block_number, status.transaction_id)
    assert json.loads(event.payload)["first"] == 0


async def test_an_event_is_replayed(dso: Client, log: Log) -> None:
    status = await anchor(dso, log)
    async with dso.network().chaincode_events(dso.settings["chaincode"], status.block_number) as events:
        assert (await of(events, log)).transaction_id == status.transaction_id


async def test_listening_again_after_closing(dso: Client, log: Log) -> None:
    network = dso.network()
    for _ in range(2):
        begin = await started(network)
        async with network.chaincode_events(dso.settings["chaincode"], begin.block_number) as events:
            status = await anchor(dso, log)
            assert (await of(events, log)).transaction_id == status.transaction_id


async def test_closing_one_listener_leaves_the_other(dso: Client, log: Log) -> None:
    network = dso.network()
    begin = await started(network)
    first = network.chaincode_events(dso.settings["chaincode"], begin.block_number)
    second = network.chaincode_events(dso.settings["chaincode"], begin.block_number)
    status = await anchor(dso, log)
    assert (await of(first, log)).transaction_id == status.transaction_id
    assert (await of(second, log)).transaction_id == status.transaction_id
    await first.close()
    assert [event async for event in first] == []
    status = await anchor(dso, log)
    assert (await of(second, log)).transaction_id == status.transaction_id
    await second.close()


async def test_events_go_on_from_a_checkpoint(dso: Client, log: Log, tmp_path: Path) -> None:
    network = dso.network()
    status = await anchor(dso, log)
    path = tmp_path / "checkpoint.json"
    checkpointer = fabric.FileCheckpointer(path)
    async with network.chaincode_events(
        dso.settings["chaincode"], status.block_number, checkpointer
    ) as events:
        await checkpointer.checkpoint_chaincode_event(await of(events, log))
    status = await anchor(dso, log)
    again = fabric.FileCheckpointer(path)
    async with network.chaincode_events(dso.settings["chaincode"], 0, again) as events:
        assert (await of(events, log)).transaction_id == status.transaction_id


@pytest.mark.parametrize("kind", KINDS)
async def test_blocks_are_received_replayed_and_gone_on_from_a_checkpoint(dso: Client, kind: str) -> None:
    network = dso.network()
    follow = getattr(network, kind)
    first = await started(network)
    checkpointer = fabric.Checkpointer()
    async with follow(first.block_number) as blocks:
        replayed = await anext(blocks)
        assert number_of(replayed) == first.block_number
        await checkpointer.checkpoint_block(number_of(replayed))
        await started(network)
        assert number_of(await anext(blocks)) == first.block_number + 1
    async with follow(checkpoint=checkpointer) as blocks:
        assert number_of(await anext(blocks)) == first.block_number + 1


@pytest.mark.parametrize("kind", KINDS)
async def test_closing_one_listener_of_blocks_leaves_the_other(dso: Client, kind: str) -> None:
    network = dso.network()
    begin = await started(network)
    first, second = (getattr(network, kind)(begin.block_number) for _ in range(2))
    assert number_of(await anext(first)) == number_of(await anext(second)) == begin.block_number
    await first.close()
    await started(network)
    assert number_of(await anext(second)) == begin.block_number + 1
    await second.close()


async def test_a_filtered_block_tells_what_became_of_each_transaction(dso: Client) -> None:
    network = dso.network()
    status = await started(network)
    async with network.filtered_block_events(status.block_number) as blocks:
        block = await anext(blocks)
    codes = {each.txid: each.tx_validation_code for each in block.filtered_transactions}
    assert codes[status.transaction_id] == status.code
    assert block.channel_id == dso.settings["channel"]
