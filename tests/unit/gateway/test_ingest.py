import gzip
import hashlib
from collections.abc import AsyncIterator

import httpx
import pytest

from bal.core.errors import Overloaded, Refused, Unreadable
from bal.core.limits import INLINE_MESSAGE_BYTES
from bal.gateway.routes import ingest as route
from tests.unit.gateway.world import World, assert_problem, bearer

XML = b"<MeterReadings/>"


async def send(world: World, token: str, content: object, **headers: str) -> httpx.Response:
    given = {
        "Content-Type": "application/xml",
        **{name.replace("_", "-"): text for name, text in headers.items()},
    }
    return await world.http.post("/v1/ingest", content=content, headers={**bearer(token), **given})  # type: ignore[arg-type]


@pytest.fixture
def token(world: World) -> str:
    return world.add_client("server", ["dso-a"], ["ingest"])


async def test_the_receipt_is_the_answer(world: World, token: str) -> None:
    response = await send(world, token, XML)
    assert response.status_code == 202
    assert response.json() == {
        "source": "dso-a",
        "digest": hashlib.sha256(XML).hexdigest(),
        "accepted": 2,
        "rejected": 1,
        "duplicates": 0,
        "ranges": [],
        "rejections": [{"reason": "not a number", "where": "x[1]"}],
    }
    ((message, content),) = world.intake.taken
    assert (message.source, message.form, message.device, content) == ("dso-a", "cim", "", XML)


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("application/xml", "cim"),
        ("text/xml; charset=utf-8", "cim"),
        ("Application/XML", "cim"),
        ("application/json", "pmu"),
    ],
)
async def test_content_types(world: World, token: str, kind: str, form: str) -> None:
    assert (await send(world, token, b"x", Content_Type=kind)).status_code == 202
    assert world.intake.taken[0][0].form == form


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/octet-stream", "application/xml, text/xml", "multipart/form-data"]
)
async def test_other_content_types(world: World, token: str, kind: str) -> None:
    assert_problem(await send(world, token, XML, Content_Type=kind), 415, "unsupported-media")
    assert world.intake.taken == []


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "zstd", "x"])
async def test_other_encodings(world: World, token: str, encoding: str) -> None:
    assert_problem(await send(world, token, XML, Content_Encoding=encoding), 415, "unsupported-media")


async def test_gzip_is_unpacked_before_its_digest(world: World, token: str) -> None:
    for encoding in ("gzip", "GZIP", "x-gzip"):
        response = await send(world, token, gzip.compress(XML), Content_Encoding=encoding)
        assert response.json()["digest"] == hashlib.sha256(XML).hexdigest()
    assert {content for _, content in world.intake.taken} == {XML}
    assert_problem(await send(world, token, XML, Content_Encoding="gzip"), 400, "malformed")
    assert_problem(await send(world, token, gzip.compress(XML)[:-3], Content_Encoding="gzip"), 400)


async def test_a_large_body_comes_as_a_stream(world: World, token: str) -> None:
    part = b"x" * 1024 * 1024
    parts = INLINE_MESSAGE_BYTES // len(part) + 1

    async def body() -> AsyncIterator[bytes]:
        for _ in range(parts):
            yield part

    assert (await send(world, token, body())).status_code == 202
    ((message, content),) = world.intake.taken
    assert message.size is None
    assert (len(content), message.digest) == (parts * len(part), hashlib.sha256(part * parts).digest())


async def test_too_large_whatever_it_says(world: World, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route, "HTTP_BODY_BYTES", 1000)

    async def unsaid() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"x" * 100

    bomb = gzip.compress(bytes(100_000))
    assert_problem(await send(world, token, b"x" * 1001), 413, "too-large")
    assert_problem(await send(world, token, unsaid()), 413, "too-large")
    assert_problem(await send(world, token, bomb, Content_Encoding="gzip"), 413, "too-large")
    assert (await send(world, token, b"x" * 1000)).status_code == 202


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (Overloaded("too much work is waiting", remedy="later"), 503, "overloaded"),
        (Unreadable("this is not XML"), 422, "unreadable"),
        (Refused("this source is suspended"), 403, "refused"),
    ],
)
async def test_what_intake_refuses(
    world: World, token: str, error: Exception, status: int, slug: str
) -> None:
    world.intake.error = error  # type: ignore[assignment]
    response = await send(world, token, XML)
    assert_problem(response, status, slug)
    assert ("retry-after" in response.headers) == (status == 503)


async def test_too_many_bodies_at_a_time(world: World, token: str) -> None:
    for _ in range(route.BODIES):
        await world.app.state.bodies.acquire()
    response = await send(world, token, XML)
    assert_problem(response, 503, "overloaded")
    assert response.headers["retry-after"]
    for _ in range(route.BODIES):
        world.app.state.bodies.release()
    assert (await send(world, token, XML)).status_code == 202


async def test_the_source_is_the_tokens(world: World) -> None:
    token = world.add_client("both", ["dso-a", "dso-b"], ["ingest"], "dso-b")
    assert (await world.http.post(
        "/v1/ingest?source=dso-a", content=XML, headers={**bearer(token), "Content-Type": "text/xml"}
    )).json()["source"] == "dso-b"  # fmt: skip
