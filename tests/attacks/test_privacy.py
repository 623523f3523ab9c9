"""No plain identifier of a meter, customer or device anywhere: files of the home, logs, receipts, topics, errors."""

import asyncio
import gzip
import json
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

import aiomqtt
import httpx
import pytest

from bal.bootstrap.identities import authority
from bal.gateway.clients import Clients
from bal.gateway.scopes import SCOPES
from bal.home import Home
from bal.system import SystemClock
from tests.checks.homes import register
from tests.checks.processes import Command, all_ended, bal
from tests.checks.traces import Trace, in_bytes, in_folder

MRID: Final = "DE0005550001ZAEHLPUNKT000000099001"
SERIAL: Final = "1EMH0098765432"
CUSTOMER: Final = "Wilhelmine-Hoppenstedt-Kaltenbach"
ADDRESS: Final = "Gruensteinallee-4711b"
DEVICE: Final = "pmu-umspannwerk-quirlbach"
FILE: Final = "auszug-erikamusterfrau"
SECRETS: Final = (MRID, SERIAL, CUSTOMER, ADDRESS, DEVICE, FILE)
SOURCE: Final = "dso-a"
_TYPE = "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.0.72.0"
_NAMESPACE = "http://iec.ch/TC57/2011/MeterReadings#"


def reading(
    value: str = "17.25", time: str = "2025-06-15T10:00:00Z", kind: str = _TYPE, more: str = ""
) -> str:
    return f'<Readings><timeStamp>{time}</timeStamp><value>{value}</value>{more}<ReadingType ref="{kind}"/></Readings>'


def document(inner: str = "", head: str = "", attributes: str = "", meter: str = "") -> str:
    meter = meter or f"<Meter><mRID>{SERIAL}</mRID><Names><name>{SERIAL}</name></Names></Meter>"
    return (
        f'<?xml version="1.0"?>{head}<MeterReadings xmlns="{_NAMESPACE}"{attributes}><MeterReading>{meter}{inner or reading()}'
        f"<UsagePoint><mRID>{MRID}</mRID></UsagePoint></MeterReading></MeterReadings>"
    )


def frame(device: str = DEVICE, more: str = "", data: str = "230.5") -> str:
    return (
        f'{{"device": "{device}", "timestamp": "2025-06-15T10:00:00.02Z", {more} "readings": '
        f'[{{"component": "BUS1", "measurand": "voltmagnitude", "phase": "A", "data": {data}}}]}}'
    )


