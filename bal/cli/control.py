"""How verbs that write reach the service: through its socket while `bal run` holds the home, else in this process."""

import asyncio
import importlib
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx

from bal.config import load
from bal.core.errors import BalError, HomeLocked, LedgerAltered, LedgerRefused, PublishRefused, Unavailable
from bal.home import Home

PATIENCE_SECONDS = 15.0
"""How long a command waits for another one that writes the same home."""
_BASE = "http://bal"
_POLL_SECONDS = 0.05


@asynccontextmanager
async def control(home: Home) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the control routes (`bal.gateway.control`) of a home, made on first use.

    Waits for another command that writes the home now; `HomeLocked` when it goes on longer.
    """
    async with AsyncExitStack() as stack:
        transport = await _transport(home.create(), stack)
        # An ingest lasts as long as it lasts.
        yield await stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url=_BASE, timeout=None)  # noqa: S113
        )


async def _transport(home: Home, stack: AsyncExitStack) -> httpx.AsyncBaseTransport:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        facts = home.announced()
        if facts is not None:
            return httpx.AsyncHTTPTransport(uds=facts["control"])
        try:
            return await _inside(home, stack)
        except HomeLocked:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_POLL_SECONDS)


async def _inside(home: Home, stack: AsyncExitStack) -> httpx.AsyncBaseTransport:
    from bal.bootstrap.doors import control_app
    from bal.bootstrap.writing import open_service
    from bal.log import configure

    settings = load(home.path)
    quiet = settings.log.level in {"info", "warning"}  # what a command says is its output and its errors
    configure(settings.log.model_copy(update={"level": "error"}) if quiet else settings.log)
    opened = await stack.enter_async_context(open_service(home, settings))
    stack.push_async_callback(opened.service.close)
    await opened.service.start()
    return httpx.ASGITransport(app=control_app(opened))


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


def check_in_force(answer: Mapping[str, Any]) -> None:
    """Raise `Unavailable` where registrations that were recorded have no effect outside yet, with the reasons."""
    for place, why in answer["not_in_force"].items():
        message = f"recorded, and not in force at {place} yet: {why}"
        remedy = "`bal run` tries again until it is, any change of a source once"
        raise Unavailable(message, subject=str(answer["name"]), remedy=remedy)


def problem(response: httpx.Response) -> BalError:
    """Return the error a problem document (RFC 9457) stands for."""
    importlib.import_module("bal.gateway.problems")  # errors of its own
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
        error = kind.__new__(kind, text)
        BalError.__init__(error, text, **facts)  # without what only the service knows: a code, a block
        return error
    return kind(text, **facts)


def _kinds(root: type[BalError]) -> Iterator[type[BalError]]:
    yield root
    for kind in root.__subclasses__():
        yield from _kinds(kind)


def read_json(text: str) -> Any:
    """Return the value of a JSON text that a person typed; `Malformed` otherwise."""
    from bal.core.errors import Malformed

    try:
        return json.loads(text)
    except ValueError as error:
        message = "this is not JSON"
        raise Malformed(message) from error
