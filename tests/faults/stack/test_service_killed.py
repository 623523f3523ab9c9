"""`kill -9` of `bal run` on the real servers under load: what had a receipt is there, certified, published, shown once."""

import asyncio
import signal

import pytest

from tests.counts import counts, figure, part
from tests.faults.stack.operations import leader, waiting_commits
from tests.faults.stack.plant import WINDOW, Plant, until

KILLS = 50
ROUNDS = 20


@pytest.mark.hammer
@pytest.mark.timeout(600 + 60 * part(KILLS))
async def test_kill_9_of_the_service_at_random(plant: Plant) -> None:
    kills = counts(KILLS)
    await plant.run()
    senders = [plant.by_mqtt("service-killed")]
    try:
        senders.append(await plant.by_https("service-web"))
        for number in range(kills):
            if number % 5 != 4:  # the fifth comes while they may not be back yet
                await asyncio.gather(*(sender.goes_on() for sender in senders))
            await asyncio.sleep(plant.chance.uniform(0, 1.5))
            await plant.kill()
            await plant.run()
        await asyncio.gather(*(sender.goes_on() for sender in senders))
        readings = await plant.check(*senders)
    finally:
        for sender in senders:
            sender.end()
    figure(f"{kills} kills, {readings} readings")


@pytest.mark.hammer
@pytest.mark.timeout(600 + 60 * part(ROUNDS))
async def test_kafka_away_at_a_restart_stops_no_intake(plant: Plant) -> None:
    rounds = counts(ROUNDS)
    await plant.run()
    sender = plant.by_mqtt("kafka-away")
    kafka = plant.grid.process("kafka")
    try:
        for _ in range(rounds):
            await sender.goes_on()
            await asyncio.to_thread(kafka.kill)
            await plant.kill()
            await plant.run()
            await sender.goes_on(WINDOW + 2)
            assert kafka.pid is None
            await asyncio.to_thread(plant.grid.up, "kafka")
        readings = await plant.check(sender)
    finally:
        sender.end()
    figure(f"{rounds} times killed while Kafka was away, {readings} readings")


@pytest.mark.hammer
@pytest.mark.timeout(600 + 60 * part(ROUNDS))
async def test_killed_with_the_orderers_between_submit_and_commit(plant: Plant) -> None:
    """Nobody knows what became of the anchors under way: neither the killed service nor the next one.

    An orderer that leads and is alone takes a transaction for some seconds and can't order it: the service waits for the
    commit when both die.
    """
    rounds, grid = counts(ROUNDS), plant.grid
    await plant.run()
    sender = plant.by_mqtt("orderers-too")
    orderers = [grid.process(f"fabric-{each}-orderer") for each in ("dso", "market", "regulator")]
    try:
        for _ in range(rounds):
            await sender.goes_on()
            await asyncio.sleep(plant.chance.uniform(0, 0.5))
            leads = await asyncio.to_thread(leader, grid)
            followers = [each for each in orderers if each.name != leads]
            for orderer in followers:
                orderer.signal(signal.SIGKILL)
            for orderer in followers:
                await asyncio.to_thread(orderer.kill)
            await sender.goes_on()  # whatever was ordered before is committed by now
            await until(lambda: waiting_commits(grid) > 0, "anchors are under way")
            await asyncio.to_thread(grid.process(leads).kill)
            await plant.kill()
            for orderer in orderers:
                await asyncio.to_thread(orderer.start)
            await plant.run()
            await asyncio.to_thread(plant.grid.up, "fabric")
        await sender.goes_on()
        readings = await plant.check(sender)
    finally:
        sender.end()
    figure(f"{rounds} times killed with anchors under way, {readings} readings")