GOOD: Final = {
    "plain": document(),
    "names of a customer around it": document(
        f"<comment>{CUSTOMER}</comment><valuesInterval><start>{ADDRESS}</start></valuesInterval>" + reading(),
        meter=f"<Meter><mRID>{SERIAL}</mRID><Names><name>{CUSTOMER}</name><NameType><name>{ADDRESS}</name>"
        "</NameType></Names></Meter>",
    ),
    "in comments and instructions": document(
        reading("18"), head=f"<!-- {SERIAL} {CUSTOMER} --><?owner {ADDRESS}?>"
    ),
    "in attributes": document(
        reading("19"), attributes=f' id="{MRID}" xmlns:x="urn:{CUSTOMER}" x:owner="{ADDRESS}"'
    ),
    "in the comment of a quality": document(
        reading(
            more=f'<ReadingQualities><comment>{CUSTOMER}</comment><ReadingQualityType ref="1.4.6"/></ReadingQualities>'
        )
    ),
    "quality that is none": document(
        reading(more=f'<ReadingQualities><ReadingQualityType ref="{CUSTOMER}"/></ReadingQualities>')
    ),
    "undeclared prefix": document(attributes=f' {CUSTOMER.lower()}:owner="{MRID}"'),
    "utf-16": document(reading("20")).replace('"1.0"', '"1.0" encoding="utf-16"'),
}
PARTLY: Final = {
    "value is the number of the meter": document(reading(SERIAL) + reading("21")),
    "time is a name": document(reading(time=CUSTOMER)),
    "reading type is a name": document(reading(kind=f"{MRID}.{CUSTOMER}")),
    "element of that name": document(f"<{CUSTOMER}>{MRID}</{CUSTOMER}>" + reading("x")),
    "value outside": document(reading(f"{'9' * 40}", more=f"<note>{ADDRESS}</note>")),
    "a point without a number": document(
        reading("22"), meter=f"<Meter><Names><name></name></Names><owner>{CUSTOMER}</owner></Meter>"
    ).replace(f"<mRID>{MRID}</mRID>", f"<owner>{MRID}</owner>"),
}
UNREADABLE: Final = {
    "cut in the number": document()[: document().index(SERIAL) + len(SERIAL)],
    "crossed tags": document().replace("</mRID>", "</m>"),
    "element of that name not closed": document().replace("<Meter>", f"<{CUSTOMER}><Meter>"),
    "attribute twice": document(attributes=f' owner="{CUSTOMER}" owner="{MRID}"'),
    "undeclared entity": document(reading(f"&{CUSTOMER};")),
    "doctype": document(head=f'<!DOCTYPE {CUSTOMER} SYSTEM "file:///{MRID}">'),
    "entity": document(head=f'<!DOCTYPE x [<!ENTITY e "{CUSTOMER}">]>'),
    "encoding of that name": document().replace('"1.0"', f'"1.0" encoding="{CUSTOMER}"'),
    "root of that name": f"<{CUSTOMER}>{MRID}</{CUSTOMER}>",
    "namespace of that name": document().replace(_NAMESPACE, f"urn:{CUSTOMER}:{MRID}"),
    "no xml": f"{SERIAL};{CUSTOMER};17.25",
    "latin-1": document(f"<c>{CUSTOMER}\xe9</c>" + reading()),
}  # fmt: skip
FRAMES: Final = {
    "good": frame(),
    "another device inside": frame("pmu-b", f'"owner": "{CUSTOMER}",'),
    "device twice": frame(more=f'"device": "{MRID}",'),
    "member of that name": frame(more=f'"{CUSTOMER}": "{MRID}",'),
    "data is a name": frame(data=f'"{CUSTOMER}"'),
    "cut": frame()[:40],
    "constant": frame(data="NaN"),
    "no json": f"{DEVICE} {CUSTOMER}",
    "time is a name": frame().replace("2025-06-15T10:00:00.02Z", MRID),
    "surrogate": frame(more=f'"x": "{CUSTOMER}\\ud800",'),
}


@dataclass
class Heard:
    """Everything that came out of the service, and where."""

    parts: list[tuple[str, bytes]] = field(default_factory=list)

    def take(self, where: str, content: bytes | str) -> None:
        self.parts.append((where, content.encode() if isinstance(content, str) else content))

    def traces(self, texts: tuple[str, ...] = SECRETS) -> list[Trace]:
        return [trace for where, content in self.parts for trace in in_bytes(content, where, texts)]


