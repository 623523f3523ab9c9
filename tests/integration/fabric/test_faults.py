"""Killed processes: the others go on, the killed one comes back."""

from __future__ import annotations

import json
import shutil

import pytest

from bal.stack.fabric.organisations import ORGANISATIONS, SERVERS
from bal.stack.process import Process
from tests.integration.fabric.conftest import Ledger


async def register(ledger: Ledger, *names: str) -> None:
    """Register logs one after the other as an administrator of the DSO."""
    async with ledger.contract(admin=True) as contract:
        for name in names:
            assert json.loads(await contract.submit("RegisterLog", name))["log"] == name


async def heads(ledger: Ledger, name: str) -> set[str]:
    """Return what each organisation's own peer says of a log."""
    said = set()
    for each in ORGANISATIONS:
        async with ledger.contract(owner=each.name, gateways=1) as contract:
            said.add((await contract.evaluate("GetHead", name, organisations=(each.msp,))).decode())
    return said


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("owner", [each.name for each in ORGANISATIONS])
async def test_one_process_killed(ledger: Ledger, prefix: str, owner: str, server: str) -> None:
    process = ledger.process(owner, server)
    process.kill()
    await register(ledger, f"{prefix}-1", f"{prefix}-2")
    assert process.pid is None
    process.start()
    await ledger.start()
    await register(ledger, f"{prefix}-3")
    for name in (f"{prefix}-1", f"{prefix}-3"):
        assert len(await heads(ledger, name)) == 1


@pytest.mark.parametrize("owner", ["dso", "regulator"])
async def test_a_whole_organisation_killed(ledger: Ledger, prefix: str, owner: str) -> None:
    gone = [ledger.process(owner, server) for server in SERVERS]
    for process in gone:
        process.kill()
    await register(ledger, *(f"{prefix}-{index}" for index in range(5)))
    assert {process.pid for process in gone} == {None}
    start_again(gone)
    await ledger.start()
    assert len(await heads(ledger, f"{prefix}-4")) == 1


async def test_everything_killed_at_once(ledger: Ledger, prefix: str) -> None:
    await register(ledger, f"{prefix}-1")
    for process in ledger.network.processes():
        process.kill()
    await ledger.start()
    await register(ledger, f"{prefix}-2")
    assert len(await heads(ledger, f"{prefix}-1")) == 1


async def test_a_peer_that_lost_its_data_is_filled_again(ledger: Ledger, prefix: str) -> None:
    await register(ledger, f"{prefix}-1")
    process = ledger.process("market", "peer")
    process.kill()
    shutil.rmtree(ledger.network.path / "data" / "market-peer")
    await ledger.start()
    assert len(await heads(ledger, f"{prefix}-1")) == 1


def start_again(processes: list[Process]) -> None:
    """Start what was killed."""
    for process in processes:
        process.start()
