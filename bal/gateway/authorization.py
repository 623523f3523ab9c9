"""The token endpoint: OAuth2 client credentials (RFC 6749, section 4.4), by authlib's authorization server."""

import asyncio
import json
from collections import OrderedDict
from typing import Any, Final
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, OAuth2Request
from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidRequestError, InvalidScopeError
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6749.util import extract_basic_authorization
from starlette.requests import Request
from starlette.responses import Response

from bal.core.errors import Overloaded
from bal.gateway.clients import Client, Clients
from bal.gateway.problems import TooManyAttempts
from bal.gateway.tokens import Tokens
from bal.ports import Clock

FORM: Final = "application/x-www-form-urlencoded"
FORM_BYTES: Final = 8192
FORM_FIELDS: Final = 16
HASHES_AT_ONCE: Final = 2
"""A hash costs 64 MiB and tens of milliseconds of a core."""
HASHES_WAITING: Final = 32
"""Most token requests that wait for their hash; further ones are refused."""
FAILURES: Final = 10
"""Failed attempts of one address at one client in `FAILURE_SECONDS` before it must wait."""
FAILURE_SECONDS: Final = 60
FAILURES_REMEMBERED: Final = 4096
_SLUGS: Final = {400: "oauth-request", 401: "oauth-client"}


