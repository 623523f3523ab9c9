"""The REST API as one ASGI application."""

import asyncio
from collections import Counter
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from bal import __version__
from bal.gateway import docs, problems
from bal.gateway.answers import Certificate, Problem, problem_answer
from bal.gateway.authorization import TokenEndpoint
from bal.gateway.cursors import Cursors
from bal.gateway.guard import BodyRefused, Guard, body_refused, is_public
from bal.gateway.routes import V1, metadata
from bal.gateway.routes.ingest import BODIES
from bal.gateway.services import GatewayServices

DESCRIPTION = (
    "Certified meter and PMU readings. Get a token at /oauth/token with the client credentials the operator gave you; "
    "every error is a problem document (RFC 9457)."
)
LARGE_BODIES = frozenset({"/v1/ingest"})


def create_app(services: GatewayServices) -> FastAPI:
    """Return the gateway of a service."""
    app = FastAPI(
        title="Blockchain Access Layer",
        version=__version__,
        description=DESCRIPTION,
        openapi_url="/openapi.json" if services.docs else None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would be made from the Host header
        generate_unique_id_function=_operation_id,
    )
    app.state.services = services
    app.state.cursors = Cursors(services.tokens.derive("cursors"))
    app.state.token_endpoint = TokenEndpoint(services.clients, services.tokens, services.clock)
    app.state.readiness = metadata.Readiness(services)
    app.state.streams = Counter()
    app.state.bodies = asyncio.Semaphore(BODIES)
    for router in (*V1, metadata.router):
        app.include_router(router)
    if services.docs:
        _document(app)
        docs.install(app)
    problems.install(app)
    app.add_exception_handler(BodyRefused, body_refused)
    app.add_middleware(
        Guard,
        metrics=services.metrics,
        large=LARGE_BODIES,
        strict_transport=is_public(services.tokens.issuer),
    )
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name


def _document(app: FastAPI) -> None:
    """Add the schemas that routes name and FastAPI does not see; 422 answers are problems like all others."""
    original = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = original()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for model in (Problem, Certificate):
                schemas[model.__name__] = model.model_json_schema()
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            for operation in (each for methods in document["paths"].values() for each in methods.values()):
                answers = operation["responses"]
                if "HTTPValidationError" in str(answers.get("422")):
                    answers["422"] = problem_answer(422)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way
