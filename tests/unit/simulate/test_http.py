import asyncio
import hashlib
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bal.core.errors import Misconfigured, Refused, Unauthenticated
from bal.simulate.dispatch import Simulation, run
from bal.simulate.http import HttpDoor, fixed_token
from bal.simulate.plan import DsoPlan, PmuPlan
from bal.simulate.sender import SenderSettings

DSO = DsoPlan("dso-a", 5, 3, 1_793_232_000)
PMU = PmuPlan("pmu-a", 5, 2, 1_793_232_000_000_000)
QUICK = SenderSettings(window=4, retry=5, reconnect=0.01, reconnect_most=0.05, drain=20)


class Service:
    """Speaks as much HTTP/1.1 as `POST /v1/ingest` needs. `statuses` are answered first, then 202."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.bodies: Counter[str] = Counter()
        self.heads: list[str] = []
        self.port = 0

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["Service"]:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.split("content-length: ")[1].split("\r\n")[0])
                body = await reader.readexactly(length)
                self.heads.append(head)
                status = self.statuses.pop(0) if self.statuses else 202
                if status == 202:
                    self.bodies[hashlib.sha256(body).hexdigest()] += 1
                told = json.dumps({"accepted": 1}).encode() if status == 202 else b"no JSON"
                lines = f"HTTP/1.1 {status} X\r\nlocation: /elsewhere\r\ncontent-length: {len(told)}\r\n\r\n"
                writer.write(lines.encode() + told)
                if status == 599:
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


def door(service: Service) -> HttpDoor:
    return HttpDoor(f"http://127.0.0.1:{service.port}", fixed_token("t0ken"), ssl.create_default_context())


@pytest.mark.parametrize("plan", [DSO, PMU], ids=["dso", "pmu"])
async def test_202_is_the_receipt(plan: DsoPlan | PmuPlan) -> None:
    async with Service().serve() as service:
        progress = await run(Simulation(plan, 20, 0, settings=QUICK), door(service))
    assert (progress.accepted, progress.resent) == (20, 0)
    assert service.bodies == {plan.message(number).digest: 1 for number in range(20)}
    kind = "application/xml" if plan is DSO else "application/json"
    assert all(head.startswith("post /v1/ingest ") for head in service.heads)
    assert all(f"content-type: {kind}\r\n" in head for head in service.heads)
    assert all("authorization: bearer t0ken\r\n" in head for head in service.heads)


async def test_a_busy_or_broken_service_gets_it_again() -> None:
    async with Service(503, 202, 429, 500, 599).serve() as service:
        progress = await run(Simulation(DSO, 20, 0, settings=QUICK), door(service))
    assert (progress.accepted, progress.rejected, progress.pending) == (20, 0, 0)
    assert set(service.bodies) == {DSO.message(number).digest for number in range(20)}


async def test_an_unreadable_message_is_not_sent_again() -> None:
    async with Service(202, 422, 400, 413).serve() as service:
        progress = await run(Simulation(DSO, 20, 0, settings=QUICK), door(service))
    assert (progress.accepted, progress.rejected, progress.resent) == (17, 3, 0)


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, Unauthenticated), (403, Unauthenticated), (404, Misconfigured), (307, Misconfigured)],
)
async def test_what_needs_a_person_is_raised(status: int, error: type[Exception]) -> None:
    async with Service(*[status] * 4).serve() as service:
        with pytest.raises(error):
            await run(Simulation(DSO, 5, 0, settings=QUICK), door(service))


def test_no_other_machine() -> None:
    with pytest.raises(Refused):
        HttpDoor("https://bal.example.org", fixed_token("t"), ssl.create_default_context())
