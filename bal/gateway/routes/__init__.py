"""The routes of the gateway, one file a resource."""

from typing import Final

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

V1: Final = tuple(
    room.router
    for room in (readings, certificates, batches, anchors, sources, rejections, stream, verify, ingest)
)
"""Every route that needs a token. Each router has its own prefix, so that a route's path is its whole template."""
