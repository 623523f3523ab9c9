"""The server itself, over real sockets."""

import asyncio
import contextlib
import json
import os
import socket
import ssl
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from bal.core.errors import Misconfigured
from bal.gateway import HttpServer, control_socket_path, https_server, listen, socket_server
from bal.gateway.routes import stream as stream_route
from bal.gateway.server import BoundedProtocol
from tests.patience import PATIENCE
from tests.unit.gateway.world import World, assert_problem, bearer, readings


class Impatient(BoundedProtocol):
    header_seconds = 0.2
    write_seconds = 0.3


class Unhurried(BoundedProtocol):
    header_seconds = 2.0  # time enough for good headers on a busy machine


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def pair(ca: trustme.CA, tmp_path: Path) -> tuple[Path, Path]:
    issued = ca.issue_cert("localhost", "127.0.0.1")
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(certificate), append=True)
    issued.private_key_pem.write_to_path(str(key))
    return certificate, key


def trusting(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


async def exchange(port: int, sent: bytes, seconds: float = PATIENCE) -> bytes:
    """Send bytes and return everything until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    try:
        async with asyncio.timeout(seconds):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_events_over_tls(world: World, ca: trustme.CA, pair: tuple[Path, Path]) -> None:
    token = world.add_client("reader", ["dso-a"])
    await world.certify(readings(count=2))
    async with https_server(world.app, listen("127.0.0.1", 0), *pair) as server:
        base = f"https://localhost:{server.port}"
        async with httpx.AsyncClient(
            base_url=base, verify=trusting(ca), trust_env=False, timeout=PATIENCE
        ) as client:
            assert (await client.get("/livez")).json() == {"status": "ok"}
            headers = {**bearer(token), "Last-Event-ID": "bal-1:0:0"}
            async with client.stream("GET", "/v1/stream", headers=headers) as stream:
                assert stream.headers["content-type"].startswith("text/event-stream")
                lines = stream.aiter_lines()
                found = await _data(lines)
                assert found["address"] == "bal-1:0:1"
                await world.certify(readings(count=1, start=2))
                assert (await _data(lines))["address"] == "bal-1:1:0"
                world.services.clients.revoke("reader")
                await world.certify(readings(count=1, start=3))
                rest = [line async for line in lines]
                assert not any(line.startswith("data:") for line in rest)
        with pytest.raises(httpx.ConnectError):
            async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=PATIENCE) as stranger:
                await stranger.get("/livez")


async def _data(lines: AsyncIterator[str]) -> dict[str, Any]:
    async for line in lines:
        if line.startswith("data: "):
            found: dict[str, Any] = json.loads(line.removeprefix("data: "))
            return found
    raise AssertionError("the stream ended")


async def test_one_client_has_not_every_stream(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_route, "STREAMS", 2)
    token, other = world.add_client("reader", ["dso-a"]), world.add_client("other", ["dso-a"])
    async with HttpServer(world.app, listen("127.0.0.1", 0), stop_seconds=1) as server:
        base = f"http://127.0.0.1:{server.port}"
        async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=PATIENCE) as client:
            kept: list[AsyncIterator[bytes]] = []

            async def connect(whose: str) -> httpx.Response:
                request = client.build_request("GET", "/v1/stream", headers=bearer(whose))
                response = await client.send(request, stream=True)
                if response.status_code == 200:
                    kept.append(response.aiter_raw())  # dropped, it would end the stream
                    await anext(kept[-1])
                return response

            first, _ = await connect(token), await connect(token)
            refused = await connect(token)
            await refused.aread()
            assert_problem(refused, 503, "overloaded")
            assert (await connect(other)).status_code == 200
            await first.aclose()
            async with asyncio.timeout(PATIENCE):
                while (again := await connect(token)).status_code != 200:
                    await again.aclose()
            world.events.close()


async def test_stopping_ends_streams(world: World) -> None:
    token = world.add_client("reader", ["dso-a"])
    async with HttpServer(world.app, listen("127.0.0.1", 0), stop_seconds=1) as server:
        client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{server.port}", trust_env=False, timeout=PATIENCE
        )
        request = client.build_request("GET", "/v1/stream", headers=bearer(token))
        stream = await client.send(request, stream=True)
        assert stream.status_code == 200
        world.events.close()
    assert world.events.subscribers == 0
    await client.aclose()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
async def test_tls_of_old_versions_and_plain_http_are_refused(
    world: World, ca: trustme.CA, pair: tuple[Path, Path]
) -> None:
    async with https_server(world.app, listen("127.0.0.1", 0), *pair) as server:
        assert b"200" not in await exchange(server.port, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        context = trusting(ca)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", server.port, ssl=context, server_hostname="localhost")


async def test_slow_headers(world: World) -> None:
    async with HttpServer(world.app, listen("127.0.0.1", 0), protocol=Impatient) as server:
        for sent in (b"", b"GET /livez HTTP/1.1\r\nHost:"):
            assert await exchange(server.port, sent) == b""
    async with HttpServer(world.app, listen("127.0.0.1", 0), protocol=Unhurried) as server:
        good = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
        answer = await exchange(server.port, good + b"GET /li")  # slow only with the second one
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.count(b"HTTP/1.1") == 1


class Few(BoundedProtocol):
    connections_most = 2


async def test_too_many_connections(world: World) -> None:
    async with HttpServer(world.app, listen("127.0.0.1", 0), protocol=Few) as server:
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
        request = b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        assert await exchange(server.port, request) == b""
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        async with asyncio.timeout(PATIENCE):
            while not (await exchange(server.port, request)).startswith(b"HTTP/1.1 200"):
                pass  # the server has not yet seen the others go


async def test_a_client_that_does_not_read(world: World) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with contextlib.suppress(OSError):
            while not done.is_set():
                await send({"type": "http.response.body", "body": bytes(65_536), "more_body": True})
                message = asyncio.ensure_future(receive())
                await asyncio.sleep(0)
                if message.done() and message.result()["type"] == "http.disconnect":
                    done.set()
                message.cancel()

    done = asyncio.Event()
    async with HttpServer(app, listen("127.0.0.1", 0), protocol=Impatient, stop_seconds=1) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await writer.drain()
        async with asyncio.timeout(PATIENCE):
            await done.wait()
        writer.close()
        del reader


@pytest.mark.parametrize(
    "sent",
    [
        b"junk\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 40_000,
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["junk", "long header", "negative length", "two framings", "two lengths", "no host"],
)
async def test_what_is_no_http_gets_a_problem_too(world: World, sent: bytes) -> None:
    async with HttpServer(world.app, listen("127.0.0.1", 0)) as server:
        head, _, body = (await exchange(server.port, sent)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400")
        assert b"application/problem+json" in head
        assert body.startswith(b'{"type":"urn:bal:problem:')


async def test_a_refused_body_does_not_cut_off_the_answer(world: World) -> None:
    token = world.add_client("server", ["dso-a"], ["ingest"])
    async with HttpServer(world.app, listen("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.port}/v1/ingest"
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
            headers = {**bearer(token), "Content-Type": "text/plain"}
            response = await client.post(url, content=b"x" * 900_000, headers=headers)
            assert response.status_code == 415
            response = await client.post(url, content=b"x" * 900_000)
            assert response.status_code == 401
            waiting = {"Expect": "100-continue", "Content-Length": "900000", "Content-Type": "text/xml"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in waiting.items())
        answer = await exchange(server.port, f"POST /v1/ingest HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 401")
        assert b"100 Continue" not in answer


async def test_a_control_socket_for_its_owner_only(world: World, tmp_path: Path) -> None:
    path = control_socket_path(tmp_path)
    async with socket_server(world.app, path) as server:
        assert server.port == 0
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=transport, base_url="http://bal", timeout=PATIENCE) as client:
            assert (await client.get("/livez")).status_code == 200
    assert not path.exists()
    with socket.socket(socket.AF_UNIX) as left:  # as a killed process leaves it
        left.bind(str(path))
    async with socket_server(world.app, path):
        assert stat.S_ISSOCK(path.stat().st_mode)
    path.write_text("something else")
    with pytest.raises(Misconfigured):
        socket_server(world.app, path)


def test_long_homes_have_a_short_socket(tmp_path: Path) -> None:
    path = control_socket_path(tmp_path / ("x" * 120))
    assert len(os.fsencode(path)) <= 100
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.parent.rmdir()


def test_a_port_in_use_is_said() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(Misconfigured, match="in use"):
            listen("127.0.0.1", port)
    with pytest.raises(Misconfigured):
        listen("no host of this name.invalid", 0)


async def test_a_certificate_that_is_none(world: World, tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("nothing")
    with pytest.raises(Misconfigured):
        async with https_server(
            world.app, listen("127.0.0.1", 0), tmp_path / "bad.pem", tmp_path / "bad.pem"
        ):
            pass
