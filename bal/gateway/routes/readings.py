"""Readings: by pseudonym in the URL, by plain meter number only in a body."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from bal.core.instant import read_instant
from bal.core.limits import IDENTIFIER_CHARACTERS
from bal.gateway.access import Access, PageCursors, Services, needs, registered
from bal.gateway.answers import Readings, documented, json_answer, reading_json
from bal.gateway.cursors import CURSOR_CHARACTERS, Cursors
from bal.gateway.problems import UnsupportedMedia
from bal.gateway.scopes import QUERY, READINGS
from bal.gateway.services import GatewayServices
from bal.ports import ReadingQuery, StoredReading

router = APIRouter(prefix="/v1", tags=["readings"])

PAGE: Final = 1000
PAGE_MOST: Final = 10_000
METERS: Final = 50
_WORD: Final = r"^[A-Za-z0-9._-]+$"

Cursor = Annotated[str | None, Field(max_length=CURSOR_CHARACTERS, description="`next` of the page before.")]
Moment = Annotated[str | None, Field(max_length=40, description="ISO 8601 with an offset, or a date (UTC).")]
Name = Annotated[str, Field(max_length=48, description="Source; may be left out by a client of one source.")]


class _Filters(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    source: Name | None = None
    quantity: Annotated[str, Field(max_length=64, pattern=_WORD)] | None = None
    start: Moment = Field(None, alias="from")
    end: Moment = Field(None, alias="to")
    history: bool = Field(
        False, description="Every revision, oldest first within one measuring point and time."
    )
    cursor: Cursor = None
    limit: int = Field(PAGE, ge=1, le=PAGE_MOST)

    def query(self, source: str) -> ReadingQuery:
        """Return the query these filters stand for."""
        return ReadingQuery(
            source=source,
            quantity=self.quantity,
            start=None if self.start is None else read_instant(self.start),
            end=None if self.end is None else read_instant(self.end),
            history=self.history,
            anchored_only=True,
        )


class ReadingFilters(_Filters):
    """What `GET /v1/readings` takes."""

    point: Annotated[str, Field(pattern=r"^[a-z2-7]{26}$", description="Pseudonym.")] | None = None


class MeterFilters(_Filters):
    """What `POST /v1/readings/query` takes."""

    meters: list[Annotated[str, Field(min_length=1, max_length=IDENTIFIER_CHARACTERS)]] = Field(
        min_length=1,
        max_length=METERS,
        description="Plain identifiers of meters, usage points or devices. Readings come in this order; `meter` in each "
        "is the place of its identifier in this list, from 0.",
    )


@router.get(
    "/readings", summary="Certified readings, newest first", responses=documented(Readings, 400, 404, 422)
)
async def readings(
    filters: Annotated[ReadingFilters, Query()],
    services: Services,
    cursors: PageCursors,
    access: Access = needs(READINGS),
) -> Response:
    """Return certified readings of one source, newest first."""
    query = filters.query(await registered(services, access.readable(filters.source)))
    found, following = await _page(services, cursors, access, query, [filters.point], filters)
    return json_answer({"readings": [reading_json(reading) for _, reading in found], "next": following})


@router.post(
    "/readings/query",
    summary="Certified readings of own meters, by plain number",
    responses=documented(Readings, 400, 404, 413, 415, 422),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": MeterFilters.model_json_schema(by_alias=True)}},
        }
    },
)
async def query_readings(
    request: Request, services: Services, cursors: PageCursors, access: Access = needs(QUERY)
) -> Response:
    """Return certified readings of meters that are named by their plain numbers, which stand in no URL and no log."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMedia("this content type is not read here", remedy="send application/json")
    filters = MeterFilters.model_validate_json(await request.body())
    source = await registered(services, access.readable(filters.source))
    meters = list(dict.fromkeys(filters.meters))
    points = {
        point: filters.meters.index(meter) for meter in meters for point in services.pseudonyms(source, meter)
    }
    found, following = await _page(services, cursors, access, filters.query(source), list(points), filters)
    rows = [{**reading_json(reading), "meter": points[point or ""]} for point, reading in found]
    return json_answer({"readings": rows, "next": following})


async def _page(
    services: GatewayServices,
    cursors: Cursors,
    access: Access,
    query: ReadingQuery,
    points: Sequence[str | None],
    filters: _Filters,
) -> tuple[list[tuple[str | None, StoredReading]], str | None]:
    """Return up to `limit` readings of `points`, one point after the other, and the cursor of what follows."""
    question = [access.client.name, access.client.key, *query[:6], list(points)]
    after: Any = None
    first = 0
    if filters.cursor is not None:
        first, position = cursors.open(question, filters.cursor)
        after = tuple(position)
    found: list[tuple[str | None, StoredReading]] = []
    for place in range(first, len(points)):
        point = points[place]
        left = filters.limit + 1 - len(found)
        async for reading in services.store.readings(query._replace(point=point, limit=left, after=after)):
            if len(found) == filters.limit:
                previous, last = found[-1]
                position = [points.index(previous), last.position]
                return found, cursors.make(question, position)
            found.append((point, reading))
        after = None
    return found, None
