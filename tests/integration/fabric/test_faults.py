"""Killed processes: the others go on, the killed one comes back."""

from __future__ import annotations

import json
import shutil

import pytest

from bal.stack.fabric.organisations import ORGANISATIONS, SERVERS
from tests.checks.share import share
from tests.integration.fabric.conftest import Ledger


async def register(ledger: Ledger, *names: str) -> None:
    """Register logs one after the other as an administrator of the DSO."""
    async with ledger.contract(admin=True) as contract:
        for name in names:
            assert json.loads(await contract.submit("RegisterLog", name))["log"] == name


# Four steps on: in a default run each organisation once, and each kind of process.
KILLED = [(each.name, server) for each in ORGANISATIONS for server in SERVERS]


@pytest.mark.parametrize(("owner", "server"), share(KILLED, 4))
async def test_one_process_killed(ledger: Ledger, prefix: str, owner: str, server: str) -> None:
    process = ledger.process(owner, server)
    process.kill()
    await register(ledger, f"{prefix}-1", f"{prefix}-2")
    assert process.pid is None
    await ledger.start()
    await register(ledger, f"{prefix}-3")
    for name in (f"{prefix}-1", f"{prefix}-3"):
        await ledger.agreed(name)


@pytest.mark.parametrize("owner", ["dso", "regulator"])
async def test_a_whole_organisation_killed(ledger: Ledger, prefix: str, owner: str) -> None:
    gone = [ledger.process(owner, server) for server in SERVERS]
    for process in gone:
        process.kill()
    await register(ledger, *(f"{prefix}-{index}" for index in range(5)))
    assert {process.pid for process in gone} == {None}
    await ledger.start()
    await ledger.agreed(f"{prefix}-4")


async def test_everything_killed_at_once(ledger: Ledger, prefix: str) -> None:
    await register(ledger, f"{prefix}-1")
    for process in ledger.network.processes():
        process.kill()
    await ledger.start()
    await register(ledger, f"{prefix}-2")
    await ledger.agreed(f"{prefix}-1")


async def test_a_peer_that_lost_its_data_is_filled_again(ledger: Ledger, prefix: str) -> None:
    await register(ledger, f"{prefix}-1")
    process = ledger.process("market", "peer")
    process.kill()
    shutil.rmtree(ledger.network.path / "data" / "market-peer")
    await ledger.start()
    await ledger.agreed(f"{prefix}-1")
