"""The token endpoint, asked as a client would."""

import base64
import json

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from bal.gateway.scopes import SCOPES
from tests.unit.gateway.world import ISSUER, NOW, World, assert_problem, basic

GRANT = {"grant_type": "client_credentials"}


async def test_a_token_by_basic_and_by_form(world: World) -> None:
    world.add_client("market", ["dso-a"], ["readings", "sources"])
    secret = world.secrets["market"]
    by_basic = await world.http.post("/oauth/token", data=GRANT, headers=basic("market", secret))
    by_form = await world.http.post(
        "/oauth/token", data={**GRANT, "client_id": "market", "client_secret": secret}
    )
    for response in (by_basic, by_form):
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert response.headers["cache-control"] == "no-store"
        answer = response.json()
        assert (answer["token_type"], answer["expires_in"], answer["scope"]) == (
            "Bearer",
            600,
            "readings sources",
        )
        assert (await world.get("/v1/sources", answer["access_token"])).status_code == 200
    assert by_basic.json()["access_token"] != by_form.json()["access_token"]


async def test_the_token_is_one_of_rfc_9068_signed_with_the_published_key(world: World) -> None:
    world.add_client("market", ["dso-a"], ["readings"])
    response = await world.http.post(
        "/oauth/token", data=GRANT, headers=basic("market", world.secrets["market"])
    )
    jwks = (await world.http.get("/.well-known/jwks.json")).json()
    assert "d" not in jwks["keys"][0]
    token = jwt.decode(response.json()["access_token"], KeySet.import_key_set(jwks), algorithms=["Ed25519"])
    assert token.header == {"alg": "Ed25519", "typ": "at+jwt", "kid": jwks["keys"][0]["kid"]}
    claims = token.claims
    assert (claims["iss"], claims["aud"]) == (ISSUER, f"{ISSUER}/v1")
    assert (claims["sub"], claims["client_id"], claims["scope"]) == ("market", "market", "readings")
    assert (claims["iat"], claims["exp"]) == (NOW // 10**6, NOW // 10**6 + 600)
    assert len(claims["jti"]) >= 16


async def test_metadata_of_rfc_8414(world: World) -> None:
    facts = (await world.http.get("/.well-known/oauth-authorization-server")).json()
    assert facts["issuer"] == ISSUER
    assert facts["token_endpoint"] == f"{ISSUER}/oauth/token"
    assert facts["jwks_uri"] == f"{ISSUER}/.well-known/jwks.json"
    assert facts["scopes_supported"] == list(SCOPES)
    assert facts["grant_types_supported"] == ["client_credentials"]


async def test_fewer_scopes_may_be_asked_for_but_no_others(world: World) -> None:
    world.add_client("market", ["dso-a"], ["readings", "sources"])
    headers = basic("market", world.secrets["market"])
    response = await world.http.post("/oauth/token", data={**GRANT, "scope": "sources"}, headers=headers)
    assert response.json()["scope"] == "sources"
    assert_problem(
        await world.get("/v1/readings", response.json()["access_token"]), 403, "insufficient-scope"
    )
    for scope in ("sources ingest", "everything", "READINGS"):
        response = await world.http.post("/oauth/token", data={**GRANT, "scope": scope}, headers=headers)
        assert (response.status_code, response.json()["error"]) == (400, "invalid_scope")


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "unsupported_grant_type"),
        ({"grant_type": "password", "username": "a", "password": "b"}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code", "code": "x"}, "unsupported_grant_type"),
        ({"grant_type": 'cl"\\<b>'}, "unsupported_grant_type"),
        ({"grant_type": "a\nb"}, "invalid_request"),
        ({"grant_type": "ä"}, "invalid_request"),
    ],
)
async def test_other_grants_are_refused(world: World, form: dict[str, str], error: str) -> None:
    world.add_client("market", ["dso-a"], ["readings"])
    response = await world.http.post(
        "/oauth/token", data=form, headers=basic("market", world.secrets["market"])
    )
    assert response.status_code == 400
    if not form:  # httpx sends no content type without a form
        error = "invalid_request"
    answer = response.json()
    assert answer["error"] == error
    assert (answer["status"], answer["title"]) == (400, "The token request was refused.")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"grant_type=client_credentials&grant_type=client_credentials", "application/x-www-form-urlencoded"),
        (b"grant_type=client_credentials&" + b"&".join(b"a%d=1" % n for n in range(99)), "application/x-www-form-urlencoded"),
        (b"grant_type=client_credentials&a=" + b"x" * 9000, "application/x-www-form-urlencoded"),
        (b"\xff\xfe=1", "application/x-www-form-urlencoded"),
        (json.dumps(GRANT).encode(), "application/json"),
        (b"grant_type=client_credentials", "text/plain"),
        (b"grant_type=client_credentials&client_secret=a&client_id=market", "application/x-www-form-urlencoded"),
    ],
)  # fmt: skip
async def test_forms_that_are_none(world: World, content: bytes, kind: str) -> None:
    world.add_client("market", ["dso-a"], ["readings"])
    headers = {**basic("market", world.secrets["market"]), "Content-Type": kind}
    response = await world.http.post("/oauth/token", content=content, headers=headers)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
        "Bearer abc",
        "Basic bWFya2V0",
        "",
    ],
)
async def test_credentials_that_are_none(world: World, authorization: str) -> None:
    world.add_client("market", ["dso-a"], ["readings"])
    response = await world.http.post("/oauth/token", data=GRANT, headers={"Authorization": authorization})
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    assert response.headers["www-authenticate"].startswith("Basic ")
