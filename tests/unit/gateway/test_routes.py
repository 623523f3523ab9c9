"""Every route: who may ask it, what it shows and to whom."""

from typing import Any

import pytest

from bal.core.entry import Erasure
from bal.gateway.scopes import SCOPES
from bal.ports import ErasureNote
from tests.unit.gateway.world import METER, NOW, World, assert_problem, bearer, pseudonym, readings
from tests.unit.store.rows import point

ROUTES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("GET", "/v1/readings?source=dso-a", "readings", {}),
    ("POST", "/v1/readings/query", "query", {"json": {"source": "dso-a", "meters": [METER]}}),
    ("GET", "/v1/certificates/bal-1:0:0", "certificates", {}),
    ("GET", "/v1/batches", "batches", {}),
    ("GET", "/v1/batches/bal-1/0", "batches", {}),
    ("GET", "/v1/anchors", "anchors", {}),
    ("GET", "/v1/anchors/bal-1/0", "anchors", {}),
    ("GET", "/v1/sources", "sources", {}),
    ("GET", "/v1/rejections", "rejections", {}),
    ("GET", "/v1/stream?source=nobody", "stream", {}),
    ("POST", "/v1/verify", "verify", {"content": b"good"}),
    ("POST", "/v1/ingest", "ingest", {"content": b"<a/>", "headers": {"Content-Type": "application/xml"}}),
]
OPEN = {
    "/oauth/token", "/.well-known/oauth-authorization-server", "/.well-known/jwks.json", "/livez", "/readyz", "/metrics",
}  # fmt: skip


async def test_openapi_lists_every_route_with_its_scope(world: World) -> None:
    document = (await world.http.get("/openapi.json")).json()
    scheme = document["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"]
    assert scheme == {"tokenUrl": "/oauth/token", "scopes": SCOPES}
    told = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            scopes = [
                scope for way in operation.get("security", []) for each in way.values() for scope in each
            ]
            told[method.upper(), path] = scopes
            if path not in OPEN:
                assert set(operation["responses"]) >= {"401", "403"}
    closed = {key: scopes for key, scopes in told.items() if key[1] not in OPEN}
    wanted = {(method, path.partition("?")[0]): scope for method, path, scope, _ in ROUTES}
    templates = {
        ("GET", "/v1/certificates/bal-1:0:0"): "/v1/certificates/{address}",
        ("GET", "/v1/batches/bal-1/0"): "/v1/batches/{log}/{seq}",
        ("GET", "/v1/anchors/bal-1/0"): "/v1/anchors/{log}/{seq}",
    }
    assert closed == {(key[0], templates.get(key, key[1])): [scope] for key, scope in wanted.items()}
    assert {path for _, path in told if path not in {p for _, p in closed}} == OPEN
    assert set(wanted.values()) == set(SCOPES)


async def test_every_reference_of_the_openapi_document_is_there(world: World) -> None:
    document = (await world.http.get("/openapi.json")).json()

    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
            return own.union(*map(references, value.values()))
        return set().union(*map(references, value)) if isinstance(value, list) else set()

    for reference in references(document):
        place = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


async def test_no_route_answers_without_a_token(world: World) -> None:
    for method, path, _, request in ROUTES:
        response = await world.http.request(method, path, **request)
        assert_problem(response, 401, "unauthenticated")
        assert response.headers["www-authenticate"] == 'Bearer realm="bal"', path
        for authorization in ("Bearer abc.def.ghi", "Bearer ", "bearer", "Basic YTpi", "Token x"):
            headers = {**request.get("headers", {}), "Authorization": authorization}
            response = await world.http.request(method, path, **{**request, "headers": headers})
            assert_problem(response, 401, "unauthenticated")
            invalid = 'error="invalid_token"' in response.headers["www-authenticate"]
            assert invalid == authorization.lower().startswith("bearer"), path


async def test_no_route_answers_without_its_scope(world: World) -> None:
    world.add_client("whole", ["dso-a"])
    for method, path, scope, request in ROUTES:
        others = [other for other in SCOPES if other != scope]
        world.add_client(
            f"without-{scope}", ["dso-a"], others
        ) if f"without-{scope}" not in world.secrets else None
        greedy = world.token(f"without-{scope}", list(SCOPES))  # the token says more than the client has
        for token in (greedy, world.token("whole", others)):
            headers = {**request.get("headers", {}), **bearer(token)}
            response = await world.http.request(method, path, **{**request, "headers": headers})
            assert_problem(response, 403, "insufficient-scope")
            wanted = f'error="insufficient_scope", scope="{scope}"'
            assert wanted in response.headers["www-authenticate"], path


