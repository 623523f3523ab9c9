"""Certificates by address."""

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from bal.core.address import Address
from bal.core.errors import Erased, NotFound
from bal.gateway.access import Access, Services, hidden, needs
from bal.gateway.answers import Certificate, documented
from bal.gateway.scopes import CERTIFICATES
from bal.gateway.services import GatewayServices
from bal.reader import certificate as certificate_of

router = APIRouter(prefix="/v1", tags=["certificates"])


@router.get(
    "/certificates/{address}",
    summary="The certificate of an entry",
    responses=documented(Certificate, 400, 404, 409, 410),
)
async def certificate(
    address: Annotated[str, Path(description="`log:seq:index`")],
    services: Services,
    access: Access = needs(CERTIFICATES),
) -> Response:
    """Return the certificate on one line, as it is to be kept and verified."""
    wanted = Address.parse(address)
    try:
        source = (await services.store.entry(wanted)).entry.source
    except Erased:
        if await _erased_of(services, wanted, access):
            raise
        raise hidden("entry") from None
    except NotFound:
        raise hidden("entry") from None
    if not access.may_read(source):
        raise hidden("entry")
    return Response(await certificate_of(services.store, wanted), media_type="application/json")


async def _erased_of(services: GatewayServices, address: Address, access: Access) -> bool:
    """Tell whether the note of an erasure says that the entry was of a source the client sees."""
    for log in await services.store.logs():
        for note in await services.store.erasures(log):
            if note.target == address:
                return access.may_read(note.entry.source)
    return False
