"""A BAL without a network: takes messages, answers as told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bal.core.errors import Unavailable
from bal.simulate.link import Answer
from bal.simulate.plan import Outgoing

Treat = Callable[[int, Outgoing], str]
"""From how often anything was sent so far and the message, what happens to it: `answer`, `reject`, `lose`, `break`, `late`,
`late reject`, `partly`."""


class FakeDoor:
    def __init__(self, treat: Treat = lambda sent, message: "answer", refuse_opening: int = 0) -> None:
        self.treat = treat
        self.refuse_opening = refuse_opening
        self.arrived: list[Outgoing] = []
        self.opened = 0
        self.most_unanswered = 0
        self.unanswered: set[str] = set()

    @asynccontextmanager
    async def open(self) -> "AsyncIterator[FakeLink]":
        self.opened += 1
        if self.opened <= self.refuse_opening:
            raise Unavailable("nobody there")
        yield FakeLink(self)


class FakeLink:
    def __init__(self, door: FakeDoor) -> None:
        self.door = door
        self.queue: asyncio.Queue[Answer] = asyncio.Queue()

    async def send(self, message: Outgoing) -> Answer | None:
        door = self.door
        what = door.treat(len(door.arrived), message)
        door.arrived.append(message)
        door.unanswered.add(message.digest)
        door.most_unanswered = max(door.most_unanswered, len(door.unanswered))
        await asyncio.sleep(0)
        if what == "break":
            raise Unavailable("broken")
        if what == "lose":
            return None
        door.unanswered.discard(message.digest)
        answer = Answer(message.digest, what != "reject", "mqtt", {"accepted": 1, "digest": message.digest})
        if what in {"partly", "late reject"}:
            self.queue.put_nowait(answer._replace(accepted=False))
        if what in {"partly", "late"}:
            self.queue.put_nowait(answer)
        if what in {"partly", "late", "late reject"}:
            return None
        return answer

    async def answers(self) -> AsyncIterator[Answer]:
        yield Answer("0" * 64, accepted=True, by="mqtt", body={})
        while True:
            yield await self.queue.get()
