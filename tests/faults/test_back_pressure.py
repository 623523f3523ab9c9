"""Back-pressure has numbers: past them intake stops, and it goes on when there is room again; nothing is lost."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bal.anchor.embedded.ledger import EmbeddedLedger
from bal.core.errors import Overloaded
from bal.core.message import Receipt
from bal.home import Home
from bal.lane.collecting import SEALED_AHEAD
from bal.lane.room import CERTIFICATE_BYTES
from bal.publish.jsonl import JsonLines
from tests.attacks.test_erasure import document, message, opened
from tests.checks.books import check_audit, check_certificates, check_published, rows
from tests.patience import PATIENCE

LEAVES = 8
BATCHES = 5
"""How many batches may wait."""
MESSAGES = 40


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


class Gate:
    """Holds up every call of a method while it is shut."""

    def __init__(self, patch: pytest.MonkeyPatch, owner: type, name: str) -> None:
        self.open = asyncio.Event()
        self.waiting = asyncio.Event()
        original: Callable[..., Any] = getattr(owner, name)

        async def held(*args: Any, **kwargs: Any) -> Any:
            self.waiting.set()
            await self.open.wait()
            return await original(*args, **kwargs)

        patch.setattr(owner, name, held)


async def _fill(one: Any) -> tuple[list["asyncio.Task[Receipt]"], int]:
    """Submit documents, a batch each, until the service takes no more; return what is under way."""
    taken: list[asyncio.Task[Receipt]] = []
    for number in range(MESSAGES):
        numbers = range(number * LEAVES, (number + 1) * LEAVES)
        task = asyncio.create_task(one.service.submit(message(document(numbers))))
        await asyncio.wait([task], timeout=PATIENCE)
        if task.done() and isinstance(task.exception(), Overloaded):
            return taken, number
        taken.append(task)
    raise AssertionError("it never stopped")


@pytest.mark.parametrize("stage", ["ledger", "output"])
async def test_intake_stops_and_goes_on(home: Home, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    owner, name = {"ledger": (EmbeddedLedger, "anchor"), "output": (JsonLines, "publish")}[stage]
    numbers = {"unanchored_batches": BATCHES} if stage == "ledger" else {}
    if stage == "output":
        numbers = {"unpublished_bytes": BATCHES * LEAVES * CERTIFICATE_BYTES}
    async with opened(home, batch_leaves=LEAVES, **numbers) as one:
        gate = Gate(monkeypatch, owner, name)
        room = one.service.pipeline.lanes["bal-1"].room
        taken, stopped_at = await _fill(one)
        await gate.waiting.wait()
        assert BATCHES <= stopped_at <= BATCHES + SEALED_AHEAD + 1
        assert room.unanchored <= BATCHES + SEALED_AHEAD
        assert room.unpublished_bytes <= (BATCHES + SEALED_AHEAD) * LEAVES * CERTIFICATE_BYTES
        held = [
            asyncio.create_task(one.service.ingest(message(document(range(n * LEAVES, (n + 1) * LEAVES)))))
            for n in range(stopped_at, MESSAGES)
        ]
        await asyncio.wait(held, timeout=0.2)
        assert not any(task.done() for task in held), "senders that wait are held, not refused"
        assert room.messages == sum(not task.done() for task in taken)
        gate.open.set()
        receipts = await asyncio.gather(*taken, *held)
        assert sum(receipt.accepted for receipt in receipts) == MESSAGES * LEAVES
    history = await rows(home, "dso-a", history=True)
    assert len(history) == MESSAGES * LEAVES
    await check_published(home, history)
    await check_certificates(home, 7)
    await check_audit(home)


async def test_what_was_taken_before_a_crash_is_anchored_and_published_after_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stop without draining while the ledger stands still: the next start goes on with what is stored."""
    with monkeypatch.context() as patch:
        async with opened(home, batch_leaves=LEAVES, unanchored_batches=BATCHES) as one:
            gate = Gate(patch, EmbeddedLedger, "anchor")
            taken, _ = await _fill(one)
            await asyncio.gather(*taken)
            await one.service.close(drain=False)
            gate.open.set()
    async with opened(home, batch_leaves=LEAVES):
        pass
    history = await rows(home, "dso-a", history=True)
    assert len(history) == len(taken) * LEAVES
    await check_published(home, history)
    await check_audit(home)
