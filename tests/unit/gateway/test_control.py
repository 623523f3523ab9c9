import gzip
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from bal.core.address import Address, AddressRange
from bal.core.errors import Misconfigured, NotFound
from bal.core.limits import INLINE_MESSAGE_BYTES
from bal.core.message import Message, Receipt
from bal.core.names import check_name
from bal.core.source import Source
from bal.gateway import Clients, Events, Intake, Operations, Verdict, create_control_app
from bal.gateway.body import Body
from bal.gateway.control import form_of
from bal.publish import EventStream
from bal.service import Service
from bal.verify.verifier import Verdict as Judgement
from tests.unit.gateway.world import CHEAP, METER, NOW, StandingClock, assert_problem

XML = b"<MeterReadings/>"
WHO = {"address": "bal-1:0:4", "who": "operator", "why": "asked"}


class RecordedOperations:
    """Does what it is asked in memory and remembers it."""

    def __init__(self) -> None:
        self.sources: dict[str, Source] = {}
        self.taken: list[tuple[Message, bytes]] = []
        self.stopped = False
        self.erased: list[tuple[Address, str, str]] = []
        self.behind: Mapping[str, str] = {}
        self.republished: list[tuple[str, str | None, Address | int | None, Address | int | None]] = []

    def source(self, name: str) -> Source | None:
        return self.sources.get(name)

    def new_source(self, name: str) -> Source:
        return Source(name=name, lane="bal-1")

    async def ingest(self, message: Message) -> Receipt:
        content = message.body if isinstance(message.body, bytes) else message.body().read()
        self.taken.append((message, content))
        ranges = (AddressRange("bal-1", 0, 0, 1),)
        return Receipt(message.source, message.digest, 2, 0, 0, 2, ranges, (), NOW, complete=True)

    async def register_source(self, source: Source) -> Source:
        self.sources[source.name] = source.model_copy(update={"recorded_at": NOW, "organisation": "DsoMSP"})
        return self.sources[source.name]

    async def change_source(self, name: str, change: Callable[[Source], Source]) -> Source:
        return await self.register_source(change(self.source(name) or self.new_source(name)))

    async def suspend(self, name: str, *, suspended: bool, why: str) -> Source:
        if name not in self.sources:
            raise NotFound("there is no such source", subject=name)
        self.sources[name] = self.sources[name].model_copy(update={"suspended": suspended})
        return self.sources[name]

    async def erase(self, address: Address, who: str, why: str) -> Address:
        self.erased.append((address, who, why))
        return Address("bal-1", 7, 0)

    async def republish(
        self,
        name: str,
        output: str | None = None,
        start: Address | int | None = None,
        end: Address | int | None = None,
    ) -> Mapping[str, int]:
        self.republished.append((name, output, start, end))
        return {"jsonl": 3}

    async def status(self) -> Mapping[str, Any]:
        return {"lanes": {}}

    def not_in_force(self) -> Mapping[str, str]:
        return self.behind

    async def stop(self) -> None:
        self.stopped = True


