"""How verbs that write reach the service: through its socket while `bal run` holds the home, else in this process."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from bal.config import load
from bal.core.errors import BalError, LedgerAltered, LedgerRefused, PublishRefused, Unavailable
from bal.home import Home

_BASE = "http://bal"


@asynccontextmanager
async def control(home: Home) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the control routes (`bal.gateway.control`) of a home, made on first use."""
    facts = home.announced()
    if facts is not None and "control" in facts:
        transport = httpx.AsyncHTTPTransport(uds=facts["control"])
        async with httpx.AsyncClient(transport=transport, base_url=_BASE, timeout=None) as client:  # noqa: S113 - an ingest lasts as long as it lasts
            yield client
        return
    from bal.bootstrap import control_app, open_service
    from bal.log import configure

    settings = load(home.create().path)
    configure(settings.log)
    async with open_service(home, settings) as opened:
        await opened.service.start()
        try:
            inside = httpx.ASGITransport(app=control_app(opened))
            async with httpx.AsyncClient(transport=inside, base_url=_BASE, timeout=None) as client:  # noqa: S113
                yield client
        finally:
            await opened.service.close()


async def ask(client: httpx.AsyncClient, method: str, path: str, **request: Any) -> Any:
    """Send a request and return its JSON answer; raise the `BalError` a problem document stands for."""
    try:
        response = await client.request(method, path, **request)
    except httpx.TransportError as error:
        message = "the running service does not answer"
        raise Unavailable(message, remedy="look at its log, or stop it") from error
    if response.is_success:
        return response.json() if response.content else None
    raise problem(response)


def problem(response: httpx.Response) -> BalError:
    """Return the error a problem document (RFC 9457) stands for."""
    try:
        document = response.json()
    except ValueError:
        document = {}
    if not isinstance(document, dict):
        document = {}
    slug = str(document.get("type", "")).rpartition(":")[2]
    text = str(
        document.get("detail") or document.get("title") or f"the service answered {response.status_code}"
    )
    facts = {"subject": str(document.get("subject", "")), "remedy": str(document.get("remedy", ""))}
    kind = next((kind for kind in _kinds(BalError) if kind.slug == slug), BalError)
    if kind in {LedgerRefused, LedgerAltered, PublishRefused}:
        error = BalError(text, **facts)
        error.__dict__["exit_code"] = kind.exit_code
        return error
    return kind(text, **facts)


def _kinds(root: type[BalError]) -> Iterator[type[BalError]]:
    yield root
    for kind in root.__subclasses__():
        yield from _kinds(kind)


def rejection_of(error: BalError) -> dict[str, str]:
    """Return an error as the one rejection of a message."""
    return {"reason": error.what, "where": "message"}


def read_json(text: str) -> Any:
    """Return the value of a JSON text that a person typed; `Malformed` otherwise."""
    from bal.core.errors import Malformed

    try:
        return json.loads(text)
    except ValueError as error:
        message = "this is not JSON"
        raise Malformed(message) from error
