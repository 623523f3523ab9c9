"""An audit beside a service at work: states in flight are no findings, however the steps fall."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bal.core.address import Address
from bal.core.errors import StoreFailed
from bal.verify.audit import audit
from tests.counts import counts
from tests.unit.store.rows import batch
from tests.unit.verify.world import World, found, honest, world


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[World]:
    async with honest(tmp_path) as made:
        yield made


class Meanwhile:
    """A port through which something happens once, just before the call `name` is answered."""

    def __init__(self, port: Any, name: str, happening: Callable[[], Awaitable[object]]) -> None:
        self._port = port
        self._name = name
        self._happening: Callable[[], Awaitable[object]] | None = happening

    def __getattr__(self, name: str) -> Any:
        called = getattr(self._port, name)
        if name != self._name:
            return called

        async def call(*args: Any) -> Any:
            happening, self._happening = self._happening, None
            if happening is not None:
                await happening()
            return await called(*args)

        return call


async def test_an_empty_home_is_in_order(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        report = await made.audit()
        assert report.to_json() == {"ok": True, "readings": 0, "batches": 0, "pending": 0, "findings": []}
        assert report.heads == {}
        await made.begin("bal-1")
        assert (await made.audit()).ok


async def test_a_batch_not_anchored_yet_is_pending(home: World) -> None:
    await home.stored(home.entries(2))
    await home.stored(home.entries(2))
    report = await home.audit()
    assert (found(report), report.pending) == (set(), 2)


async def test_a_batch_not_marked_yet_is_looked_at(home: World) -> None:
    before = (await home.audit()).batches
    await home.anchored(home.entries(2), marked=False)
    report = await home.audit()
    assert (found(report), report.pending, report.batches) == (set(), 0, before + 1)


async def test_a_reading_being_erased_is_in_order(home: World) -> None:
    await home.note(Address("bal-1", 1, 20))
    assert (await home.audit()).ok


async def test_erasures_across_logs_are_in_order(home: World) -> None:
    await home.erase(Address("bal-2", 0, 1), "bal-1")
    await home.erase(Address("bal-1", 2, 0), "bal-2")
    assert (await home.audit()).ok


async def test_a_log_that_was_closed_and_carried_over_is_in_order(home: World) -> None:
    before = (await home.audit()).readings
    old = [await home.stored(home.entries(2)), await home.stored(home.entries(3))]
    await home.store.close_log("bal-1", "refused", 1)
    await home.begin("bal-3")
    for left in old:
        await home.store.carry_over("bal-1", left.seq, await carried(home, left.entries))
    report = await home.audit()
    assert (found(report), report.pending) == (set(), 0)
    assert report.readings == before + 5
    home.put("readings", ("bal-3", 1, 2), log="bal-1", seq=old[0].seq, idx=0)
    assert found(await home.audit()) == {("missing", "bal-3:1:2"), ("added", f"bal-1:{old[0].seq}:0")}


async def carried(home: World, entries: Any) -> Any:
    """Anchor before storing: here only the end counts."""
    sealed = batch(entries, home.last.get("bal-3"), log="bal-3")
    home.last["bal-3"] = sealed.anchor
    await home.ledger.anchor([sealed.anchor])
    return sealed


STEPS = ["anchored", "stored", "erased", "erased-later"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("port", "name"),
    [
        ("store", "logs"),
        ("store", "last_batch"),
        ("store", "unanchored"),
        ("ledger", "verify"),
        ("ledger", "head"),
        ("store", "batch"),
        ("store", "entries"),
        ("store", "tile"),
        ("store", "unlisted"),
        ("store", "strays"),
    ],
)
async def test_whatever_happens_meanwhile_is_in_order(home: World, step: str, port: str, name: str) -> None:
    async def happening() -> None:
        if step == "anchored":
            await home.anchored(home.entries(2))
        elif step == "stored":
            await home.stored(home.entries(2))
        elif step == "erased":
            await home.erase(Address("bal-1", 0, 1))
            await home.erase(Address("bal-2", 0, 1))
        else:
            sealed = await home.anchored(home.entries(2))
            await home.erase(Address("bal-1", sealed.seq, 0))

    ports: dict[str, Any] = {"store": home.store, "ledger": home.ledger}
    ports[port] = Meanwhile(ports[port], name, happening)
    assert found(await audit(ports["store"], ports["ledger"])) == set()


async def test_under_load_nothing_is_found(home: World) -> None:
    at_work = True

    async def work() -> None:
        while at_work:
            sealed = await home.anchored(home.entries(5))
            await home.erase(Address("bal-1", sealed.seq, 1))
            await asyncio.sleep(0)

    task = asyncio.create_task(work())
    try:
        for _ in range(counts(100)):
            assert found(await home.audit()) == set()
    finally:
        at_work = False
        await task


async def test_what_is_missing_stays_missing_while_the_log_grows(home: World) -> None:
    home.delete("readings", ("bal-1", 1, 7))
    grown = Meanwhile(home.store, "strays", lambda: home.anchored(home.entries(1)))
    assert found(await audit(grown, home.ledger)) == {("missing", "bal-1:1:7")}


async def test_progress_is_told(home: World) -> None:
    seen: list[tuple[int, int, int]] = []
    report = await audit(home.store, home.ledger, progress=lambda *numbers: seen.append(numbers))
    assert len(seen) == report.batches
    assert seen[-1] == (report.batches, report.batches, report.readings)


async def test_an_scd_that_cannot_be_read_is_no_finding_but_an_error(home: World) -> None:
    await home.store.close()
    with pytest.raises((StoreFailed, RuntimeError)):
        await home.audit()
