"""Checking certificates, for those who trust this ledger's own peer."""

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from bal.core.errors import TooLarge
from bal.gateway.access import Access, Services, needs
from bal.gateway.answers import VerdictFacts, documented, json_answer
from bal.gateway.scopes import VERIFY

router = APIRouter(prefix="/v1", tags=["verify"])

CERTIFICATE_BYTES: Final = 64 * 1024
"""Largest body looked at; a certificate has 2 kB."""


@router.post(
    "/verify",
    summary="Check a certificate",
    responses=documented(VerdictFacts, 413),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Certificate"}}},
        }
    },
)
async def verify(request: Request, services: Services, access: Access = needs(VERIFY)) -> Response:  # noqa: ARG001 - the dependency is the check
    """Tell whether a certificate, sent exactly as it was received, proves what it says."""
    text = await request.body()
    if len(text) > CERTIFICATE_BYTES:
        raise TooLarge(f"a certificate has at most {CERTIFICATE_BYTES} bytes")
    verdict = await services.verify(text)
    return json_answer({"valid": verdict.valid, "reason": verdict.reason})
