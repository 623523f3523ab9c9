"""Sources the client sees."""

from fastapi import APIRouter
from starlette.responses import Response

from bal.gateway.access import Access, Services, needs
from bal.gateway.answers import Sources, documented, json_answer, source_json
from bal.gateway.scopes import SOURCES

router = APIRouter(prefix="/v1", tags=["sources"])


@router.get("/sources", summary="The client's sources", responses=documented(Sources))
async def sources(services: Services, access: Access = needs(SOURCES)) -> Response:
    """Return the registrations in force of the client's sources, by name."""
    found = [source for source in await services.store.sources() if access.may_read(source.name)]
    return json_answer({"sources": [source_json(source) for source in found]})
