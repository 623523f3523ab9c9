"""The routes of the gateway, one file a resource."""

from fastapi import APIRouter

from bal.gateway.routes import (
    anchors,
    batches,
    certificates,
    ingest,
    readings,
    rejections,
    sources,
    stream,
    verify,
)


def v1() -> APIRouter:
    """Return every route that needs a token."""
    router = APIRouter(prefix="/v1", redirect_slashes=False)
    for room in (readings, certificates, batches, anchors, sources, rejections, stream, verify, ingest):
        router.include_router(room.router)
    return router
