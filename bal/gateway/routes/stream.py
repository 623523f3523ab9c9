"""The stream of certificates as they are made."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from bal.core.errors import Overloaded
from bal.gateway.access import Access, Services, check, needs
from bal.gateway.answers import Certificate, documented
from bal.gateway.routes.readings import Name
from bal.gateway.scopes import STREAM
from bal.gateway.sse import EventLines, published, resumed

router = APIRouter(prefix="/v1", tags=["stream"])

EVENT_STREAM: Final = "text/event-stream"
STREAMS: Final = 16
"""Most streams of one client at a time."""


class StreamFilters(BaseModel):
    """What `GET /v1/stream` takes."""

    model_config = ConfigDict(extra="forbid")

    source: Annotated[list[Name], Field(max_length=64, description="May be given several times.")] | None = (
        None
    )


@router.get(
    "/stream",
    summary="Certificates as server-sent events",
    response_class=StreamingResponse,
    responses={
        **documented(Certificate, 400, 422, 503),
        200: {
            "description": "One certificate an event; `id` is what to send as Last-Event-ID.",
            "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
        },
    },
)
async def stream(
    request: Request,
    filters: Annotated[StreamFilters, Query()],
    services: Services,
    last_event_id: Annotated[
        str | None, Header(description="Id of the last event; what came after it is sent first.")
    ] = None,
    access: Access = needs(STREAM),
) -> StreamingResponse:
    """Send the certificates of the client's sources: those after Last-Event-ID, then new ones, each once.

    The stream ends with the token, or when the client is revoked or falls too far behind; connect again with the last id.
    """
    sources = access.choose(await access.sources(services.store), filters.source)
    if last_event_id:
        positions = await resumed(services.store, last_event_id)
    else:
        positions = await published(services.store)
    lines = EventLines(
        services.store, services.events, sources, positions, lambda: check(services, access.grant)
    )
    open_streams: Counter[str] = request.app.state.streams
    if open_streams[access.client.key] >= STREAMS:
        raise Overloaded("this client has too many streams", remedy="end one of them")
    return StreamingResponse(
        _counted(lines.lines(), open_streams, access.client.key),
        media_type=EVENT_STREAM,
        headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"},
    )


async def _counted(lines: AsyncIterator[bytes], streams: Counter[str], client: str) -> AsyncIterator[bytes]:
    streams[client] += 1
    try:
        async for line in lines:
            yield line
    finally:
        streams[client] -= 1
        if not streams[client]:
            del streams[client]
