"""Guessing secrets at the token endpoint: unknown names cost as much, failures are limited, nothing tells names apart."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bal.gateway.clients import Client, Clients
from tests.unit.gateway.world import World, assert_problem, basic, gateway

GRANT = {"grant_type": "client_credentials"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with gateway(tmp_path) as opened:
        opened.add_client("market", ["dso-a"], ["readings"])
        yield opened


async def test_an_unknown_client_costs_a_hash_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[str] = []
    original = Clients.matches

    def matches(self: Clients, client: Client | None, secret: str) -> bool:
        hasher: Any = self._hash
        verify = hasher.verify

        def counted(given: str, known: str) -> bool:
            verified.append(known)
            return bool(verify(given, known))

        monkeypatch.setattr(hasher, "verify", counted)
        try:
            return original(self, client, secret)
        finally:
            monkeypatch.setattr(hasher, "verify", verify)

    monkeypatch.setattr(Clients, "matches", matches)
    answers = []
    for name in ("market", "nobody", "x" * 300):
        response = await world.http.post("/oauth/token", data=GRANT, headers=basic(name, "wrong"))
        assert response.status_code == 401
        answers.append(response.json())
    assert answers[0] == answers[1] == answers[2]
    assert len(verified) == 3
    assert all(known.startswith("$argon2id$") for known in verified)


async def test_failures_are_limited_for_their_sender_only(world: World) -> None:
    wrong = basic("market", "wrong")
    for _ in range(10):
        assert (await world.http.post("/oauth/token", data=GRANT, headers=wrong)).status_code == 401
    right = basic("market", world.secrets["market"])
    for headers in (wrong, right):
        response = await world.http.post("/oauth/token", data=GRANT, headers=headers)
        assert_problem(response, 429, "too-many-attempts")
        assert 0 < int(response.headers["retry-after"]) <= 61
    world.add_client("other", ["dso-a"], ["readings"])
    other = basic("other", world.secrets["other"])
    assert (await world.http.post("/oauth/token", data=GRANT, headers=other)).status_code == 200
    await world.clock.sleep(61)
    assert (await world.http.post("/oauth/token", data=GRANT, headers=right)).status_code == 200


async def test_a_flood_of_requests_is_refused_not_queued(world: World) -> None:
    headers = basic("market", world.secrets["market"])
    responses = await asyncio.gather(
        *(world.http.post("/oauth/token", data=GRANT, headers=headers) for _ in range(60))
    )
    codes = {response.status_code for response in responses}
    assert codes == {200, 503}
    refused = next(response for response in responses if response.status_code == 503)
    assert_problem(refused, 503, "overloaded")
    assert refused.headers["retry-after"]


async def test_a_revoked_client_gets_no_token_and_its_tokens_end_at_once(world: World) -> None:
    token = world.token("market")
    assert (await world.get("/v1/readings", token)).status_code == 200
    secret = world.secrets["market"]
    world.services.clients.revoke("market")
    assert_problem(await world.get("/v1/readings", token), 401, "unauthenticated")
    response = await world.http.post("/oauth/token", data=GRANT, headers=basic("market", secret))
    assert response.status_code == 401
    world.add_client("market", ["dso-a"], ["readings"])
    assert_problem(await world.get("/v1/readings", token), 401, "unauthenticated")


async def test_no_secret_or_token_is_logged(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    secret = world.secrets["market"]
    response = await world.http.post("/oauth/token", data=GRANT, headers=basic("market", secret))
    token = response.json()["access_token"]
    await world.get("/v1/readings?quantity=activeEnergy", token)
    await world.get("/v1/secretpath/IT001E123?x=IT001E123", token)
    captured = capsys.readouterr()
    for text in (secret, token, "activeEnergy", "IT001E123", "secretpath"):
        assert text not in captured.out + captured.err
