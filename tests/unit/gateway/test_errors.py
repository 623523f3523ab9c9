"""Whatever goes wrong: a problem document, the headers every answer has, and no word of what was sent."""

import re
from typing import Any

import httpx
import pytest
from fastapi import Request

from bal.core.errors import BalError, LedgerUnavailable, Misconfigured, StoreFailed
from bal.gateway import docs
from bal.gateway.guard import is_public
from tests.unit.gateway.world import METER, World, assert_problem, bearer, readings, with_services


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/", "/v1/nothing", "/v2/readings", f"/{METER}", "/v1/readings/", "/%00", "/docs/x"],
)
async def test_nothing_here(world: World, path: str) -> None:
    for method in ("GET", "POST", "PROPFIND"):
        document = assert_problem(await world.http.request(method, path), 404, "not-found")
        assert document["detail"] == "there is nothing here"


async def test_no_such_method(world: World) -> None:
    for method, path, allowed in (
        ("POST", "/v1/readings", "GET"),
        ("GET", "/v1/ingest", "POST"),
        ("GET", "/oauth/token", "POST"),
        ("DELETE", "/livez", "GET"),
        ("OPTIONS", "/v1/readings", "GET"),
    ):
        response = await world.http.request(method, path, headers={"Origin": "https://evil.example"})
        assert_problem(response, 405, "method-not-allowed")
        assert response.headers["allow"] == allowed
        assert not any(name.startswith("access-control") for name in response.headers)


async def test_headers_of_every_answer(world: World) -> None:
    token = world.add_client("reader", ["dso-a"])
    ids = set()
    for response in (
        await world.http.get("/livez"),
        await world.http.get("/nothing"),
        await world.get("/v1/readings", token),
        await world.get("/v1/readings?limit=x", token),
        await world.http.get("/v1/readings"),
        await world.http.post("/oauth/token"),
    ):
        headers = response.headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers
        ids.add(headers["x-request-id"])
    assert len(ids) == 6


@pytest.mark.parametrize(
    ("issuer", "public"),
    [
        ("https://bal.example.org", True),
        ("https://localhost:8443", False),
        ("https://127.0.0.1:8443", False),
        ("https://[::1]:8443", False),
        ("https://meter", False),
    ],
)
def test_browsers_are_told_to_insist_on_tls_only_by_public_names(issuer: str, public: bool) -> None:
    assert is_public(issuer) is public


async def test_a_fault_of_ours_says_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    async def fault(request: Request) -> None:
        request.scope["bal.client"] = "reader"
        raise RuntimeError(f"secret {METER}")

    world.app.add_api_route("/fault", fault)
    response = await world.http.get("/fault")
    document = assert_problem(response, 500, "internal")
    assert set(document) == {"type", "title", "status"}
    captured = capsys.readouterr()
    assert "RuntimeError" in captured.out + captured.err
    assert "test_errors:" in captured.out + captured.err
    assert "secret" not in captured.out + captured.err


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (BalError("inside"), 500, False),
        (Misconfigured("inside"), 500, False),
        (StoreFailed("inside"), 503, True),
        (LedgerUnavailable("inside"), 503, True),
    ],
)
async def test_errors_of_ports(world: World, error: BalError, status: int, told: bool) -> None:
    async def fault() -> None:
        raise error

    world.app.add_api_route("/fault", fault)
    response = await world.http.get("/fault")
    document = assert_problem(response, status, error.slug if told else "internal")
    assert ("inside" in response.text) is told
    assert ("retry-after" in response.headers) is (status == 503)
    assert told or "detail" not in document


async def test_health(world: World) -> None:
    assert (await world.http.get("/livez")).json() == {"status": "ok"}
    assert (await world.http.get("/readyz")).json()["checks"] == {"store": "ok", "ledger": "ok"}
    world.health["ledger"] = "does not answer"
    assert (await world.http.get("/readyz")).status_code == 200  # asked a moment ago
    await world.clock.sleep(1)
    response = await world.http.get("/readyz")
    document = assert_problem(response, 503, "unavailable")
    assert document["checks"] == {"store": "ok", "ledger": "does not answer"}
    assert response.headers["retry-after"]


async def test_metrics_name_routes_and_nothing_else(world: World) -> None:
    token = world.add_client("secretive", ["dso-a"])
    await world.certify(readings(count=1))
    await world.get("/v1/certificates/bal-1:0:0", token)
    await world.get(f"/v1/{METER}?x={METER}", token)
    await world.http.request("BREW", "/livez")
    world.services.metrics.accepted(3)
    world.services.metrics.alarm("log-closed")
    world.services.metrics.watch_batches("unanchored", lambda: 7)
    text = (await world.http.get("/metrics")).text
    assert 'bal_readings_total{result="accepted"} 3.0' in text
    assert 'bal_alarms_total{kind="log-closed"} 1.0' in text
    assert 'bal_batches{state="unanchored"} 7.0' in text
    counted = 'bal_http_requests_total{method="GET",route="/v1/certificates/{address}",status="200"} 1.0'
    assert counted in text
    assert 'bal_http_requests_total{method="GET",route="unmatched",status="404"} 1.0' in text
    assert 'bal_http_requests_total{method="other",route="/livez",status="405"} 1.0' in text
    for word in (METER, "secretive", "dso-a", "bal-1:0:0", "BREW"):
        assert word not in text


def test_words_of_metrics_are_bounded(world: World) -> None:
    for number in range(200):
        world.services.metrics.rejected(f"code-{number}", 1)
    text = world.services.metrics.exposition().decode()
    assert text.count("bal_quarantine_total{") == 65
    assert 'bal_quarantine_total{reason="other"} 136.0' in text
    assert 'bal_readings_total{result="rejected"} 200.0' in text


async def test_the_page_loads_nothing(world: World) -> None:
    response = await world.http.get("/docs")
    assert response.headers["content-security-policy"] == docs.POLICY
    text = response.text
    assert "<script" not in text
    assert re.findall(r'(?:src|href)="([^"]*)"', text) == ["openapi.json"]
    for path in (await world.http.get("/openapi.json")).json()["paths"]:
        assert f"{path}</code>" in text


async def test_without_docs(world: World) -> None:
    app = with_services(world, docs=False)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="https://a") as http:
        for path in ("/docs", "/openapi.json", "/redoc"):
            assert_problem(await http.get(path), 404, "not-found")
        facts = (await http.get("/.well-known/oauth-authorization-server")).json()
        assert "service_documentation" not in facts


async def test_the_page_escapes_what_it_shows() -> None:
    operation: dict[str, Any] = {
        "summary": "<b>",
        "description": "<script>",
        "parameters": [{"name": "<", "in": "<"}],
    }
    document = {"info": {"title": "<i>"}, "paths": {"/<x>": {"get": operation}}}
    assert not re.search(r"<(b|script|i|x)>", docs.page(document))


async def test_wrong_query_parameters_are_not_passed_over(world: World) -> None:
    token = world.add_client("reader", ["*"])
    for path in ("readings", "batches", "anchors", "rejections", "stream"):
        response = await world.http.get(f"/v1/{path}?sauce=dso-a", headers=bearer(token))
        assert_problem(response, 422, "invalid-request")
