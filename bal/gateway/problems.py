"""Every error as a problem document (RFC 9457), without detail where the fault is ours."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from bal.core.errors import BalError, Malformed, NotFound, Refused, Unauthenticated

PROBLEM_TYPE: Final = "application/problem+json"
RETRY_SECONDS: Final = 5
"""What `Retry-After` says of a service that is overloaded or not ready."""
ERRORS_LISTED: Final = 20
"""Most faults of one request that are listed one by one."""


class InvalidRequest(Malformed):
    """A parameter or the body of a request does not have the form it must have."""

    status = 422
    slug = "invalid-request"


class UnsupportedMedia(Malformed):
    """The content type or encoding of a body is not one that is read here."""

    status = 415
    slug = "unsupported-media"


class TooSlow(Malformed):
    """The body of a request did not arrive in time."""

    status = 408
    slug = "too-slow"


class MethodNotAllowed(Refused):
    """This resource has no such method."""

    status = 405
    slug = "method-not-allowed"


class NoToken(Unauthenticated):
    """No access token was sent."""


class InsufficientScope(Refused):
    """The access token does not have the scope this needs."""

    slug = "insufficient-scope"

    def __init__(self, scope: str) -> None:
        super().__init__("this access token lacks a scope", subject=scope, remedy="ask the operator for it")
        self.scope = scope


class TooManyAttempts(Refused):
    """Too many attempts failed; wait before the next one."""

    status = 429
    slug = "too-many-attempts"

    def __init__(self, what: str, *, retry_seconds: int, remedy: str = "") -> None:
        super().__init__(what, remedy=remedy)
        self.retry_seconds = retry_seconds


def problem_response(
    document: Mapping[str, Any], headers: Mapping[str, str] | None = None, media_type: str = PROBLEM_TYPE
) -> Response:
    """Return a problem document as an answer of its own status."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(body, status_code=document["status"], headers=headers, media_type=media_type)


def response_of(error: BalError, *, whole: bool = False) -> Response:
    """Return the answer to an error of ours; `whole` tells the operator also what strangers are not told."""
    document = error.problem()
    if error.status == HTTPStatus.INTERNAL_SERVER_ERROR and not whole:
        document = internal_problem()
    headers: dict[str, str] = {}
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_SECONDS)
    elif isinstance(error, TooManyAttempts):
        headers["Retry-After"] = str(error.retry_seconds)
    elif error.status == HTTPStatus.UNAUTHORIZED:
        challenge = 'Bearer realm="bal"'
        headers["WWW-Authenticate"] = (
            challenge if isinstance(error, NoToken) else f'{challenge}, error="invalid_token"'
        )
    elif isinstance(error, InsufficientScope):
        headers["WWW-Authenticate"] = f'Bearer realm="bal", error="insufficient_scope", scope="{error.scope}"'
    return problem_response(document, headers)


def internal_problem() -> dict[str, Any]:
    """Return the document of a fault of ours; what it was stands in the log."""
    return {"type": "urn:bal:problem:internal", "title": "The service failed.", "status": 500}


def faults(errors: Sequence[Any]) -> list[dict[str, str]]:
    """Return where a request is wrong and why, without what was sent: it may hold meter numbers."""
    found = []
    for error in errors[:ERRORS_LISTED]:
        place = [str(part) for part in error["loc"]]
        if error["type"] == "extra_forbidden":
            place = place[:-1]  # the last part is a name that the sender chose
        reason = str(error["msg"]) if error["type"] != "json_invalid" else "this is not JSON"
        found.append({"where": ".".join(place), "reason": reason})
    return found


def invalid_request(errors: Sequence[Any]) -> Response:
    """Return the answer to a request of the wrong form."""
    error = InvalidRequest("the request does not have the form it must have", remedy="see /openapi.json")
    return problem_response({**error.problem(), "errors": faults(errors)})


async def _bal_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, BalError)
    return response_of(error)


async def _operators_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, BalError)
    return response_of(error, whole=True)


async def _validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError | ValidationError)
    return invalid_request(error.errors())


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.NOT_FOUND:
        return response_of(NotFound("there is nothing here", remedy="see /openapi.json"))
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        refused = MethodNotAllowed("this resource has no such method", remedy="see the header Allow")
        return problem_response(refused.problem(), headers)
    phrase = HTTPStatus(error.status_code).phrase
    return problem_response({"type": "about:blank", "title": phrase, "status": error.status_code}, headers)


def install(app: FastAPI, *, whole: bool = False) -> None:
    """Have `app` answer every error with a problem document; `whole` is for the operator's eyes."""
    app.add_exception_handler(BalError, _operators_error if whole else _bal_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(ValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
