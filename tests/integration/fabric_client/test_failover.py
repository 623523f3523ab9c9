"""Servers of the real network killed under the client; the next test finds them started again."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from bal import fabric
from tests.integration.fabric_client.conftest import MSPS, Client, Log
from tests.patience import PATIENCE
from tests.real import Real

QUERY = ("ListLogs", "", "5")
TWO_OF_THREE = fabric.Endorsers(MSPS, 2)


@pytest.fixture
def kill(real: Real, dso: Client) -> Iterator[Callable[[str], None]]:
    """Kill a process by the end of its name."""

    def kill_one(name: str) -> None:
        server = real.server("fabric")
        (process,) = [
            each for each in server.processes(real.layout, real.ports("fabric")) if each.name.endswith(name)
        ]
        process.kill()

    yield kill_one
    real("fabric")


async def test_transactions_go_on_while_servers_of_ones_own_organisation_are_killed(
    dso: Client, log: Log, kill: Callable[[str], None]
) -> None:
    """First its chaincode, then its peer (and with it the preferred gateway), then its orderer: each under load."""
    network = dso.network(endpoints=dso.endpoints, endorsers=TWO_OF_THREE)
    contract = network.contract(dso.settings["chaincode"])
    done: list[str] = []
    stop = asyncio.Event()

    async def submits() -> None:
        while not stop.is_set():
            submitted = await contract.submit_async(*QUERY)
            (await submitted.status()).check()
            done.append(submitted.transaction_id)

    status = await (await contract.submit_async("Anchor", log.next())).status()
    events = network.chaincode_events(dso.settings["chaincode"], status.block_number)
    load = [asyncio.create_task(submits()) for _ in range(10)]
    for name in ("dso-chaincode", "dso-peer", "dso-orderer"):
        await further(done, load)
        kill(name)
    await further(done, load)
    later = await (await contract.submit_async("Anchor", log.next())).status()
    stop.set()
    await asyncio.gather(*load)
    assert len(done) == len(set(done))
    seen = [await anext(events)]
    while seen[-1].transaction_id != later.transaction_id:
        seen.append(await anext(events))
    assert seen[0].transaction_id == status.transaction_id
    await events.close()


async def further(done: list[str], load: list[asyncio.Task[None]]) -> None:
    """Wait for 20 more transactions; a task of the load that failed is this test's failure."""
    target = len(done) + 20
    async with asyncio.timeout(PATIENCE):
        while len(done) < target:
            for task in load:
                if task.done():
                    await task
            await asyncio.sleep(0.05)


async def test_events_go_on_when_the_gateway_they_come_from_is_killed(
    dso: Client, log: Log, kill: Callable[[str], None]
) -> None:
    network = dso.network(endpoints=dso.endpoints, endorsers=TWO_OF_THREE)
    contract = network.contract(dso.settings["chaincode"])
    first = await (await contract.submit_async("Anchor", log.next())).status()
    await log.reached()
    async with (
        network.chaincode_events(dso.settings["chaincode"], first.block_number) as events,
        network.filtered_block_events(first.block_number) as blocks,
    ):
        assert (await anext(events)).transaction_id == first.transaction_id
        assert (await anext(blocks)).number == first.block_number
        kill("dso-peer")
        second = await (await contract.submit_async("Anchor", log.next())).status()
        found = await anext(events)
        while found.transaction_id != second.transaction_id:
            found = await anext(events)
        assert (await anext(blocks)).number == first.block_number + 1
