"""Killed processes: the others go on, the killed one comes back."""

from __future__ import annotations

import asyncio
import json
import shutil
from contextlib import AsyncExitStack, suppress

import pytest

from bal.fabric import EvaluateError
from bal.stack.fabric.organisations import ORGANISATIONS, SERVERS
from tests.checks.share import share
from tests.integration.fabric.conftest import Ledger


async def register(ledger: Ledger, *names: str) -> None:
    """Register logs one after the other as an administrator of the DSO."""
    async with ledger.contract(admin=True) as contract:
        for name in names:
            assert json.loads(await contract.submit("RegisterLog", name))["log"] == name


async def agreed(ledger: Ledger, name: str) -> None:
    """Return once each organisation's own peer says the same of a log: a commit is told when one of them has it."""
    said: dict[str, str] = {}
    async with asyncio.timeout(30), AsyncExitStack() as opened:
        contracts = {
            each.msp: await opened.enter_async_context(ledger.contract(owner=each.name, gateways=1))
            for each in ORGANISATIONS
        }
        while len(said) < len(ORGANISATIONS) or len(set(said.values())) > 1:
            for msp, contract in contracts.items():
                with suppress(EvaluateError):  # it has not heard of the log yet
                    said[msp] = (await contract.evaluate("GetHead", name, organisations=(msp,))).decode()
            await asyncio.sleep(0.05)


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
        await agreed(ledger, name)


@pytest.mark.parametrize("owner", ["dso", "regulator"])
async def test_a_whole_organisation_killed(ledger: Ledger, prefix: str, owner: str) -> None:
    gone = [ledger.process(owner, server) for server in SERVERS]
    for process in gone:
        process.kill()
    await register(ledger, *(f"{prefix}-{index}" for index in range(5)))
    assert {process.pid for process in gone} == {None}
    await ledger.start()
    await agreed(ledger, f"{prefix}-4")


async def test_everything_killed_at_once(ledger: Ledger, prefix: str) -> None:
    await register(ledger, f"{prefix}-1")
    for process in ledger.network.processes():
        process.kill()
    await ledger.start()
    await register(ledger, f"{prefix}-2")
    await agreed(ledger, f"{prefix}-1")


async def test_a_peer_that_lost_its_data_is_filled_again(ledger: Ledger, prefix: str) -> None:
    await register(ledger, f"{prefix}-1")
    process = ledger.process("market", "peer")
    process.kill()
    shutil.rmtree(ledger.network.path / "data" / "market-peer")
    await ledger.start()
    await agreed(ledger, f"{prefix}-1")
