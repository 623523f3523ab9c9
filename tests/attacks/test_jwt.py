"""Forged access tokens: every one is refused with the same words."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bal.gateway.tokens import ALGORITHM, Tokens
from tests.unit.gateway.world import ISSUER, World, assert_problem, gateway


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with gateway(tmp_path) as opened:
        opened.add_client("market", ["dso-a"])
        yield opened


def encode(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode(part: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=="))
    return value


def signed(key: Ed25519PrivateKey, header: object, claims: object) -> str:
    text = f"{encode(header)}.{encode(claims)}"
    return f"{text}.{encode(key.sign(text.encode()))}"


def parts(world: World) -> tuple[dict[str, Any], dict[str, Any]]:
    header, claims, _ = world.token("market").split(".")
    return decode(header), decode(claims)


async def refused(world: World, token: str) -> None:
    response = await world.get("/v1/readings", token)
    document = assert_problem(response, 401, "unauthenticated")
    assert document["detail"] == "this access token is not valid"


async def test_the_forger_here_can_make_a_good_one(world: World) -> None:
    token = signed(world.key, *parts(world))
    assert (await world.get("/v1/readings", token)).status_code == 200


async def test_no_algorithm(world: World) -> None:
    header, claims = parts(world)
    for name in ("none", "None", "NONE", "nOnE", ""):
        text = f"{encode({**header, 'alg': name})}.{encode(claims)}"
        for signature in ("", "AA", encode(world.key.sign(text.encode()))):
            await refused(world, f"{text}.{signature}")


async def test_the_public_key_as_a_secret(world: World) -> None:
    header, claims = parts(world)
    public = world.key.public_key()
    jwk = (await world.http.get("/.well-known/jwks.json")).json()["keys"][0]
    for secret in (
        public.public_bytes(Encoding.Raw, PublicFormat.Raw),
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(jwk).encode(),
        jwk["x"].encode(),
    ):
        for name in ("HS256", "HS512"):
            text = f"{encode({**header, 'alg': name})}.{encode(claims)}"
            digest = hashlib.sha256 if name == "HS256" else hashlib.sha512
            await refused(world, f"{text}.{encode(hmac.digest(secret, text.encode(), digest))}")


OTHER_ALGORITHMS: list[object] = [
    "RS256",
    "ES256",
    "PS256",
    "EdDSA",
    "Ed448",
    "ed25519",
    "HS256",
    "dir",
    7,
    None,
    ["Ed25519"],
]


async def test_another_algorithm_over_a_right_signature(world: World) -> None:
    for name in OTHER_ALGORITHMS:
        header, claims = parts(world)
        await refused(world, signed(world.key, {**header, "alg": name}, claims))


HEADERS: list[dict[str, Any]] = [
    {"typ": "JWT"},
    {"typ": "AT+JWT"},
    {"typ": None},
    {"kid": "../../../../dev/null"},
    {"kid": "' OR 1=1 --"},
    {"kid": ""},
    {"kid": None},
    {"crit": ["exp"], "exp": 9_999_999_999},
    {"crit": ["b64"], "b64": False},
    {"crit": []},
    {"b64": False},
    {"jku": "https://127.0.0.1:1/jwks.json"},
    {"x5u": "https://127.0.0.1:1/chain.pem"},
    {"x5c": ["AAAA"]},
    {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}},
    {"cty": "JWT"},
    {"zip": "DEF"},
    {"extra": 1},
]


async def test_a_header_that_is_not_ours(world: World) -> None:
    for change in HEADERS:
        header, claims = parts(world)
        await refused(world, signed(world.key, {**header, **change}, claims))


async def test_the_forgers_own_key_in_the_header(world: World) -> None:
    header, claims = parts(world)
    forger = Ed25519PrivateKey.generate()
    raw = forger.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": encode(raw)}
    for extra in ({}, {"jwk": jwk}, {"kid": "mine"}, {"jwk": jwk, "kid": "mine"}):
        await refused(world, signed(forger, {**header, **extra}, claims))


CLAIMS: list[dict[str, Any]] = [
    {"iss": "https://elsewhere"},
    {"iss": ISSUER + "/"},
    {"iss": [ISSUER]},
    {"aud": ISSUER},
    {"aud": "https://elsewhere/v1"},
    {"aud": [f"{ISSUER}/v1"]},
    {"aud": [f"{ISSUER}/v1", "https://elsewhere"]},
    {"aud": []},
    {"exp": 1},
    {"exp": "9999999999"},
    {"exp": True},
    {"exp": None},
    {"iat": 9_999_999_999},
    {"nbf": 9_999_999_999},
    {"sub": "other"},
    {"client_id": "nobody", "sub": "nobody"},
    {"client_id": ["market"], "sub": ["market"]},
    {"client_id": {"a": 1}, "sub": {"a": 1}},
    {"registration": "0000"},
    {"registration": ["x"]},
    {"scope": ["readings"]},
    {"scope": ""},
    {"jti": ""},
    {"jti": 7},
]


async def test_claims_that_are_not_ours(world: World) -> None:
    for change in CLAIMS:
        header, claims = parts(world)
        await refused(world, signed(world.key, header, {**claims, **change}))


CLAIM_NAMES = ["iss", "aud", "exp", "iat", "sub", "jti", "client_id", "scope", "registration"]


async def test_a_claim_left_out(world: World) -> None:
    for name in CLAIM_NAMES:
        header, claims = parts(world)
        del claims[name]
        await refused(world, signed(world.key, header, claims))


async def test_infinite_and_nested_claims(world: World) -> None:
    header, claims = parts(world)
    text = json.dumps(claims)
    exp = str(claims["exp"])
    for value in ("Infinity", "1e999", "NaN", "-Infinity"):
        await refused(world, signed(world.key, header, text.replace(exp, value, 1).encode()))
    await refused(world, signed(world.key, header, b"[" * 600 + b"]" * 600))
    await refused(world, signed(world.key, header, b"7"))
    await refused(world, signed(world.key, b"[]", claims))


async def test_out_of_time(world: World) -> None:
    token = world.token("market")
    await world.clock.sleep(599)
    assert (await world.get("/v1/readings", token)).status_code == 200
    await world.clock.sleep(1)
    await refused(world, token)


async def test_every_changed_character(world: World) -> None:
    token = world.token("market")
    for place in range(0, len(token), 7):
        other = "A" if token[place] != "A" else "B"
        await refused(world, token[:place] + other + token[place + 1 :])


SHAPES: dict[str, Callable[[str], str]] = {
    "twice": lambda token: token + "." + token,
    "empty part": lambda token: token.replace(".", ".."),
    "header only": lambda token: token.split(".")[0],
    "dots": lambda token: "..",
    "padding": lambda token: token + "=" * 4,
    "huge": lambda token: token + "A" * 100_000,
    "just too long": lambda token: "A" * 2049,
    "other dots": lambda token: token.replace(".", "\u2024"),
    "two tokens": lambda token: f"{token}, {token}",
    "json form": lambda token: json.dumps({"payload": token.split(".")[1]}),
    "five parts": lambda token: f"{token}.a.b",
}


async def test_shapes_that_are_no_token(world: World) -> None:
    for make in SHAPES.values():
        headers = {b"Authorization": f"Bearer {make(world.token('market'))}".encode()}
        response = await world.http.get("/v1/readings", headers=headers)
        assert_problem(response, 401, "unauthenticated")


async def test_a_token_elsewhere_than_in_its_header_counts_for_nothing(world: World) -> None:
    token = world.token("market")
    assert_problem(await world.http.get("/v1/sources", params={"access_token": token}), 401)
    assert_problem(await world.http.get("/v1/sources", headers={"Cookie": f"access_token={token}"}), 401)
    doubled = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    assert_problem(await world.http.get("/v1/sources", headers=doubled), 401)


async def test_a_token_of_another_issuer_with_the_same_key(world: World) -> None:
    other = Tokens(world.key, "https://other", world.clock)
    await refused(world, other.issue(world.client("market"), ["readings"]))
    assert ALGORITHM == "Ed25519"