async def test_readings_come_newest_first_in_pages(world: World) -> None:
    await world.certify(readings(count=5))
    token = world.add_client("reader", ["dso-a"])
    first = (await world.get("/v1/readings", token, params={"limit": 2})).json()
    assert [row["value"] for row in first["readings"]] == ["104", "103"]
    assert first["readings"][0]["address"] == "bal-1:0:4"
    assert first["readings"][0]["timestamp"] == "2026-01-01T01:00:00.000000Z"
    second = (await world.get("/v1/readings", token, params={"limit": 2, "cursor": first["next"]})).json()
    third = (await world.get("/v1/readings", token, params={"limit": 2, "cursor": second["next"]})).json()
    assert [row["value"] for row in second["readings"] + third["readings"]] == ["102", "101", "100"]
    assert third["next"] is None


async def test_readings_filters(world: World) -> None:
    rows = [*readings(count=4), *readings(count=1, start=9, point=point(2), quantity="voltageMagnitude")]
    await world.certify(rows)
    token = world.add_client("reader", ["dso-a"])

    async def values(**params: Any) -> list[str]:
        answer = (await world.get("/v1/readings", token, params=params)).json()
        return [row["value"] for row in answer["readings"]]

    assert await values(quantity="voltageMagnitude") == ["109"]
    assert await values(point=point(2)) == ["109"]
    assert await values(**{"from": "2026-01-01T00:15:00Z", "to": "2026-01-01T01:45:00+01:00"}) == [
        "102",
        "101",
    ]
    assert await values(**{"from": "2026-01-02"}) == []
    await world.certify([rows[0]._replace(value="7", received_at=rows[0].received_at + 1)])
    assert await values(to="2026-01-01T00:15:00Z") == ["7"]
    assert await values(to="2026-01-01T00:15:00Z", history=True) == ["100", "7"]


async def test_readings_that_are_not_anchored_are_not_shown(world: World) -> None:
    await world.certify(readings(count=1), anchored=False)
    token = world.add_client("reader", ["dso-a"])
    assert (await world.get("/v1/readings", token)).json() == {"readings": [], "next": None}
    assert_problem(await world.get("/v1/certificates/bal-1:0:0", token), 409, "not-yet-anchored")


async def test_a_client_of_several_sources_says_which(world: World) -> None:
    token = world.add_client("both", ["dso-a", "dso-b"])
    assert_problem(await world.get("/v1/readings", token), 400, "malformed")
    assert (await world.get("/v1/readings?source=dso-b", token)).status_code == 200
    everything = world.add_client("regulator", ["*"])
    assert (await world.get("/v1/readings?source=dso-b", everything)).status_code == 200
    assert_problem(await world.get("/v1/readings?source=dso-z", everything), 404, "unknown-source")


async def test_another_source_is_refused_whether_it_exists_or_not(world: World) -> None:
    token = world.add_client("reader", ["dso-a"])
    known = assert_problem(await world.get("/v1/readings?source=dso-b", token), 403, "refused")
    assert known == assert_problem(await world.get("/v1/readings?source=dso-z", token), 403, "refused")
    body = {"source": "dso-b", "meters": [METER]}
    response = await world.http.post("/v1/readings/query", json=body, headers=bearer(token))
    assert_problem(response, 403, "refused")
    assert_problem(await world.get("/v1/stream?source=dso-b", token), 403, "refused")
    assert_problem(await world.get("/v1/rejections?source=dso-b", token), 403, "refused")


