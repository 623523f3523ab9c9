"""Bodies that would exhaust memory, disk or patience, and floods of requests."""

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterator, MutableMapping
from itertools import repeat
from pathlib import Path
from typing import Any

import httpx
import pytest

from bal.gateway import guard
from bal.gateway.body import Receiver
from bal.gateway.routes import ingest
from tests.unit.gateway.world import World, assert_problem, bearer, gateway

MEGABYTE = 1024 * 1024


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with gateway(tmp_path) as opened:
        yield opened


def headers(world: World, **more: str) -> dict[str, str]:
    token = world.add_client("server", ["dso-a"]) if "server" not in world.secrets else world.token("server")
    return {**bearer(token), "Content-Type": "application/xml", **more}


async def test_a_gzip_bomb_stays_small(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "HTTP_BODY_BYTES", 40 * MEGABYTE)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(MEGABYTE)) for _ in range(200)) + packer.flush()
    given = {**headers(world), "Content-Encoding": "gzip"}
    tracemalloc.start()
    response = await world.http.post("/v1/ingest", content=bomb, headers=given)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert_problem(response, 413, "too-large")
    assert peak < 25 * MEGABYTE
    assert world.intake.taken == []


async def test_a_bomb_of_bombs_is_unpacked_once(world: World) -> None:
    bomb = gzip.compress(gzip.compress(bytes(MEGABYTE)))
    response = await world.http.post(
        "/v1/ingest", content=bomb, headers={**headers(world), "Content-Encoding": "gzip"}
    )
    assert response.status_code == 202  # for the XML reader to refuse
    assert len(world.intake.taken[0][1]) < 10_000


async def test_a_declared_size_is_refused_before_a_byte_is_read(world: World) -> None:
    asked: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        asked.append(1)
        yield b"x"

    given = {**headers(world), "Content-Length": str(257 * MEGABYTE)}
    response = await world.http.post("/v1/ingest", content=body(), headers=given)
    assert_problem(response, 413, "too-large")
    assert len(asked) <= 1


@pytest.mark.parametrize(
    "path", ["/v1/readings/query", "/v1/verify", "/oauth/token", "/v1/readings", "/livez", "/nothing"]
)
async def test_other_routes_take_small_bodies_only(world: World, path: str) -> None:
    sent: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        for _ in range(100):
            sent.append(1)
            yield bytes(100_000)

    given = {**headers(world), "Content-Type": "application/json"}
    response = await world.http.post(path, content=body(), headers=given)
    assert response.status_code in {400, 404, 405, 413}
    assert len(sent) < 40


async def post(world: World, path: str, parts: Iterator[bytes], pause: float = 0.0) -> httpx.Response:
    """Send a body part by part, after the last one nothing: httpx's own transport would collect it first."""
    status: list[int] = []
    answered: dict[bytes, bytes] = {}
    content = bytearray()
    given = [(name.lower().encode(), text.encode()) for name, text in headers(world).items()]
    scope: dict[str, Any] = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [*given, (b"transfer-encoding", b"chunked")], "client": ("127.0.0.1", 1),
        "server": ("localhost", 8443), "scheme": "https", "http_version": "1.1", "root_path": "",
        "asgi": {"version": "3.0"},
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause)
        part = next(parts, None)
        if part is None:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": part or b"", "more_body": True}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])
            answered.update(message["headers"])
        else:
            content.extend(message.get("body", b""))

    async with asyncio.timeout(20):
        await world.app(scope, receive, send)
    return httpx.Response(status[0], headers=list(answered.items()), content=bytes(content))


async def test_a_body_that_stalls(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "SILENCE_SECONDS", 0.05)
    monkeypatch.setattr(guard, "DRAIN_SECONDS", 0.05)
    response = await post(world, "/v1/ingest", iter([b"<a>"]))
    assert_problem(response, 408, "too-slow")
    assert response.headers["connection"] == "close"
    assert world.intake.taken == []


async def test_a_body_that_trickles(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "GRACE_SECONDS", 0.05)
    monkeypatch.setattr(guard, "DRAIN_SECONDS", 0.05)
    response = await post(world, "/v1/ingest", repeat(b"x"), 0.01)
    assert_problem(response, 408, "too-slow")


@pytest.mark.parametrize("path", ["/oauth/token", "/v1/verify"])
async def test_a_small_body_that_stalls(world: World, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SMALL_BODY_SECONDS", 0.05)
    monkeypatch.setattr(guard, "DRAIN_SECONDS", 0.05)
    assert_problem(await post(world, path, iter([b"grant_type=client_credentials"])), 408, "too-slow")


async def test_a_flood_of_requests(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = asyncio.Event()

    async def wait() -> None:
        await gate.wait()

    world.app.add_api_route("/wait", wait)
    waiting = [asyncio.create_task(world.http.get("/wait")) for _ in range(guard.REQUESTS)]
    await asyncio.sleep(0.1)
    response = await world.http.get("/v1/readings")
    assert_problem(response, 503, "overloaded")
    assert (await world.http.get("/livez")).status_code == 200
    gate.set()
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}
    assert (await world.http.get("/v1/readings")).status_code == 401


async def test_a_receiver_holds_no_more_than_its_share() -> None:
    receiver = Receiver(packing="plain", cap=None)
    tracemalloc.start()
    for _ in range(64):
        receiver.feed(bytes(MEGABYTE))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert receiver.finish().size == 64 * MEGABYTE
    assert peak < 25 * MEGABYTE