class Place:
    """A running service, its clients, and what was heard of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = Home(folder / "home")
        self.log = folder / "service.log"
        self.heard = Heard()
        asyncio.run(register(self.home, SOURCE, outputs=("jsonl", "mqtt", "mqtt-flat"), readers=("reader",)))
        asyncio.run(register(self.home, "pmu-a"))
        self.ca = authority(self.home)
        for name in (SOURCE, "pmu-a", "reader"):
            self.ca.issue_client(name)
        self.secret = Clients(self.home.clients, SystemClock()).add("web", list(SCOPES), [SOURCE], SOURCE)
        self.command = Command(
            self.home.path,
            self.log,
            "run",
            "--mqtt-port",
            "0",
            "--gateway-port",
            "0",
            "--json",
            BAL_LOG__LEVEL="debug",
        )
        self.facts = self.command.first_line()

    def tls(self, name: str | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca.certificate_path)
        if name:
            context.load_cert_chain(*self.ca.client_paths(name))
        return context

    def mqtt(self, name: str, identifier: str | None = None) -> aiomqtt.Client:
        host, _, port = self.facts["mqtt"].rpartition(":")
        return aiomqtt.Client(
            host, int(port), tls_context=self.tls(name), identifier=identifier or name, timeout=20
        )

    def http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.facts["gateway"], verify=self.tls(), timeout=60)

    def cli(self, *arguments: str, stdin: bytes = b"") -> int:
        done = bal(self.home.path, *arguments, stdin=stdin, BAL_LOG__LEVEL="debug")
        self.heard.take(f"output of bal {arguments[0]}", done.stdout + b"\n" + done.stderr)
        return done.returncode


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return a service that runs as long as this module's tests do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("BAL_HOME", raising=False)
        one = Place(tmp_path_factory.mktemp("privacy"))
        with one.command:
            yield one


def encoded(name: str, text: str) -> bytes:
    return text.encode({"utf-16": "utf-16", "latin-1": "latin-1"}.get(name, "utf-8"))


async def test_by_mqtt(place: Place) -> None:
    """Send everything by MQTT: receipts, rejections and published topics hold no identifier."""
    documents = {**GOOD, **PARTLY, **UNREADABLE}
    async with place.mqtt("reader") as reader, place.mqtt(SOURCE) as sender, place.mqtt("pmu-a") as pmu:
        await reader.subscribe([(f"bal/{SOURCE}/certified/+", 1), (f"bal/{SOURCE}/readings/+", 1)])
        for client, name in ((sender, SOURCE), (pmu, "pmu-a")):
            await client.subscribe([(f"bal/{name}/accepted", 1), (f"bal/{name}/rejected", 1)])
        for name, text in documents.items():
            await sender.publish(f"bal/{SOURCE}/cim", encoded(name, text), qos=1)
        for text in FRAMES.values():
            await pmu.publish(f"bal/pmu-a/pmu/{DEVICE}", text.encode(), qos=1)
        # Topics that nobody may write, made of identifiers: nothing arrives, and nothing is said of them.
        for topic in (
            f"bal/{SOURCE}/{CUSTOMER}", f"bal/{MRID}/cim", f"{CUSTOMER}/{MRID}", f"bal/pmu-a/pmu/{CUSTOMER}", f"bal/pmu-a/pmu/{DEVICE}",
        ):  # fmt: skip
            for name in (SOURCE, "pmu-a") if DEVICE not in topic else (SOURCE,):
                with suppress(TimeoutError, aiomqtt.MqttError):
                    async with asyncio.timeout(2), place.mqtt(name, CUSTOMER) as stranger:
                        await stranger.publish(topic, document().encode(), qos=1)

        def hear(message: aiomqtt.Message) -> str:
            kind = message.topic.value.split("/")[2]
            assert isinstance(message.payload, bytes)
            place.heard.take(f"topic of {kind}", message.topic.value)
            place.heard.take(f"message on {kind}", message.payload)
            return kind

        async def answers(client: aiomqtt.Client, sent: set[str]) -> None:
            async for message in client.messages:
                hear(message)
                sent.discard(json.loads(message.payload)["digest"])
                if not sent:
                    return

        async def published(client: aiomqtt.Client, left: set[str]) -> None:
            async for message in client.messages:
                left.discard(hear(message))
                if not left:
                    return

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(
                answers(sender, {sha256(encoded(*each)).hexdigest() for each in documents.items()})
            )
            group.create_task(answers(pmu, {sha256(text.encode()).hexdigest() for text in FRAMES.values()}))
            group.create_task(published(reader, {"certified", "readings"}))
    assert place.heard.traces() == []


async def test_by_http(place: Place) -> None:
    """Send everything by HTTPS, and ask with identifiers in places they do not belong."""
    async with place.http() as client:
        grant = {"grant_type": "client_credentials"}
        token = (await client.post("/oauth/token", data=grant, auth=("web", place.secret))).json()[
            "access_token"
        ]
        headers = {"Authorization": f"Bearer {token}"}
        for name, text in {**GOOD, **PARTLY, **UNREADABLE}.items():
            body = encoded(name, text).replace(b"17.25", b"17.26")
            for content, more in ((body, {}), (gzip.compress(body)[:-4], {"Content-Encoding": "gzip"})):
                answer = await client.post(
                    "/v1/ingest",
                    content=content,
                    headers={**headers, "Content-Type": "application/xml", **more},
                )
                place.heard.take(f"answer to {name}", answer.content + str(answer.headers).encode())
        for frame_ in FRAMES.values():
            answer = await client.post(
                "/v1/ingest", content=frame_, headers={**headers, "Content-Type": "application/json"}
            )
            place.heard.take("answer to a frame", answer.content)
        answer = await client.post(
            "/v1/readings/query", json={"source": SOURCE, "meters": [MRID]}, headers=headers
        )
        place.heard.take("answer to a query", answer.content)
        answer = await client.post(
            "/v1/readings/query", json={CUSTOMER: MRID, "source": SOURCE, "meters": CUSTOMER}, headers=headers
        )
        assert answer.status_code >= 400
        place.heard.take("answer to a malformed query", answer.content)
        for path in (
            f"/v1/readings?source={SOURCE}&meter={MRID}",
            f"/v1/readings?source={SOURCE}&point={MRID}",
            f"/v1/readings?{CUSTOMER}={MRID}",
            f"/v1/readings?source={CUSTOMER}",
            f"/v1/certificates/{MRID}",
            f"/v1/{CUSTOMER}/{MRID}",
            f"/{CUSTOMER}?{MRID}={ADDRESS}",
        ):
            answer = await client.get(
                path, headers={**headers, "X-Request-Id": CUSTOMER, "User-Agent": ADDRESS}
            )
            assert answer.status_code >= 400, path
            place.heard.take("answer to a wrong address", answer.content)
        for path in ("/v1/readings", "/v1/rejections", "/v1/batches", "/v1/anchors", "/v1/sources"):
            answer = await client.get(path, params={"source": SOURCE}, headers=headers)
            place.heard.take(f"answer of {path}", answer.content)
        place.heard.take("metrics", (await client.get("/metrics", headers=headers)).content)
    assert place.heard.traces() == []


def test_by_files(place: Place) -> None:
    """Ingest everything from files named by a customer, and from standard input."""
    for code, texts in ((0, GOOD), (1, PARTLY), (2, UNREADABLE)):
        paths: list[Path] = []
        for name, text in texts.items():
            paths.append(place.folder / f"{code}-{len(paths)}.xml")
            paths[-1].write_bytes(encoded(name, text).replace(b"17.25", b"17.27"))
        assert place.cli("ingest", *map(str, paths), "--source", SOURCE, "--json") == code
    paths = [place.folder / f"{number}.json" for number in range(len(FRAMES))]
    for path, text in zip(paths, FRAMES.values(), strict=True):
        path.write_text(text)
    assert place.cli("ingest", *map(str, paths), "--source", "pmu-a", "--device", DEVICE, "--json") == 2
    assert place.cli("ingest", "-", "--source", "pmu-a", "--json", stdin=FRAMES["cut"].encode()) == 2
    assert place.cli("readings", "--source", SOURCE, "--meter", MRID, "--json") == 0
    assert place.cli("rejections", "--json") == 0
    assert place.cli("audit", "--json") == 0
    named = place.folder / f"{FILE}.xml"
    named.write_text(document(reading("30")))
    assert bal(place.home.path, "ingest", str(named), "--source", SOURCE).returncode == 0
    assert place.heard.traces() == []


async def test_nothing_is_left_in_the_home_or_the_log(place: Place) -> None:
    """Search every file of the home while the service runs, and once it has ended."""
    assert in_folder(place.home.path, SECRETS) == []
    assert len(list(place.home.out.rglob("*.jsonl"))) >= 2, "there was something to find"
    place.command.stop()
    await all_ended(place.home.path)
    assert in_folder(place.home.path, SECRETS) == []
    log = place.log.read_bytes()
    assert list(in_bytes(log, "log of the service", SECRETS)) == []


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    """Hide an identifier in every spelling; each is found."""
    import base64
    from urllib.parse import quote

    spelt = [
        CUSTOMER.encode(),
        CUSTOMER.encode("utf-16"),
        base64.b64encode(b"x" + CUSTOMER.encode() + b"yz"),
        base64.b64encode(b"xy" + CUSTOMER.encode()),
        CUSTOMER.encode().hex().encode(),
        quote(ADDRESS).encode(),
        CUSTOMER.upper().encode(),
    ]
    for number, content in enumerate(spelt):
        (tmp_path / str(number)).write_bytes(b"\0\1" + content + b"\2")
    found = in_folder(tmp_path, (CUSTOMER, ADDRESS))
    assert {trace.where for trace in found} == {str(number) for number in range(len(spelt))}