async def test_query_by_plain_number(world: World) -> None:
    mine, other = pseudonym("dso-a", METER), pseudonym("dso-a", "other")
    await world.certify([*readings(count=3, point=mine), *readings(count=2, start=5, point=other)])
    token = world.add_client("household", ["dso-a"])
    body: dict[str, Any] = {"meters": ["unknown", METER, "other"], "limit": 4}
    first = (await world.http.post("/v1/readings/query", json=body, headers=bearer(token))).json()
    assert [(row["meter"], row["value"]) for row in first["readings"]] == [
        (1, "102"), (1, "101"), (1, "100"), (2, "106"),
    ]  # fmt: skip
    body["cursor"] = first["next"]
    second = (await world.http.post("/v1/readings/query", json=body, headers=bearer(token))).json()
    assert [(row["meter"], row["value"]) for row in second["readings"]] == [(2, "105")]
    assert second["next"] is None
    assert METER not in str(first) + str(second)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"meters": []}',
        b'{"meters": ["%s"], "nonsense-%s": 1}' % (METER.encode(), METER.encode()),
        b'{"meters": "%s"}' % METER.encode(),
        b'{"meters": [{"%s": 1}]}' % METER.encode(),
        b'["%s"]' % METER.encode(),
        b'{"meters": ["%s"], "limit": "%s"}' % (METER.encode(), METER.encode()),
        b'{"meters": ["%s"], "from": "%s"}' % (METER.encode(), METER.encode()),
    ],
)
async def test_a_wrong_query_is_refused_without_a_word_of_it(world: World, body: bytes) -> None:
    token = world.add_client("household", ["dso-a"])
    headers = {**bearer(token), "Content-Type": "application/json"}
    response = await world.http.post("/v1/readings/query", content=body, headers=headers)
    assert_problem(response, 400 if b"from" in body else 422)


async def test_a_plain_number_in_a_url_is_refused_without_a_word_of_it(world: World) -> None:
    token = world.add_client("reader", ["dso-a"])
    for name in ("point", "meter", METER):
        document = assert_problem(await world.get("/v1/readings", token, params={name: METER}), 422)
        assert document["errors"]
    assert_problem(await world.get(f"/v1/certificates/{METER}", token), 400, "malformed")


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=10001", "from=yesterday", "to=2026-01-01T00:00:00", "history=maybe", "quantity=a%20b"],
)
async def test_wrong_filters(world: World, query: str) -> None:
    token = world.add_client("reader", ["dso-a"])
    response = await world.get(f"/v1/readings?{query}", token)
    assert_problem(response, 400 if query.startswith(("from", "to")) else 422)


async def test_certificates_of_own_sources_only(world: World) -> None:
    sealed = await world.certify([*readings("dso-a", 1), *readings("dso-b", 1)])
    token = world.add_client("reader", ["dso-a"])
    response = await world.get("/v1/certificates/bal-1:0:0", token)
    batch = await world.store.certified_batch("bal-1", 0)
    assert response.text == batch.certificate(0)
    assert response.headers["content-type"] == "application/json"
    assert response.json()["anchor"]["root"] == sealed.anchor.root
    hidden = assert_problem(await world.get("/v1/certificates/bal-1:0:1", token), 404, "not-found")
    for missing in ("bal-1:0:2", "bal-1:9:0", "nolog:0:0"):
        assert hidden == assert_problem(await world.get(f"/v1/certificates/{missing}", token), 404)


async def test_an_erasure_is_told_to_those_who_saw_the_source(world: World) -> None:
    sealed = await world.certify([*readings("dso-a", 1), *readings("dso-b", 1)])
    stored = sealed.stored_entries()
    for index, source in enumerate(("dso-a", "dso-b")):
        entry = Erasure(source, str(stored[index].address), sealed.leaves[index].hex(), "op", "asked", NOW)
        noted = await world.certify([entry])
        note = ErasureNote(stored[index].address, noted.stored_entries()[0].address, entry, noted.salts[0])
        await world.store.erase(note, bytes(32))
    token = world.add_client("reader", ["dso-a"])
    assert_problem(await world.get("/v1/certificates/bal-1:0:0", token), 410, "erased")
    assert_problem(await world.get("/v1/certificates/bal-1:0:1", token), 404, "not-found")


