"""Anchors: whole, as every party of the ledger sees them; less would not hash to what the next one names."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from bal.core.errors import NotFound
from bal.core.names import is_name
from bal.gateway.access import Access, PageCursors, Services, needs
from bal.gateway.answers import Anchor, Anchors, anchor_json, documented, json_answer
from bal.gateway.routes.batches import Log, Seq, Span
from bal.gateway.scopes import ANCHORS

router = APIRouter(prefix="/v1", tags=["anchors"])


@router.get("/anchors", summary="Anchors in sequence", responses=documented(Anchors, 400, 422, 503))
async def anchors(
    span: Annotated[Span, Query()],
    services: Services,
    cursors: PageCursors,
    access: Access = needs(ANCHORS),
) -> Response:
    """Return anchors as the ledger holds them, log after log, in sequence."""
    question = ["anchors", *span.question(access)]
    logs = [log for log in await services.ledger.logs() if span.log in {None, log}]
    start: tuple[str, int] = ("", 0)
    if span.cursor is not None:
        start = cursors.open(question, span.cursor)
        logs = logs[logs.index(start[0]) :] if start[0] in logs else []
    shown: list[dict[str, Any]] = []
    for log in logs:
        async for commitment in services.ledger.anchors(log, start[1] if log == start[0] else span.first):
            if len(shown) == span.limit:
                following = cursors.make(question, [log, commitment.anchor.seq])
                return json_answer({"anchors": shown, "next": following})
            shown.append(anchor_json(commitment))
    return json_answer({"anchors": shown, "next": None})


@router.get("/anchors/{log}/{seq}", summary="One anchor", responses=documented(Anchor, 404, 422, 503))
async def anchor(log: Log, seq: Seq, services: Services, access: Access = needs(ANCHORS)) -> Response:  # noqa: ARG001 - the dependency is the check
    """Return one anchor as the ledger holds it."""
    commitment = await services.ledger.find(log, seq) if is_name(log) else None
    if commitment is None:
        raise NotFound("there is no such anchor")
    return json_answer(anchor_json(commitment))
