"""The operator's control routes: what the verbs of the CLI that write ask of the service. Never on a network."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from bal.core.address import Address
from bal.core.errors import Malformed, NotFound, UnknownSource
from bal.core.instant import read_instant
from bal.core.message import Form, Message
from bal.core.names import check_name
from bal.core.source import Source
from bal.core.subscribing import subscribed, unsubscribed
from bal.gateway import problems
from bal.gateway.answers import json_answer
from bal.gateway.body import Body, Receiver, receive
from bal.gateway.clients import Clients
from bal.gateway.guard import BodyRefused, Guard, body_refused
from bal.gateway.operations import Operations, Readers

DRAIN_BYTES: Final = 64 * 1024 * 1024
"""How much of an unwanted document is read before the answer, so that its sender gets it."""
_BOM: Final = b"\xef\xbb\xbf"
_SET_BY_SERVICE: Final = frozenset({"recorded_at", "organisation", "suspended"})

router = APIRouter()


def _operations(request: Request) -> Any:
    return request.app.state.operations


def _clients(request: Request) -> Any:
    return request.app.state.clients


def _readers(request: Request) -> Any:
    return request.app.state.readers


Service = Annotated[Operations, Depends(_operations)]
Registry = Annotated[Clients, Depends(_clients)]
ReportReaders = Annotated[Readers, Depends(_readers)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ErasureAsked(_Asked):
    """What `POST /erase` takes."""

    address: str
    who: str
    why: str


class RepublishingAsked(_Asked):
    """What `POST /republish` takes. `start` and `end` are addresses or times; without `start` what is parked."""

    source: str
    output: str | None = None
    start: str | None = None
    end: str | None = None


class SuspensionAsked(_Asked):
    """What suspending and resuming take."""

    why: str


class PointsAsked(_Asked):
    """What letting a subscriber in takes."""

    points: list[str] = Field(default_factory=list)


class ClientAsked(_Asked):
    """What `POST /clients` takes."""

    name: str
    scopes: list[str] = Field(min_length=1)
    sources: list[str] = Field(default_factory=list)
    ingest_as: str = ""


@router.post("/ingest")
async def ingest(
    request: Request,
    operations: Service,
    source: str,
    form: Form | None = None,
    device: str = "",
    create_source: bool = False,
) -> Response:
    """Take a document of any size, plain or gzip; answer with its receipt once all its readings are anchored."""
    check_name(source, "source name")
    if device:
        check_name(device, "device name")
    if operations.source(source) is None:
        if not create_source:
            remedy = "register it, or use --create-source"
            raise UnknownSource("this source is not registered", subject=source, remedy=remedy)
        await operations.register_source(operations.new_source(source))
    body = await receive(
        _chunks(request), Receiver(packing="detect", cap=None, directory=request.app.state.spool)
    )
    message = Message(source, form or form_of(body), body.content, body.digest, device)
    return json_answer((await operations.ingest(message)).to_json())


def form_of(body: Body) -> Form:
    """Return what a body looks like: JSON is a PMU message, all else is for the XML reader to judge."""
    return "pmu" if body.head.removeprefix(_BOM).lstrip()[:1] in {b"{", b"["} else "cim"


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as error:
        raise Malformed("the document ends before its end", remedy="send it again") from error


@router.post("/erase")
async def erase(asked: ErasureAsked, operations: Service) -> Response:
    """Erase a reading; answer with the address of the anchored note."""
    noted_at = await operations.erase(Address.parse(asked.address), asked.who, asked.why)
    return json_answer({"address": asked.address, "noted_at": str(noted_at)})


@router.post("/republish")
async def republish(asked: RepublishingAsked, operations: Service) -> Response:
    """Hand certified readings to outputs again; answer once they have them, with the number of batches by output."""
    if asked.end is not None and asked.start is None:
        raise Malformed("what is parked has no end", remedy="say from where with --from, or leave out --to")
    start, end = _bound(asked.start), _bound(asked.end)
    done = await operations.republish(check_name(asked.source, "source name"), asked.output, start, end)
    return json_answer({"source": asked.source, "batches": dict(done)})


def _bound(text: str | None) -> Address | int | None:
    """Return an address `log:seq:index`, or the microseconds of an ISO 8601 time."""
    if text is None:
        return None
    try:
        return Address.parse(text)
    except Malformed:
        return read_instant(text)


@router.post("/sources")
async def register_source(asked: dict[str, Any], operations: Service) -> Response:
    """Register a source, or change what is given of its registration."""
    name = check_name(str(asked.get("name", "")), "source name")
    if not _SET_BY_SERVICE.isdisjoint(asked):
        raise Malformed(
            "the service itself sets this", remedy=f"leave out {', '.join(sorted(_SET_BY_SERVICE))}"
        )
    source = await operations.change_source(
        name, lambda known: Source.model_validate({**known.model_dump(), **asked})
    )
    return _registered(source, operations)


@router.put("/sources/{name}/subscribers/{subscriber}")
async def subscribe(name: str, subscriber: str, asked: PointsAsked, operations: Service) -> Response:
    """Let a subscriber also read these points of a source, without any all of it."""
    _known(operations, name)
    source = await operations.change_source(name, lambda known: subscribed(known, subscriber, asked.points))
    return _registered(source, operations)


@router.delete("/sources/{name}/subscribers/{subscriber}")
async def unsubscribe(name: str, subscriber: str, operations: Service) -> Response:
    """Let a subscriber read nothing of a source; one that does not is no harm."""
    _known(operations, name)
    source = await operations.change_source(name, lambda known: unsubscribed(known, subscriber))
    return _registered(source, operations)


def _registered(source: Source, operations: Service) -> Response:
    """Answer with a registration as recorded, and with where it has no effect yet."""
    return json_answer({**source.model_dump(mode="json"), "not_in_force": dict(operations.not_in_force())})


@router.put("/rejections/readers/{name}")
async def admit_reader(name: str, readers: ReportReaders, operations: Service) -> Response:
    """Let an identity read what is reported of refusals."""
    await readers.admit(name)
    return json_answer({"name": name, "not_in_force": dict(operations.not_in_force())})


@router.delete("/rejections/readers/{name}")
async def dismiss_reader(name: str, readers: ReportReaders, operations: Service) -> Response:
    """Let an identity read them no longer; one that does not is no harm."""
    await readers.dismiss(name)
    return json_answer({"name": name, "not_in_force": dict(operations.not_in_force())})


def _known(operations: Service, name: str) -> None:
    if operations.source(check_name(name, "source name")) is None:
        raise UnknownSource("this source is not registered", subject=name, remedy="register it first")


@router.post("/sources/{name}/suspend")
async def suspend(name: str, asked: SuspensionAsked, operations: Service) -> Response:
    """Suspend a source."""
    source = await operations.suspend(check_name(name, "source name"), suspended=True, why=asked.why)
    return _registered(source, operations)


@router.post("/sources/{name}/resume")
async def resume(name: str, asked: SuspensionAsked, operations: Service) -> Response:
    """Lift a suspension."""
    source = await operations.suspend(check_name(name, "source name"), suspended=False, why=asked.why)
    return _registered(source, operations)


@router.post("/clients")
async def add_client(asked: ClientAsked, clients: Registry) -> Response:
    """Register a client of the gateway; its secret is in the answer and nowhere else."""
    secret = await asyncio.to_thread(clients.add, asked.name, asked.scopes, asked.sources, asked.ingest_as)
    client = clients.get(asked.name)
    if client is None:
        raise NotFound("the client was revoked meanwhile", subject=asked.name)
    facts = {"client_id": asked.name, "client_secret": secret, **client.to_json()}
    return json_answer(facts, HTTPStatus.CREATED)


@router.get("/clients")
async def list_clients(clients: Registry) -> Response:
    """List the clients, without secrets."""
    return json_answer([client.to_json() for client in clients.list()])


@router.delete("/clients/{name}")
async def revoke_client(name: str, clients: Registry) -> Response:
    """Revoke a client; its tokens are refused from now on."""
    clients.revoke(name)
    return json_answer({"revoked": name})


@router.get("/status")
async def status(operations: Service) -> Response:
    """Tell the state of the service."""
    return json_answer(dict(await operations.status()))


@router.post("/stop")
async def stop(operations: Service) -> Response:
    """Ask the service to end."""
    await operations.stop()
    return json_answer({"stopping": True}, HTTPStatus.ACCEPTED)


def create_control_app(
    operations: Operations, clients: Clients, readers: Readers, *, spool: Path | None = None
) -> FastAPI:
    """Return the control routes. Whoever reaches them is the operator: serve them on a socket of mode 0600 only."""
    app = FastAPI(
        title="BAL control", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.operations = operations
    app.state.clients = clients
    app.state.readers = readers
    app.state.spool = spool
    app.include_router(router)
    problems.install(app, whole=True)
    app.add_exception_handler(BodyRefused, body_refused)
    app.add_middleware(Guard, large=frozenset({"/ingest"}), drain_bytes=DRAIN_BYTES)
    return app