async def test_batches_show_own_counts(world: World) -> None:
    await world.certify([*readings("dso-a", 2), *readings("dso-b", 3)])
    await world.certify(readings("dso-b", 1))
    await world.certify(readings("dso-a", 1), published=False)
    token = world.add_client("reader", ["dso-a"])
    response = await world.get("/v1/batches", token)
    shown = response.json()
    assert [(row["seq"], row["state"], row["counts"], row["others"]) for row in shown["batches"]] == [
        (0, "published", {"dso-a": 2}, 3),
        (2, "anchored", {"dso-a": 1}, 0),
    ]
    assert "dso-b" not in response.text
    assert (await world.get("/v1/batches/bal-1/0", token)).json() == shown["batches"][0]
    hidden = assert_problem(await world.get("/v1/batches/bal-1/1", token), 404, "not-found")
    for missing in ("bal-1/9", "nolog/0", "No%20Log/0"):
        assert hidden == assert_problem(await world.get(f"/v1/batches/{missing}", token), 404)
    assert_problem(await world.get("/v1/batches/bal-1/-1", token), 422)


async def test_batches_and_anchors_in_pages_over_logs(world: World) -> None:
    for log in ("bal-1", "bal-2"):
        for at in range(3):
            await world.certify(readings("dso-a", 1, at), log)
    token = world.add_client("reader", ["dso-a"])
    for kind in ("batches", "anchors"):
        found: list[tuple[str, int]] = []
        params: dict[str, Any] = {"limit": 2, "from": 1}
        while params.get("cursor", "") is not None:
            page = (await world.get(f"/v1/{kind}", token, params=params)).json()
            found += [(row["log"], row["seq"]) for row in page[kind]]
            params["cursor"] = page["next"]
        assert found == [("bal-1", 1), ("bal-1", 2), ("bal-2", 1), ("bal-2", 2)]
        only = (await world.get(f"/v1/{kind}?log=bal-2", token)).json()[kind]
        assert [row["seq"] for row in only] == [0, 1, 2]


async def test_anchors_are_whole(world: World) -> None:
    sealed = await world.certify([*readings("dso-a", 1), *readings("dso-b", 1)])
    token = world.add_client("auditor", ["dso-a"], ["anchors"])
    anchor = (await world.get("/v1/anchors/bal-1/0", token)).json()
    assert anchor["hash"] == sealed.anchor.hash
    assert anchor["counts"] == {"dso-a": 1, "dso-b": 1}
    assert (await world.get("/v1/anchors", token)).json() == {"anchors": [anchor], "next": None}
    assert_problem(await world.get("/v1/anchors/bal-1/7", token), 404, "not-found")
    assert_problem(await world.get("/v1/anchors/No%20Log/7", token), 404, "not-found")


async def test_sources_without_identities(world: World) -> None:
    token = world.add_client("reader", ["dso-a"])
    response = await world.get("/v1/sources", token)
    assert [row["name"] for row in response.json()["sources"]] == ["dso-a"]
    assert "secret-cn" not in response.text
    everything = world.add_client("regulator", ["*"])
    assert len((await world.get("/v1/sources", everything)).json()["sources"]) == 2


async def test_rejections_of_own_sources_without_bytes(world: World) -> None:
    for number in range(3):
        await world.refuse("dso-a", number)
        await world.refuse("dso-b", number)
    token = world.add_client("reader", ["dso-a"])
    first = (await world.get("/v1/rejections?limit=2", token)).json()
    assert [row["where"] for row in first["rejections"]] == ["readings[0]", "readings[1]"]
    assert {row["source"] for row in first["rejections"]} == {"dso-a"}
    second = await world.get(f"/v1/rejections?after={first['next']}", token)
    assert [row["where"] for row in second.json()["rejections"]] == ["readings[2]"]
    assert second.json()["next"] is None
    assert METER not in second.text
    everything = world.add_client("regulator", ["*"])
    rows = (await world.get("/v1/rejections?limit=4", everything)).json()
    assert [row["source"] for row in rows["rejections"]] == ["dso-a", "dso-b"] * 2
    rest = (await world.get(f"/v1/rejections?after={rows['next']}", everything)).json()
    assert [row["source"] for row in rest["rejections"]] == ["dso-a", "dso-b"]


async def test_verify(world: World) -> None:
    token = world.add_client("anyone", ["dso-a"], ["verify"])
    good = await world.http.post("/v1/verify", content=b"good", headers=bearer(token))
    assert (good.status_code, good.json()) == (200, {"valid": True, "reason": ""})
    bad = await world.http.post("/v1/verify", content=b"bad", headers=bearer(token))
    assert bad.json() == {"valid": False, "reason": "bad salt"}
    large = await world.http.post("/v1/verify", content=b" " * 70_000, headers=bearer(token))
    assert_problem(large, 413, "too-large")
