"""Access: the client behind a bearer token, what it may do and whose readings it sees. Asked anew at each request."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Final, cast

from fastapi import Depends, Request, Security
from fastapi.openapi.models import OAuthFlowClientCredentials, OAuthFlows
from fastapi.security import OAuth2, SecurityScopes

from bal.core.errors import Malformed, NotFound, Refused, Unauthenticated, UnknownSource
from bal.gateway.clients import ANY_SOURCE, Client
from bal.gateway.cursors import Cursors
from bal.gateway.problems import InsufficientScope, NoToken
from bal.gateway.scopes import SCOPES
from bal.gateway.services import GatewayServices
from bal.gateway.tokens import Grant
from bal.ports import Store

TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 - a path

_scheme = OAuth2(
    flows=OAuthFlows(clientCredentials=OAuthFlowClientCredentials(tokenUrl=TOKEN_PATH, scopes=SCOPES)),
    scheme_name="oauth2",
    auto_error=False,
)


def services_of(request: Request) -> GatewayServices:
    """Return what the application works with."""
    return cast(GatewayServices, request.app.state.services)


def _cursors_of(request: Request) -> Cursors:
    return cast(Cursors, request.app.state.cursors)


Services = Annotated[GatewayServices, Depends(services_of)]
PageCursors = Annotated[Cursors, Depends(_cursors_of)]


@dataclass(frozen=True, slots=True)
class Access:
    """What one request may do."""

    client: Client
    grant: Grant

    def may_read(self, source: str) -> bool:
        """Tell whether entries of `source` may be shown."""
        return self.client.may_read(source)

    def readable(self, source: str | None) -> str:
        """Return the one source a request is about; `Refused` unless it may be read, known or not."""
        if source is None:
            own = self.client.sources
            if len(own) != 1 or own[0] == ANY_SOURCE:
                message = "say which source"
                raise Malformed(message, remedy="give the parameter source")
            return own[0]
        if not self.may_read(source):
            message = "this client may not read this source"
            raise Refused(message, remedy="ask the operator for it")
        return source

    async def sources(self, store: Store) -> frozenset[str]:
        """Return the registered sources that may be read."""
        return frozenset(source.name for source in await store.sources() if self.may_read(source.name))

    def choose(self, sources: Iterable[str], asked: Iterable[str] | None) -> frozenset[str]:
        """Return which of `sources` a request is about: those asked for, each of which must be readable, or all."""
        if asked is None:
            return frozenset(sources)
        return frozenset(self.readable(source) for source in asked) & frozenset(sources)


def _bearer(request: Request) -> str:
    headers = request.headers.getlist("authorization")
    if not headers:
        raise NoToken("this needs an access token", remedy="get one at /oauth/token")
    scheme, _, token = headers[0].partition(" ")
    if len(headers) != 1 or scheme.lower() != "bearer":
        raise NoToken("this needs one bearer token", remedy="send Authorization: Bearer …")
    return token.strip()


def check(services: GatewayServices, grant: Grant) -> Client:
    """Return the client a token was issued to; `Unauthenticated` when it is over, or the client is revoked."""
    client = services.clients.get(grant.client)
    if client is None or client.key != grant.registration or services.tokens.expired(grant):
        raise Unauthenticated("this access token is not valid", remedy="get a new one at /oauth/token")
    return client


async def _access(
    scopes: SecurityScopes,
    request: Request,
    services: Services,
    _documented: Annotated[str | None, Depends(_scheme)],
) -> Access:
    grant = services.tokens.read(_bearer(request))
    client = check(services, grant)
    request.scope["bal.client"] = client.name
    for scope in scopes.scopes:
        if scope not in grant.scopes or scope not in client.scopes:
            raise InsufficientScope(scope)
    return Access(client, grant)


def needs(scope: str) -> Any:
    """Return the dependency of a route that needs `scope`."""
    return Security(_access, scopes=[scope])


async def registered(services: GatewayServices, name: str) -> str:
    """Return `name` when there is such a source; `UnknownSource`. Asked only after the client may read it."""
    if all(source.name != name for source in await services.store.sources()):
        raise UnknownSource("this source is not registered")
    return name


def hidden(what: str) -> NotFound:
    """Return the one answer to what is not there and to what is another's: nobody can tell which."""
    return NotFound(f"there is no such {what} for this client")
