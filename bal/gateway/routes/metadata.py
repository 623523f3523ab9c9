"""What is open to everybody: how to get a token (RFC 8414), the key it is signed with (RFC 7517), health, metrics."""

import asyncio
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from bal.gateway.access import TOKEN_PATH, Services
from bal.gateway.answers import json_answer
from bal.gateway.authorization import FORM, TokenEndpoint
from bal.gateway.problems import RETRY_SECONDS, problem_response
from bal.gateway.scopes import SCOPES
from bal.gateway.services import GatewayServices
from bal.metrics import EXPOSITION_TYPE

router = APIRouter(tags=["open to everybody"])

READY_SECONDS: Final = 1.0
"""How long an answer of the checks serves: strangers ask too."""
_TOKEN_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["grant_type"],
                    "properties": {
                        "grant_type": {"type": "string", "enum": ["client_credentials"]},
                        "scope": {
                            "type": "string",
                            "description": "Scopes, parted by spaces; all if left out.",
                        },
                        "client_id": {"type": "string"},
                        "client_secret": {"type": "string"},
                    },
                }
            }
        },
    }
}


def metadata(issuer: str, *, docs: bool) -> dict[str, Any]:
    """Return the authorization server's metadata (RFC 8414, section 2)."""
    facts: dict[str, Any] = {
        "issuer": issuer,
        "token_endpoint": issuer + TOKEN_PATH,
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "scopes_supported": list(SCOPES),
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    }
    return {**facts, "service_documentation": f"{issuer}/docs"} if docs else facts


@router.post(TOKEN_PATH, summary="Get an access token", openapi_extra=_TOKEN_BODY)
async def token(request: Request) -> Response:
    """Give a client its token (RFC 6749, section 4.4). Name and secret by HTTP Basic or in the form."""
    endpoint: TokenEndpoint = request.app.state.token_endpoint
    return await endpoint.respond(request)


@router.get("/.well-known/oauth-authorization-server", summary="How to get a token")
async def authorization_server(services: Services) -> Response:
    """Return the metadata of RFC 8414."""
    return json_answer(metadata(services.tokens.issuer, docs=services.docs))


@router.get("/.well-known/jwks.json", summary="The key tokens are signed with")
async def jwks(services: Services) -> Response:
    """Return the JWK Set of RFC 7517."""
    return json_answer(services.tokens.jwks())


@router.get("/livez", summary="Whether the process answers")
async def livez() -> Response:
    """Return 200."""
    return json_answer({"status": "ok"})


class Readiness:
    """The answer of the checks, asked anew after a while and by one request at a time."""

    def __init__(self, services: GatewayServices) -> None:
        self._services = services
        self._turn = asyncio.Lock()
        self._checks: dict[str, str] = {}
        self._at = -READY_SECONDS

    async def checks(self) -> dict[str, str]:
        """Return port -> `ok` or why not."""
        async with self._turn:
            now = self._services.clock.monotonic()
            if not self._checks or now - self._at >= READY_SECONDS:
                self._checks, self._at = dict(await self._services.health()), now
            return self._checks


@router.get("/readyz", summary="Whether the service can do its work")
async def readyz(request: Request) -> Response:
    """Return 200 when every part it needs answers, else 503 and which one does not."""
    readiness: Readiness = request.app.state.readiness
    checks = await readiness.checks()
    if all(state == "ok" for state in checks.values()):
        return json_answer({"status": "ok", "checks": checks})
    document = {
        "type": "urn:bal:problem:unavailable",
        "title": "A part the service needs does not answer.",
        "status": int(HTTPStatus.SERVICE_UNAVAILABLE),
        "checks": checks,
    }
    return problem_response(document, {"Retry-After": str(RETRY_SECONDS)})


@router.get("/metrics", summary="Numbers for Prometheus")
async def metrics(services: Services) -> Response:
    """Return the metrics; no label names a source, a client or a meter."""
    return Response(services.metrics.exposition(), headers={"Content-Type": EXPOSITION_TYPE})
