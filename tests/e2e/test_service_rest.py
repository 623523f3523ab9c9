"""The REST gateway of a running service, over HTTPS, by a client that has only the home's CA."""

import gzip
import json
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e import documents
from tests.e2e.service import Service, Web

SCOPES = (
    "readings",
    "query",
    "certificates",
    "verify",
    "ingest",
    "anchors",
    "batches",
    "rejections",
    "sources",
)


@pytest.fixture(scope="module")
def web(service: Service) -> Iterator[Web]:
    service.done("sources", "add", "dso-web")
    words = ("clients", "add", "web-server", "--source", "dso-web", "--json")
    made = service.done(*words, *(word for scope in SCOPES for word in ("--scope", scope))).value()
    with Web(service, made["client_id"], made["client_secret"]) as web:
        assert web.authorize() == 200
        yield web


def send(web: Web, body: bytes, **headers: str) -> httpx.Response:
    kinds = {"content-type": "application/xml", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return web.post("/v1/ingest", content=body, headers=kinds)


def test_from_document_to_verified_certificate(service: Service, web: Web) -> None:
    body = documents.one("2718", "DE-WEB-1")
    answer = send(web, body)
    assert answer.status_code == 202, answer.text
    receipt = answer.json()
    assert (receipt["source"], receipt["accepted"], receipt["rejected"]) == ("dso-web", 1, 0)
    again = send(web, gzip.compress(body), content_encoding="gzip")
    assert (again.status_code, again.json()["accepted"], again.json()["duplicates"]) == (202, 0, 1)
    service.ingest(
        documents.one("1", "DE-WEB-2"), "dso-web"
    )  # anchored when it returns, so is what came before
    rows = web.get("/v1/readings", params={"source": "dso-web"}).json()["readings"]
    assert sorted(row["value"] for row in rows) == ["1", "2718"]
    assert rows == service.readings(source="dso-web")
    (asked,) = web.post("/v1/readings/query", json={"meters": ["DE-WEB-1"]}).json()["readings"]
    assert asked["value"] == "2718"
    certificate = web.get(f"/v1/certificates/{asked['address']}")
    assert certificate.status_code == 200
    assert certificate.text == service.done("certificate", asked["address"], "--json").out.strip()
    assert web.post("/v1/verify", content=certificate.content).json() == {"valid": True, "reason": ""}
    forged = certificate.content.replace(b'"2718"', b'"2719"')
    assert web.post("/v1/verify", content=forged).json()["valid"] is False
    log, seq, _ = asked["address"].split(":")
    anchors = web.get("/v1/anchors", params={"log": log}).json()
    assert json.dumps(json.loads(certificate.text)["anchor"]["tx_id"]) in json.dumps(anchors)
    assert web.get(f"/v1/batches/{log}/{seq}").status_code == 200


def test_what_is_refused(service: Service, web: Web) -> None:
    bad = send(web, b"nonsense")
    assert bad.status_code == 422
    assert bad.headers["content-type"] == "application/problem+json"
    assert web.get("/v1/rejections").status_code == 200
    assert web.get("/v1/readings", params={"source": "dso-a"}).status_code in {403, 404}
    (first,) = service.readings("--limit", "1", source="dso-web")
    with Web(service, "web-server", "guessed") as guesser:
        assert guesser.authorize() == 401
        for method, path in (
            ("GET", "/v1/readings"),
            ("GET", f"/v1/certificates/{first['address']}"),
            ("GET", "/v1/anchors"),
            ("POST", "/v1/ingest"),
            ("POST", "/v1/verify"),
        ):
            assert guesser.request(method, path).status_code == 401
        assert guesser.get("/livez").status_code == 200
        assert guesser.get("/readyz").status_code == 200
        assert b"bal_" in guesser.get("/metrics").content
        assert guesser.get("/openapi.json").json()["info"]["title"]
    service.done("sources", "suspend", "dso-web", "--why", "test")
    assert send(web, documents.one("3", "DE-WEB-3")).status_code == 403
    service.done("sources", "resume", "dso-web", "--why", "test")
    assert send(web, documents.one("4", "DE-WEB-3")).status_code == 202


def test_a_revoked_client_is_out_at_once(service: Service) -> None:
    words = ("clients", "add", "reader", "--scope", "readings", "--source", "dso-a", "--json")
    made = service.done(*words).value()
    with Web(service, "reader", made["client_secret"]) as reader:
        assert reader.authorize() == 200
        assert reader.get("/v1/readings").status_code == 200
        assert reader.get("/v1/anchors").status_code == 403
        service.done("clients", "revoke", "reader")
        assert reader.get("/v1/readings").status_code == 401
