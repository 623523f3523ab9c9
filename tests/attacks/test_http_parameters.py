"""Parameters made to break something: a problem each time, never a fault, never an echo, never another's reading."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.unit.gateway.world import METER, World, bearer, gateway, readings

NASTY = [
    "", " ", "'", '"', "' OR '1'='1", "'; DROP TABLE readings; --", "%", "_", "*", "dso-b", "dso-a' --", "../dso-b",
    "..%2f..%2fetc", "\x00", "dso-a\x00", "\r\nX: y", "<script>alert(1)</script>", "{{7*7}}", "${7*7}", "-1", "0",
    "1e400", "NaN", "9" * 40, "\u202e", "\uff11", "null", "true", "[]", "{}", "2026-13-45", "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+23:59", "2026-01-01T00:00:00+99:99", "A" * 5000, METER,
]  # fmt: skip
PARAMETERS = {
    "/v1/readings": ["source", "point", "quantity", "from", "to", "history", "cursor", "limit", METER],
    "/v1/batches": ["log", "from", "cursor", "limit"],
    "/v1/anchors": ["log", "from", "cursor", "limit"],
    "/v1/rejections": ["source", "after", "limit"],
    "/v1/sources": ["x"],
}
PATHS = [
    "/v1/certificates/{}",
    "/v1/batches/{}/0",
    "/v1/batches/bal-1/{}",
    "/v1/anchors/{}/0",
    "/v1/anchors/bal-1/{}",
]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with gateway(tmp_path) as opened:
        await opened.certify(readings("dso-a", 2))
        await opened.certify(readings("dso-b", 2, value="424242"))
        yield opened


async def test_every_parameter(world: World) -> None:
    headers = bearer(world.add_client("reader", ["dso-a"], ["readings", "batches", "rejections", "sources"]))
    anchors = bearer(world.add_client("auditor", ["dso-a"], ["anchors"]))
    for path, names in PARAMETERS.items():
        for name in names:
            for value in NASTY:
                response = await world.http.get(
                    path, params={name: value}, headers=anchors if "anchors" in path else headers
                )
                assert response.status_code in {200, 400, 403, 404, 422}, (path, name, value, response.text)
                assert "424242" not in response.text
                assert METER not in response.text
                if response.status_code != 200:
                    assert response.headers["content-type"] == "application/problem+json"
                    assert "alert" not in response.text


async def test_every_path(world: World) -> None:
    headers = bearer(world.add_client("reader", ["dso-a"]))
    for path in PATHS:
        for value in NASTY:
            response = await world.http.get(path.format(quote(value, safe="")), headers=headers)
            if response.status_code == 200:
                assert value == "0"
                continue
            assert response.status_code in {400, 404, 422}, (path, value, response.text)
            assert response.headers["content-type"] == "application/problem+json"
            assert METER not in response.text


async def test_every_body(world: World) -> None:
    headers = {**bearer(world.add_client("household", ["dso-a"])), "Content-Type": "application/json"}
    for value in NASTY:
        response = await world.http.post(
            "/v1/readings/query", json={"meters": [value], "source": "dso-a"}, headers=headers
        )
        assert response.status_code in {200, 422}, (value, response.text)
        assert METER not in response.text
    for body in (
        b"[" * 100_000,
        b'{"meters":' * 10_000,
        b'{"meters":["a"],"meters":["b"]}',
        b"\xff",
        b"",
        b"1" * 9999,
    ):
        response = await world.http.post("/v1/readings/query", content=body, headers=headers)
        assert response.status_code in {200, 422}
