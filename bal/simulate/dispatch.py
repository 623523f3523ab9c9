"""One simulation from beginning to end: plan, outbox, record, door, sender."""

from collections.abc import Callable
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, field
from pathlib import Path

from bal.simulate.link import Door
from bal.simulate.outbox import Outbox
from bal.simulate.plan import Plan
from bal.simulate.receipts import ReceiptFile
from bal.simulate.sender import Progress, Sender, SenderSettings, paced


@dataclass(frozen=True, slots=True)
class Simulation:
    """What to send and what to keep."""

    plan: Plan
    messages: int
    """How many messages in all, those of earlier runs with the same outbox included."""
    interval: float
    """Seconds between messages of one time and those of the next."""
    outbox: Path | None = None
    receipts: Path | None = None
    settings: SenderSettings = field(default_factory=SenderSettings)
    limit: float | None = None
    """Longest time it runs, in seconds."""


async def run(
    simulation: Simulation, door: Door, on_progress: Callable[[Progress], None] | None = None
) -> Progress:
    """Send everything and return what became of it.

    With an outbox it goes on where the process before it ended, however that ended. Raises `Conflict` for an outbox or a
    record of another plan, and what the door raises for good.
    """
    outbox = Outbox(simulation.outbox, simulation.plan) if simulation.outbox else None
    plan = outbox.plan if outbox else simulation.plan
    first = outbox.next_number() if outbox else 0
    with ExitStack() as stack:
        receipts = None
        if simulation.receipts:
            receipts = stack.enter_context(ReceiptFile(simulation.receipts, plan))
        sender = Sender(door, simulation.settings, outbox=outbox, receipts=receipts, on_progress=on_progress)
        left = max(simulation.messages - first, 0)
        async with aclosing(paced(plan, first, left, simulation.interval)) as messages:
            return await sender.run(messages, simulation.limit)