class _RegisteredClient(ClientMixin):  # type: ignore[misc]
    """A client as authlib asks for it; also for a name nobody has, which must cost as much time."""

    def __init__(self, clients: Clients, name: str, client: Client | None) -> None:
        self._clients = clients
        self._name = name
        self.client = client

    def get_client_id(self) -> str:
        return self._name

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_client_secret(self, client_secret: str) -> bool:
        return self._clients.matches(self.client, client_secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return endpoint == "token" and method in ClientCredentials.TOKEN_ENDPOINT_AUTH_METHODS

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "client_credentials"


class ClientCredentials(ClientCredentialsGrant):  # type: ignore[misc]
    """The grant; asking for no scope means every scope the client has."""

    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post")

    def validate_requested_scope(self) -> None:
        """Refuse what the client has not been given."""
        asked = (self.request.payload.scope or "").split()
        if not set(asked) <= set(self.client.client.scopes):
            raise InvalidScopeError("the client has not been given this scope")


class _TokenRequest(OAuth2Request):  # type: ignore[misc]
    def __init__(self, uri: str, headers: dict[str, str], form: dict[str, str]) -> None:
        super().__init__("POST", uri, headers=headers)
        self.payload = BasicOAuth2Payload(form)
        name, _ = extract_basic_authorization(headers)
        self.claimed: str = str(name or form.get("client_id", ""))[:64]
        """The client it says it is of, only ever compared."""

    @property
    def form(self) -> dict[str, str]:
        return dict(self.payload.data)


class _Server(AuthorizationServer):  # type: ignore[misc]
    """authlib's server without a web framework; further grants are registered on it."""

    def __init__(self, clients: Clients, tokens: Tokens) -> None:
        super().__init__()
        self._clients = clients
        self._tokens = tokens
        self.register_grant(ClientCredentials)
        self.register_token_generator("default", self._issue)

    def query_client(self, client_id: str) -> _RegisteredClient:
        return _RegisteredClient(self._clients, client_id, self._clients.get(client_id))

    def save_token(self, token: object, request: object) -> None:
        """Keep nothing: a token proves itself."""

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Tell nobody."""

    def create_oauth2_request(self, request: _TokenRequest) -> _TokenRequest:
        return request

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> Response:
        return answer(status, dict(body), dict(headers))

    def _issue(self, *, client: _RegisteredClient, scope: str | None, **_: object) -> dict[str, Any]:
        assert client.client is not None
        scopes = (scope or "").split() or list(client.client.scopes)
        return {
            "access_token": self._tokens.issue(client.client, scopes),
            "token_type": "Bearer",
            "expires_in": self._tokens.lifetime_seconds,
            "scope": " ".join(scopes),
        }


def answer(status: int, body: dict[str, Any], headers: dict[str, str]) -> Response:
    """Return an answer of the token endpoint.

    RFC 6749, section 5.2, wants its errors as `application/json` with `error`; the members of a problem document stand
    beside it.
    """
    if status >= 400:
        title = "The token request was refused."
        slug = _SLUGS.get(status, "oauth-request")
        problem = {"type": f"urn:bal:problem:{slug}", "title": title, "status": status}
        if "error_description" in body:
            problem["detail"] = body["error_description"]
        body = {**problem, **body}
    kept = {name: value for name, value in headers.items() if name.lower() != "content-type"}
    kept |= {"Cache-Control": "no-store", "Pragma": "no-cache"}
    return Response(json.dumps(body), status, kept, "application/json")


class Failures:
    """Failed attempts by (address, client), forgotten after a while; bounded."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def check(self, who: tuple[str, str]) -> None:
        """Raise `TooManyAttempts` for who failed too often."""
        since, count = self._since.get(who, (0.0, 0))
        left = since + FAILURE_SECONDS - self._clock.monotonic()
        if count >= FAILURES and left > 0:
            message = "too many attempts with a wrong secret"
            raise TooManyAttempts(message, retry_seconds=int(left) + 1, remedy="wait, then try again")

    def note(self, who: tuple[str, str]) -> None:
        """Count a failed attempt."""
        now = self._clock.monotonic()
        since, count = self._since.pop(who, (now, 0))
        self._since[who] = (since, count + 1) if now - since < FAILURE_SECONDS else (now, 1)
        while len(self._since) > FAILURES_REMEMBERED:
            self._since.popitem(last=False)


class TokenEndpoint:
    """Answers token requests."""

    def __init__(self, clients: Clients, tokens: Tokens, clock: Clock) -> None:
        self._server = _Server(clients, tokens)
        self._uri = f"{tokens.issuer}/oauth/token"
        self._failures = Failures(clock)
        self._turns = asyncio.Semaphore(HASHES_AT_ONCE)
        self._waiting = 0

    async def respond(self, request: Request) -> Response:
        """Return the answer to a token request. `TooManyAttempts`, `Overloaded`."""
        try:
            asked = self._read(request.headers, await request.body())
        except (InvalidRequestError, InvalidClientError) as error:
            return self._server.handle_error_response(None, error)  # type: ignore[no-any-return]
        address = request.client.host if request.client else ""
        who = (address, asked.claimed)
        self._failures.check(who)
        if self._waiting >= HASHES_WAITING:
            raise Overloaded("too many token requests are waiting", remedy="try again later")
        self._waiting += 1
        try:
            async with self._turns:
                response: Response = await asyncio.to_thread(self._create, asked)
        finally:
            self._waiting -= 1
        if response.status_code == 401:
            self._failures.note(who)
        return response

    def _create(self, request: _TokenRequest) -> Response:
        return self._server.create_token_response(request)  # type: ignore[no-any-return]

    def _read(self, headers: Any, body: bytes) -> _TokenRequest:
        if headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
            raise InvalidRequestError(f"send the request as {FORM}")
        try:
            if len(body) > FORM_BYTES:
                raise ValueError
            fields = parse_qsl(
                body.decode("ascii"), keep_blank_values=True, max_num_fields=FORM_FIELDS, errors="strict"
            )
        except ValueError as error:
            raise InvalidRequestError("the form cannot be read") from error
        form = dict(fields)
        if len(form) != len(fields):
            raise InvalidRequestError("a parameter is given twice")
        if not all(text.isascii() and text.isprintable() for field in fields for text in field):
            raise InvalidRequestError("a parameter holds characters that are not allowed")
        authorization = headers.getlist("authorization")
        if len(authorization) > 1 or (authorization and "client_secret" in form):
            raise InvalidRequestError("the client authenticates in more than one way")
        given = {"Authorization": authorization[0]} if authorization else {}
        try:
            return _TokenRequest(self._uri, given, form)
        except ValueError as error:  # what stands in the header is no text
            raise InvalidClientError(
                "the client's name and secret cannot be read", status_code=401
            ) from error
