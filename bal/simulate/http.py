"""The door by HTTPS: `POST /v1/ingest` with a bearer token; 202 is the receipt."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import httpx

from bal.core.errors import Misconfigured, Unauthenticated, Unavailable
from bal.simulate.link import Answer
from bal.simulate.loopback import service_url
from bal.simulate.plan import Outgoing

PATH: Final = "/v1/ingest"
_CONTENT: Final = {"cim": "application/xml", "pmu": "application/json"}
_REFUSED_MESSAGE: Final = frozenset({400, 413, 415, 422})
"""Answers that say the message itself will never be accepted."""

Token = Callable[[], Awaitable[str]]
"""Gives the bearer token in force, asked anew for each connection."""


def fixed_token(token: str) -> Token:
    """Return a source of one token."""

    async def give() -> str:
        return token

    return give


class HttpDoor:
    """Opens connections to a service on this machine; the source is the token's."""

    def __init__(self, url: str, token: Token, tls: ssl.SSLContext, *, timeout: float = 60.0) -> None:
        """Take the address of the service; raise `Refused` for one that is not this machine."""
        self._url = service_url(url)
        self._token = token
        self._tls = tls
        self._timeout = timeout

    @asynccontextmanager
    async def open(self) -> "AsyncIterator[HttpLink]":
        """Make a client; the connection itself is made with the first message."""
        headers = {"Authorization": f"Bearer {await self._token()}"}
        async with httpx.AsyncClient(
            base_url=self._url,
            headers=headers,
            verify=self._tls,
            timeout=self._timeout,
            trust_env=False,  # a proxy of the environment would take load off this machine
            follow_redirects=False,
        ) as client:
            yield HttpLink(client)


class HttpLink:
    """One client."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def send(self, message: Outgoing) -> Answer:
        """Post one message and return its answer. Raises `Unavailable` to be asked again, `Unauthenticated`, `Misconfigured`."""
        try:
            response = await self._client.post(
                PATH, content=message.payload, headers={"Content-Type": _CONTENT[message.form]}
            )
        except httpx.HTTPError as error:
            text = "the service cannot be reached, or the connection broke"
            raise Unavailable(text, subject="simulate") from error
        status = response.status_code
        if status == httpx.codes.ACCEPTED or status in _REFUSED_MESSAGE:
            return Answer(message.digest, status == httpx.codes.ACCEPTED, "http", _body(response))
        if status in {401, 403}:
            text = "the service does not accept the token"
            raise Unauthenticated(text, subject="simulate", remedy="get a new token with the ingest scope")
        if status in {301, 302, 303, 307, 308, 404, 405}:
            text = "the service has no door for messages at this address"
            raise Misconfigured(text, subject="simulate", remedy="check the address of the service")
        text = f"the service answered {status}"
        raise Unavailable(text, subject="simulate")

    async def answers(self) -> AsyncIterator[Answer]:
        """Yield nothing: every answer comes with its message."""
        await asyncio.Event().wait()
        yield Answer("", accepted=False, by="http", body={})  # pragma: no cover - makes this a generator


def _body(response: httpx.Response) -> dict[str, object]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
