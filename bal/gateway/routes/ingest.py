"""Ingest: a document in the body, its source from the token; 202 is the receipt."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from bal.core.errors import Overloaded, Refused, TooLarge
from bal.core.limits import HTTP_BODY_BYTES
from bal.core.message import Form, Message
from bal.gateway.access import Access, Services, needs
from bal.gateway.answers import ReceiptFacts, documented, json_answer
from bal.gateway.body import Packing, Receiver, receive
from bal.gateway.problems import TooSlow, UnsupportedMedia
from bal.gateway.scopes import INGEST

router = APIRouter(prefix="/v1", tags=["ingest"])

FORMS: Final[dict[str, Form]] = {"application/xml": "cim", "text/xml": "cim", "application/json": "pmu"}
PACKINGS: Final[dict[str, Packing]] = {"": "plain", "identity": "plain", "gzip": "gzip", "x-gzip": "gzip"}
SILENCE_SECONDS: Final = 20.0
"""Longest time between two parts of a body."""
GRACE_SECONDS: Final = 30.0
BYTES_A_SECOND: Final = 16 * 1024
"""Slowest rate of a body over the whole of it, after the grace."""
BODIES: Final = 32
"""Most bodies taken in at a time: each holds up to 8 MiB of memory."""
_SCHEMA: Final = {"schema": {"type": "string", "format": "binary"}}


@router.post(
    "/ingest",
    summary="Send a document",
    status_code=HTTPStatus.ACCEPTED,
    responses=documented(ReceiptFacts, 400, 404, 408, 413, 415, 422, 503, status=HTTPStatus.ACCEPTED),
    openapi_extra={"requestBody": {"required": True, "content": dict.fromkeys(FORMS, _SCHEMA)}},
)
async def ingest(request: Request, services: Services, access: Access = needs(INGEST)) -> Response:
    """Take an IEC 61968-9 document (XML) or a PMU message (JSON), plain or gzip, up to 256 MiB unpacked.

    The answer is the receipt: every accepted reading is stored for good. Without it, send the same bytes again; that
    changes nothing.
    """
    source = access.client.ingest_as
    if not source:
        raise Refused("this client sends as no source", remedy="ask the operator for it")
    form, packing = _kind(request)
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > HTTP_BODY_BYTES:
        raise TooLarge(f"the body has more than {HTTP_BODY_BYTES} bytes", remedy="send it in parts")
    bodies: asyncio.Semaphore = request.app.state.bodies
    if bodies.locked():
        raise Overloaded(
            "too many documents are arriving", remedy="keep the document and send it again later"
        )
    async with bodies:
        receiver = Receiver(packing=packing, cap=HTTP_BODY_BYTES, directory=services.spool)
        body = await receive(chunks(request), receiver)
    receipt = await services.intake.submit(Message(source, form, body.content, body.digest))
    return json_answer(receipt.to_json(), HTTPStatus.ACCEPTED)


def _kind(request: Request) -> tuple[Form, Packing]:
    types = request.headers.getlist("content-type")
    form = FORMS.get(types[0].partition(";")[0].strip().lower()) if len(types) == 1 else None
    if form is None:
        message = "this content type is not read here"
        raise UnsupportedMedia(message, remedy=f"send one of {', '.join(FORMS)}")
    encodings = [
        part.strip().lower() for part in ",".join(request.headers.getlist("content-encoding")).split(",")
    ]
    packing = PACKINGS.get(encodings[0]) if len(encodings) == 1 else None
    if packing is None:
        raise UnsupportedMedia("this content encoding is not read here", remedy="send it plain or as gzip")
    return form, packing


async def chunks(request: Request) -> AsyncIterator[bytes]:
    """Yield a body as it arrives; raise `TooSlow` for one that stalls or trickles, `ClientDisconnect`."""
    clock = asyncio.get_running_loop()
    began, size = clock.time(), 0
    stream = aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except (TimeoutError, ClientDisconnect) as error:
            raise TooSlow("the body did not arrive in time", remedy="send it again") from error
        size += len(chunk)
        if size < BYTES_A_SECOND * (clock.time() - began - GRACE_SECONDS):
            raise TooSlow("the body arrives too slowly", remedy="send it again over a better line")
        yield chunk
