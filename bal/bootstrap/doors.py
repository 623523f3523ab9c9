"""The doors of a home: field broker, REST gateway, control socket."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import FastAPI

from bal.bootstrap.field import field_broker
from bal.bootstrap.identities import server_certificate
from bal.bootstrap.writing import Opened, open_service
from bal.config import Settings
from bal.gateway import (
    Clients,
    GatewayServices,
    Tokens,
    control_socket_path,
    create_app,
    create_control_app,
    https_server,
    listen,
    socket_server,
)
from bal.home import Home
from bal.reader import pseudonyms
from bal.system import SystemClock
from bal.verify.verifier import Verdict, verify_on_ledger

_log = structlog.get_logger()
_SUBSCRIBED_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Running:
    """A service with its doors open."""

    opened: Opened
    facts: dict[str, Any]
    """Where its doors are: `mqtt` host:port, `gateway` URL, `control` socket; empty for a door that is shut."""
    doors: Sequence[asyncio.Task[None]]
    """What takes messages in, one task a lane."""

    async def until(self, stopping: asyncio.Event) -> None:
        """Return once `stopping` is set or an operator asks for the end; raise what stops a lane or its door."""
        service = self.opened.service
        ways = [
            asyncio.ensure_future(work)
            for work in (stopping.wait(), service.stopping.wait(), service.pipeline.failure())
        ]
        try:
            done, _ = await asyncio.wait([*ways, *self.doors], return_when=asyncio.FIRST_COMPLETED)
            for way in done:
                way.result()
        finally:
            for way in ways:
                way.cancel()


def control_app(opened: Opened) -> FastAPI:
    """Return the operator's control routes of an open home."""
    clients = Clients(opened.home.clients, SystemClock())
    return create_control_app(opened.service, clients, opened.readers)


def _gateway(opened: Opened, url: str) -> FastAPI:
    """Return the REST API of an open home, known to its clients by `url`."""
    service, settings, clock = opened.service, opened.settings.gateway, SystemClock()

    async def check(text: bytes) -> Verdict:
        return await verify_on_ledger(text, opened.anchors)

    services = GatewayServices(
        store=service.store,
        ledger=service.ledger,
        quarantine=service.quarantine,
        intake=service,
        events=opened.events,
        clients=Clients(opened.home.clients, clock),
        tokens=Tokens(opened.keys.token, url, clock, settings.token_seconds),
        clock=clock,
        metrics=opened.metrics,
        pseudonyms=lambda source, identifier: pseudonyms(opened.keys.pseudonyms, source, identifier),
        verify=check,
        health=service.health,
        docs=settings.docs,
    )
    return create_app(services)


@asynccontextmanager
async def running(home: Home, settings: Settings) -> AsyncIterator[Running]:
    """Open a home and its doors; leave by finishing what was taken. `HomeLocked`, `Unavailable` for a port in use."""
    async with open_service(home, settings) as opened, AsyncExitStack() as stack:
        facts: dict[str, Any] = {"mqtt": "", "gateway": "", "control": ""}
        field = field_broker(opened) if settings.mqtt.enabled else None
        if field is not None:
            stack.push_async_callback(field.close)  # last: what was taken still goes out by it
        await opened.service.start()
        stack.push_async_callback(opened.service.close)
        doors: list[asyncio.Task[None]] = []
        if field is not None:
            facts["mqtt"] = await field.open()
        if settings.gateway.enabled:
            listening = listen(settings.gateway.host, settings.gateway.port)
            port = listening.getsockname()[1]
            facts["gateway"] = settings.gateway.public_url or f"https://{settings.gateway.host}:{port}"
            app = _gateway(opened, facts["gateway"])
            await stack.enter_async_context(https_server(app, listening, *server_certificate(home, settings)))
            stack.callback(opened.events.close)
        path = control_socket_path(home.path)
        if path.parent != home.path:
            stack.callback(path.parent.rmdir)
        await stack.enter_async_context(socket_server(control_app(opened), path))
        # Before the servers end, so that whoever waits for what was taken gets its receipt.
        stack.push_async_callback(opened.service.close)
        for name, inbox in field.inboxes.items() if field is not None else ():
            doors.append(asyncio.create_task(opened.service.serve(inbox), name=f"inbox {name}"))
            stack.push_async_callback(_end, doors[-1])
        await _subscribed(field.subscribed if field is not None else (), doors)
        home.announce({**facts, "control": str(path)})
        stack.callback(home.running.unlink, missing_ok=True)
        yield Running(opened, {**facts, "control": str(path)}, doors)


async def _subscribed(lanes: Sequence[asyncio.Event], doors: Sequence[asyncio.Task[None]]) -> None:
    """Wait until a broker outside keeps what is sent: who is told that we are ready sends at once.

    Not for ever: without the broker the other doors are open.
    """
    waits = [asyncio.create_task(lane.wait()) for lane in lanes]
    try:
        async with asyncio.timeout(_SUBSCRIBED_SECONDS):
            for wait in waits:
                await asyncio.wait([wait, *doors], return_when=asyncio.FIRST_COMPLETED)
    except TimeoutError:
        _log.warning("not subscribed at the MQTT broker yet; opening the other doors")
    finally:
        for wait in waits:
            wait.cancel()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
