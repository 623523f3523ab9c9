"""Batches, as far as they hold entries of the client's sources."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from bal.core.errors import NotFound
from bal.gateway.access import Access, PageCursors, Services, hidden, needs
from bal.gateway.answers import Batch, Batches, batch_json, documented, json_answer
from bal.gateway.cursors import CURSOR_CHARACTERS
from bal.gateway.scopes import BATCHES

router = APIRouter(prefix="/v1", tags=["batches"])

LOOKED_AT: Final = 2_000
"""Most batches one request looks at: a client of a rare source gets short or empty pages, never a long wait."""
SEQ_MOST: Final = 10**15
Log = Annotated[str, Path(max_length=48)]
Seq = Annotated[int, Path(ge=0, le=SEQ_MOST)]


class Span(BaseModel):
    """Which log, from where on, and how many."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    log: Annotated[str, Field(max_length=48, description="Every log if left out.")] | None = None
    first: int = Field(0, alias="from", ge=0, le=SEQ_MOST, description="Sequence number to begin with.")
    cursor: Annotated[str, Field(max_length=CURSOR_CHARACTERS)] | None = None
    limit: int = Field(100, ge=1, le=1000)

    def question(self, access: Access) -> list[object]:
        """Return what a cursor of this request is bound to."""
        return [access.client.name, access.client.key, self.log, self.first]


@router.get("/batches", summary="Batches in sequence", responses=documented(Batches, 400, 422))
async def batches(
    span: Annotated[Span, Query()],
    services: Services,
    cursors: PageCursors,
    access: Access = needs(BATCHES),
) -> Response:
    """Return batches that hold entries of the client's sources, log after log, in sequence."""
    sources = await access.sources(services.store)
    logs = [log for log in await services.store.logs() if span.log in {None, log}]
    start: tuple[str, int] = ("", 0)
    if span.cursor is not None:
        start = cursors.open(["batches", *span.question(access)], span.cursor)
        logs = logs[logs.index(start[0]) :] if start[0] in logs else []
    shown: list[dict[str, Any]] = []
    seen = 0
    for log in logs:
        async for record in services.store.batches(log, start[1] if log == start[0] else span.first):
            if len(shown) == span.limit or seen == LOOKED_AT:
                position = [log, record.anchor.seq]
                following = cursors.make(["batches", *span.question(access)], position)
                return json_answer({"batches": shown, "next": following})
            seen += 1
            if not sources.isdisjoint(record.anchor.counts):
                shown.append(batch_json(record, sources))
    return json_answer({"batches": shown, "next": None})


@router.get("/batches/{log}/{seq}", summary="One batch", responses=documented(Batch, 404, 422))
async def batch(log: Log, seq: Seq, services: Services, access: Access = needs(BATCHES)) -> Response:
    """Return one batch that holds entries of the client's sources."""
    sources = await access.sources(services.store)
    try:
        record = await services.store.batch(log, seq)
    except NotFound:
        raise hidden("batch") from None
    if sources.isdisjoint(record.anchor.counts):
        raise hidden("batch")
    return json_answer(batch_json(record, sources))
