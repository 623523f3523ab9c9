"""Rejections: what was refused and why, never its bytes."""

import heapq
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from bal.gateway.access import Access, Services, needs
from bal.gateway.answers import Rejections, documented, json_answer
from bal.gateway.routes.readings import Name
from bal.gateway.scopes import REJECTIONS

router = APIRouter(prefix="/v1", tags=["rejections"])


class RejectionFilters(BaseModel):
    """What `GET /v1/rejections` takes."""

    model_config = ConfigDict(extra="forbid")

    source: Name | None = None
    after: int = Field(0, ge=0, le=2**62, description="`next` of the page before.")
    limit: int = Field(100, ge=1, le=1000)


@router.get("/rejections", summary="What was refused", responses=documented(Rejections, 422))
async def rejections(
    filters: Annotated[RejectionFilters, Query()], services: Services, access: Access = needs(REJECTIONS)
) -> Response:
    """Return what was refused of the client's sources, oldest first."""
    asked = None if filters.source is None else [filters.source]
    sources = access.choose(await access.sources(services.store), asked)
    most = filters.limit + 1
    parts = [await services.quarantine.refusals(source, filters.after, most) for source in sorted(sources)]
    found = list(heapq.merge(*parts, key=lambda each: each.id))[:most]
    shown = found[: filters.limit]
    following = shown[-1].id if len(found) > len(shown) else None
    return json_answer({"rejections": [each.to_json() for each in shown], "next": following})
