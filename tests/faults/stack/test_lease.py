"""A lane has one worker: a second one is refused, and one that wakes up after its lease writes nothing more."""

import asyncio
import shutil
import signal

import pytest

from bal.home import Home
from tests.checks.processes import Command, free_port
from tests.counts import figure
from tests.faults.stack.plant import WINDOW, Plant

pytestmark = pytest.mark.timeout(600)


def beside(plant: Plant, name: str) -> tuple[Home, str]:
    """Return another home of the same BAL, with its settings and its keys, and its URL: a worker on another machine."""
    home = plant.folder / name
    home.mkdir()
    (host, _, taken), free = plant.url.rpartition(":"), free_port()  # another machine's is free
    settings = (plant.home.path / "bal.toml").read_text().replace(f"port = {taken}", f"port = {free}")
    (home / "bal.toml").write_text(settings)
    shutil.copytree(plant.home.keys, home / "keys")
    return Home(home), f"{host}:{free}"


async def test_a_second_worker_on_a_held_lane_is_refused(plant: Plant) -> None:
    await plant.run()
    sender = plant.by_mqtt("lease-held")
    try:
        await sender.goes_on()
        second, _ = beside(plant, "second")
        log = plant.folder / "second.log"
        with Command(second.path, log, "run", "--json") as command:
            code, out = await asyncio.to_thread(command.wait)
        assert (code, out) == (2, b"")
        assert "another worker runs this lane" in log.read_text()
        assert plant.home.path.name in log.read_text(), "it names the lane"
        await sender.goes_on()
        readings = await plant.check(sender)
    finally:
        sender.end()
    assert plant.is_running()
    figure(f"refused; {readings} readings")


async def test_a_worker_that_wakes_up_after_its_lease_writes_nothing_and_says_so(plant: Plant) -> None:
    await plant.run()
    paused = plant.service
    assert paused is not None
    sender = plant.by_mqtt("lease-lost")
    log = plant.folder / f"{plant.home.path.name}-service.log"
    try:
        await sender.goes_on()
        paused.process.send_signal(signal.SIGSTOP)
        (plant.home, plant.url), plant.service = beside(plant, "successor"), None
        await plant.run()
        await sender.goes_on(WINDOW + 2)
        said = log.stat().st_size
        paused.process.send_signal(signal.SIGCONT)
        code, _ = await asyncio.to_thread(paused.wait)
        assert code == 2
        assert "another worker runs this lane" in log.read_bytes()[said:].decode()
        await sender.goes_on(WINDOW + 2)
        readings = await plant.check(sender)
    finally:
        sender.end()
        paused.__exit__()
    assert plant.is_running()
    figure(f"woken up and ended; {readings} readings")
