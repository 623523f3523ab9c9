"""The routes and scopes of the guide, held against the application's own description."""

from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bal.gateway.app import create_app
from bal.gateway.clients import Clients
from bal.gateway.scopes import SCOPES
from bal.gateway.services import GatewayServices
from bal.gateway.tokens import Tokens
from bal.metrics import Metrics
from bal.system import SystemClock
from tests.unit.docs.pages import code, page, rows, section


def services(folder: Path) -> GatewayServices:
    """Give an application what it needs to describe itself; nothing of it is asked."""
    nothing, clock = cast(Any, None), SystemClock()
    return GatewayServices(
        store=nothing,
        ledger=nothing,
        quarantine=nothing,
        intake=nothing,
        events=nothing,
        clients=Clients(folder / "clients.json", clock),
        tokens=Tokens(Ed25519PrivateKey.generate(), "https://localhost:8443", clock),
        clock=clock,
        metrics=Metrics(),
        pseudonyms=nothing,
        verify=nothing,
        health=nothing,
    )


@pytest.fixture
def routes(tmp_path: Path) -> dict[tuple[str, str], Any]:
    """Give (method, path) -> operation, as OpenAPI describes it."""
    paths = create_app(services(tmp_path)).openapi()["paths"]
    return {
        (method.upper(), path): each for path, members in paths.items() for method, each in members.items()
    }


def told() -> dict[str, str]:
    return {code(cells[0]): cells[1] for cells in rows(section(page("docs/guide.md"), "## REST"))}


def test_every_scope_is_listed_with_its_routes(routes: dict[tuple[str, str], Any]) -> None:
    assert told().keys() == SCOPES.keys()
    needed: dict[str, set[str]] = {}
    for (method, path), operation in routes.items():
        for scope in [
            scope for each in operation.get("security", []) for scopes in each.values() for scope in scopes
        ]:
            needed.setdefault(scope, set()).add(f"`{method} {path}`")
    assert {scope: set(cell.split(", ")) for scope, cell in told().items()} == needed


def test_routes_without_a_token_are_listed(routes: dict[tuple[str, str], Any]) -> None:
    text = section(page("docs/guide.md"), "## REST")
    free = {path for (_, path), operation in routes.items() if not operation.get("security")}
    assert "/livez" in free
    assert {path for path in free if f"`{path}`" not in text} == set()
