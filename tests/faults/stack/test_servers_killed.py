"""`kill -9` of every server under load: the rest goes on, what comes back is taken up, nothing accepted is lost."""

import asyncio
import time
from dataclasses import dataclass

import pytest

from bal.stack.process import Process
from tests.counts import counts, figure, part
from tests.faults.stack.operations import leader
from tests.faults.stack.plant import LEASE, WINDOW, Plant, Sender, until
from tests.grid import Grid

ROUNDS = 20
_PARTS = ("orderer", "peer", "chaincode")


@dataclass(frozen=True)
class Fault:
    """What is killed, and what must go on while it is away."""

    name: str
    killed: tuple[str, ...]
    server: str
    accepted: bool = True
    """Receipts go on."""
    certified: bool = True
    """So does what is anchored and published."""
    seconds: float = 0.0
    """How long it stays away at least."""


FAULTS = (
    Fault("own-peer", ("fabric-dso-peer",), "fabric"),
    Fault("other-peer", ("fabric-market-peer",), "fabric"),
    Fault("leader", ("leading orderer",), "fabric"),
    Fault("chaincode", ("fabric-dso-chaincode",), "fabric"),
    Fault("own-organisation", tuple(f"fabric-dso-{part}" for part in _PARTS), "fabric"),
    Fault("other-organisation", tuple(f"fabric-regulator-{part}" for part in _PARTS), "fabric"),
    Fault(
        "orderers",
        tuple(f"fabric-{each}-orderer" for each in ("dso", "market", "regulator")),
        "fabric",
        certified=False,
        seconds=3.0,
    ),
    Fault("kafka", ("kafka",), "kafka", certified=False),
    Fault("mosquitto", ("mosquitto",), "mosquitto", accepted=False, certified=False),
    Fault("cassandra", ("cassandra",), "cassandra", accepted=False, certified=False, seconds=2 * LEASE),
)


def killed(grid: Grid, fault: Fault) -> list[Process]:
    """Return the processes of a fault."""
    return [grid.process(leader(grid) if name == "leading orderer" else name) for name in fault.killed]


async def goes_on(plant: Plant, sender: Sender, fault: Fault) -> None:
    """Assert that what a fault does not touch goes on."""
    if fault.accepted:
        await sender.goes_on(WINDOW + 2)  # one of them at least was sent since
    if fault.certified:
        stream, readings = plant.stream(sender.source), sender.readings()
        await until(lambda: stream.count() >= readings, "what was sent since is on the topic")


async def kill(plant: Plant, sender: Sender, fault: Fault) -> None:
    """Kill what a fault names while the sender goes on, and bring it back."""
    await sender.goes_on()
    await asyncio.sleep(plant.chance.uniform(0, 1))
    processes = await asyncio.to_thread(killed, plant.grid, fault)
    for process in processes:
        await asyncio.to_thread(process.kill)
    away = time.monotonic()
    await goes_on(plant, sender, fault)
    await asyncio.sleep(max(0.0, fault.seconds + away - time.monotonic()))
    assert {process.pid for process in processes} == {None}
    await asyncio.to_thread(plant.grid.up, fault.server)
    await sender.goes_on()


@pytest.mark.hammer
@pytest.mark.timeout(900 + 600 * part(ROUNDS))
async def test_killed_under_load_one_after_the_other(plant: Plant) -> None:
    rounds = counts(ROUNDS)
    await plant.run()
    assert plant.service is not None
    pid = plant.service.process.pid
    sender = plant.by_mqtt("servers-killed")
    try:
        for _ in range(rounds):
            for fault in FAULTS:
                begun = time.monotonic()
                try:
                    await kill(plant, sender, fault)
                except BaseException as error:
                    error.add_note(f"the fault: {fault.name}")
                    raise
                figure(f"{fault.name} killed and back, {time.monotonic() - begun:.0f} s")
        readings = await plant.check(sender)
    finally:
        sender.end()
    assert plant.is_running()
    assert plant.service.process.pid == pid
    figure(f"{rounds} times {len(FAULTS)} faults, {readings} readings")
