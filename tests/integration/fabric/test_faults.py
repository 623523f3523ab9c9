"""Killed processes: the others go on, the killed one comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from bal.stack.fabric.organisations import ORGANISATIONS, SERVERS
from bal.stack.process import Process
from tests.integration.fabric.conftest import Ledger


async def register(ledger: Ledger, *names: str) -> None:
    """Register logs one after the other as an administrator of the DSO."""
    async with ledger.contract(admin=True) as contract:
        for name in names:
            assert json.loads(await contract.submit("RegisterLog", name))["log"] == name


async def healed(ledger: Ledger) -> None:
    """Return once the network answers through all organisations again."""
    server = ledger.real.server("fabric")
    start: Callable[..., None] = server.start
    await asyncio.to_thread(start, ledger.real.layout, ledger.real.ports("fabric"), lambda _line: None)


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
    process.start()
    await healed(ledger)
    await register(ledger, f"{prefix}-3")
    for name in (f"{prefix}-1", f"{prefix}-3"):
        assert len(await heads(ledger, name)) == 1


@pytest.mark.parametrize("owner", ["dso", "regulator"])
async def test_a_whole_organisation_killed(ledger: Ledger, prefix: str, owner: str) -> None:
    gone = [ledger.process(owner, server) for server in SERVERS]
    for process in gone:
        process.kill()
    await register(ledger, *(f"{prefix}-{index}" for index in range(5)))
    start_again(gone)
    await healed(ledger)
    assert len(await heads(ledger, f"{prefix}-4")) == 1


async def test_everything_killed_at_once(ledger: Ledger, prefix: str) -> None:
    await register(ledger, f"{prefix}-1")
    for process in ledger.network.processes():
        process.kill()
    await healed(ledger)
    await register(ledger, f"{prefix}-2")
    assert len(await heads(ledger, f"{prefix}-1")) == 1


def start_again(processes: list[Process]) -> None:
    """Start what was killed."""
    for process in processes:
        process.start()