class KeptReaders:
    """Readers in memory."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    async def admit(self, name: str) -> None:
        self.names.add(check_name(name))

    async def dismiss(self, name: str) -> None:
        self.names.discard(check_name(name))


class Control:
    """The control routes and what is behind them."""

    def __init__(self, home: Path) -> None:
        self.operations = RecordedOperations()
        self.clients = Clients(home / "clients.json", StandingClock(), CHEAP)
        self.readers = KeptReaders()
        app = create_control_app(self.operations, self.clients, self.readers)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://bal")


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    opened = Control(tmp_path)
    async with opened.http:
        yield opened


def as_operations(service: Service) -> Operations:
    return service


def as_intake(service: Service) -> Intake:
    return service


def as_events(stream: EventStream) -> Events:
    return stream


def as_judge(judge: Callable[[bytes], Awaitable[Judgement]]) -> Callable[[bytes], Awaitable[Verdict]]:
    return judge


def test_the_service_has_every_operation() -> None:
    assert all(hasattr(Service, name) for name in vars(Operations) if not name.startswith("_"))


async def test_ingest_answers_with_the_receipt(control: Control) -> None:
    params = {"source": "dso-a", "create_source": "true", "device": "pmu-7"}
    for content in (XML, gzip.compress(XML)):
        response = await control.http.post("/ingest", params=params, content=content)
        assert response.status_code == 200
        assert response.json() == {
            "source": "dso-a", "digest": hashlib.sha256(XML).hexdigest(), "accepted": 2, "rejected": 0,
            "duplicates": 0, "ranges": ["bal-1:0:0-1"], "rejections": [],
        }  # fmt: skip
    assert [(m.source, m.form, m.device, body) for m, body in control.operations.taken] == [
        ("dso-a", "cim", "pmu-7", XML)
    ] * 2
    assert control.operations.sources["dso-a"].lane == "bal-1"


async def test_subscribers_come_and_go_one_by_one(control: Control) -> None:
    await control.operations.register_source(Source(name="dso-a", lane="bal-1", readers=("market-1",)))
    place = "/sources/dso-a/subscribers"
    for name, points in (("market-2", []), ("home-1", ["a" * 26])):
        answer = await control.http.put(f"{place}/{name}", json={"points": points})
        assert answer.status_code == 200
    found = control.operations.sources["dso-a"]
    assert found.readers == ("market-1", "market-2")
    assert [(grant.subscriber, grant.points) for grant in found.grants] == [("home-1", ("a" * 26,))]
    for name in ("market-1", "home-1", "nobody"):
        assert (await control.http.delete(f"{place}/{name}")).status_code == 200
    found = control.operations.sources["dso-a"]
    assert (found.readers, found.grants) == (("market-2",), ())
    refused = await control.http.put("/sources/dso-z/subscribers/home-1", json={})
    assert refused.json()["type"] == "urn:bal:problem:unknown-source"
    assert "dso-z" not in control.operations.sources


async def test_a_file_of_any_size(control: Control) -> None:
    await control.operations.register_source(Source(name="dso-a", lane="bal-1"))

    async def body() -> AsyncIterator[bytes]:
        for _ in range(INLINE_MESSAGE_BYTES // 1024 + 1):
            yield b"x" * 1024

    response = await control.http.post("/ingest", params={"source": "dso-a"}, content=body())
    assert response.status_code == 200
    ((message, content),) = control.operations.taken
    assert message.size is None
    assert len(content) > INLINE_MESSAGE_BYTES


@pytest.mark.parametrize(
    ("head", "form"),
    [
        (b"<?xml", "cim"),
        (b'  \r\n{"device"', "pmu"),
        (b"[1]", "pmu"),
        (b"\xef\xbb\xbf{", "pmu"),
        (b"\xef\xbb\xbf<", "cim"),
        (b"\xff\xfe<\0", "cim"),
        (b"", "cim"),
        (b"junk", "cim"),
    ],
)
def test_what_a_body_looks_like(head: bytes, form: str) -> None:
    assert form_of(Body(head, b"", len(head), head)) == form


async def test_a_form_that_is_said(control: Control) -> None:
    await control.operations.register_source(Source(name="dso-a", lane="bal-1"))
    await control.http.post("/ingest", params={"source": "dso-a", "form": "pmu"}, content=XML)
    assert control.operations.taken[0][0].form == "pmu"
    response = await control.http.post("/ingest", params={"source": "dso-a", "form": "csv"}, content=XML)
    assert_problem(response, 422, "invalid-request")


async def test_sources_that_are_unknown_or_no_names(control: Control) -> None:
    document = assert_problem(
        await control.http.post("/ingest?source=dso-a", content=XML), 404, "unknown-source"
    )
    assert "create-source" in document["remedy"]
    assert_problem(await control.http.post("/ingest?source=A%20B", content=XML), 400, "malformed")
    assert_problem(
        await control.http.post("/ingest?source=dso-a&device=A%20B", content=XML), 400, "malformed"
    )
    broken = await control.http.post("/ingest?source=dso-a&create_source=1", content=gzip.compress(XML)[:-3])
    assert_problem(broken, 400, "malformed")
    assert control.operations.taken == []


async def test_registering_and_changing_a_source(control: Control) -> None:
    first = await control.http.post("/sources", json={"name": "dso-a", "identities": ["cn-1"]})
    assert first.json()["lane"] == "bal-1"
    assert first.json()["recorded_at"] == NOW
    second = await control.http.post(
        "/sources", json={"name": "dso-a", "time_zone": "Europe/Rome", "outputs": []}
    )
    assert second.json()["identities"] == ["cn-1"]
    assert second.json()["time_zone"] == "Europe/Rome"
    assert second.json()["outputs"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"name": "A B"}, 400),
        ({"name": "dso-a", "suspended": True}, 400),
        ({"name": "dso-a", "recorded_at": 1}, 400),
        ({"name": "dso-a", "point_from": "meteor"}, 422),
        ({"name": "dso-a", METER: 1}, 422),
        ({"name": "dso-a", "topics": [{"topic": "#", "form": "cim"}]}, 422),
        ([1], 422),
    ],
)
async def test_what_is_no_source(control: Control, body: object, status: int) -> None:
    assert_problem(await control.http.post("/sources", json=body), status)
    assert control.operations.sources == {}


async def test_suspending_and_resuming(control: Control) -> None:
    await control.http.post("/sources", json={"name": "dso-a"})
    assert (await control.http.post("/sources/dso-a/suspend", json={"why": "broken"})).json()[
        "suspended"
    ] is True
    assert (await control.http.post("/sources/dso-a/resume", json={"why": "mended"})).json()[
        "suspended"
    ] is False
    assert_problem(await control.http.post("/sources/dso-b/suspend", json={"why": "x"}), 404)
    assert_problem(await control.http.post("/sources/dso-a/suspend", json={}), 422)


async def test_erasing(control: Control) -> None:
    response = await control.http.post("/erase", json=WHO)
    assert response.json() == {"address": "bal-1:0:4", "noted_at": "bal-1:7:0"}
    assert control.operations.erased == [(Address("bal-1", 0, 4), "operator", "asked")]
    assert_problem(await control.http.post("/erase", json={**WHO, "address": METER}), 400, "malformed")
    assert_problem(await control.http.post("/erase", json={"address": "bal-1:0:4"}), 422)


async def test_republishing(control: Control) -> None:
    response = await control.http.post("/republish", json={"source": "dso-a"})
    assert response.json() == {"source": "dso-a", "batches": {"jsonl": 3}}
    asked = {"source": "dso-a", "output": "mqtt", "start": "bal-1:4:0"}
    assert (await control.http.post("/republish", json=asked)).status_code == 200
    stretch = {**asked, "start": "2026-01-31T12:00:00+01:00", "end": "bal-1:9:0"}
    assert (await control.http.post("/republish", json=stretch)).status_code == 200
    assert control.operations.republished == [
        ("dso-a", None, None, None),
        ("dso-a", "mqtt", Address("bal-1", 4, 0), None),
        ("dso-a", "mqtt", 1_769_857_200_000_000, Address("bal-1", 9, 0)),
    ]
    for wrong, status in (
        ({}, 422),
        ({"source": "A B"}, 400),
        ({**asked, "start": "yesterday"}, 400),
        ({**asked, "end": "2026-01-31T12:00:00"}, 400),  # a time without an offset
        ({"source": "dso-a", "end": "bal-1:9:0"}, 400),
        ({**asked, "more": 1}, 422),
    ):
        assert_problem(await control.http.post("/republish", json=wrong), status)


async def test_clients(control: Control) -> None:
    asked = {"name": "market", "scopes": ["readings"], "sources": ["dso-a"]}
    response = await control.http.post("/clients", json=asked)
    assert response.status_code == 201
    facts = response.json()
    assert facts["client_id"] == "market"
    assert control.clients.matches(control.clients.get("market"), facts["client_secret"])
    assert_problem(await control.http.post("/clients", json=asked), 409, "conflict")
    assert_problem(await control.http.post("/clients", json={**asked, "scopes": ["all"]}), 400, "malformed")
    listed = await control.http.get("/clients")
    assert [client["name"] for client in listed.json()] == ["market"]
    assert facts["client_secret"] not in listed.text
    assert "argon2" not in listed.text
    assert (await control.http.delete("/clients/market")).json() == {"revoked": "market"}
    assert_problem(await control.http.delete("/clients/market"), 404, "not-found")


async def test_readers_of_what_was_refused(control: Control) -> None:
    for _ in range(2):
        assert (await control.http.put("/rejections/readers/desk")).json() == {
            "name": "desk",
            "not_in_force": {},
        }
    assert control.readers.names == {"desk"}
    assert_problem(await control.http.put("/rejections/readers/Desk"), 400, "malformed")
    for _ in range(2):
        assert (await control.http.delete("/rejections/readers/desk")).json() == {
            "name": "desk",
            "not_in_force": {},
        }
    assert control.readers.names == set()


async def test_the_operator_is_told_what_strangers_are_not(control: Control, tmp_path: Path) -> None:
    (tmp_path / "clients.json").write_text("{")
    document = assert_problem(await control.http.get("/clients"), 500, Misconfigured.slug)
    assert document["detail"] == "the clients cannot be read"


async def test_status_and_stop(control: Control) -> None:
    assert (await control.http.get("/status")).json() == {"lanes": {}}
    assert (await control.http.post("/stop")).status_code == 202
    assert control.operations.stopped
    for path in ("/docs", "/openapi.json", "/v1/readings", "/nothing"):
        assert_problem(await control.http.get(path), 404, "not-found")
