"""After an erasure neither value nor salt is in any file of the home; nothing brings the reading back; all else stands."""

import asyncio
import hashlib
import json
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from bal.bootstrap.identities import authority
from bal.bootstrap.reading import audit_home, judge, open_reader
from bal.bootstrap.writing import Opened, open_service
from bal.config import load
from bal.core.address import Address
from bal.core.entry import Erasure, StoredEntry, leaf
from bal.core.errors import Erased, Refused, StoreFailed
from bal.core.message import Message, Receipt
from bal.core.reading import Reading
from bal.core.source import Source
from bal.home import Home
from bal.verify.report import Finding
from tests.checks.books import check_audit, check_certificates, published, published_lines, rows
from tests.checks.homes import register
from tests.checks.processes import Command, all_ended, bal, free_port
from tests.checks.traces import in_folder, raw_in_folder

SOURCE: Final = "dso-a"
_TYPE = "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.0.72.0"
_HOUR = "2025-06-{:02d}T{:02d}:00:00Z"


def value(number: int) -> str:
    """Return a number nobody else's reading has."""
    return f"{hashlib.sha256(b'%d' % number).digest()[0] + 10}{number:04d}73.915048{number:04d}"


def document(
    numbers: range, meter: str = "M1", note: str = "", values: dict[int, str] | None = None
) -> bytes:
    """Return a document of one reading an hour."""
    readings = "".join(
        f"<Readings><timeStamp>{_HOUR.format(1 + n // 24 % 28, n % 24)}</timeStamp>"
        f"<value>{(values or {}).get(n) or value(n)}</value>"
        f'<ReadingType ref="{_TYPE}"/></Readings>'
        for n in numbers
    )
    return (
        f'<MeterReadings xmlns="http://iec.ch/TC57/2011/MeterReadings#"><!--{note}--><MeterReading><Meter><mRID>{meter}</mRID>'
        f"</Meter>{readings}</MeterReading></MeterReadings>"
    ).encode()


def message(body: bytes) -> Message:
    return Message(SOURCE, "cim", body, hashlib.sha256(body).digest())


@asynccontextmanager
async def opened(home: Home, **lane: int) -> AsyncIterator[Opened]:
    """Open a home as its writer, in this process."""
    settings = load(home.create().path)
    numbers = settings.lane.model_copy(update={"batch_window_ms": 5, **lane})
    settings = settings.model_copy(update={"workers": 0, "lane": numbers})
    async with open_service(home, settings) as one:
        await one.service.start()
        if one.service.source(SOURCE) is None:
            await one.service.register_source(Source(name=SOURCE, lane="bal-1"))
        try:
            yield one
        finally:
            await one.service.close()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


async def ingest(one: Opened, body: bytes) -> Receipt:
    return await one.service.ingest(message(body))


async def erase(one: Opened, address: Address) -> StoredEntry:
    """Erase what stands at `address`; return what stood there."""
    row = await one.service.store.entry(address)
    await one.service.erase(address, "operator", "asked for")
    return row


def addresses(receipt: Receipt) -> list[Address]:
    return [Address(r.log, r.seq, i) for r in receipt.ranges for i in range(r.first, r.last + 1)]


async def check_gone(home: Home, erased: list[StoredEntry]) -> None:
    """Assert that nothing of the rows is left, in any file, and that the audit is clean."""
    assert in_folder(home.path, [row.entry.value for row in erased if isinstance(row.entry, Reading)]) == []
    assert raw_in_folder(home.path, *(row.salt for row in erased)) == []
    gone = {str(row.address) for row in erased}
    for line in published(home):
        assert line.get("erased", False) == (line["address"] in gone)
    await check_audit(home)
    assert await check_certificates(home, 1 + len(published(home)) // 500)


async def test_value_and_salt_are_gone_while_the_service_goes_on(home: Home) -> None:
    async with opened(home) as one:
        places = addresses(await ingest(one, document(range(300))))
        erased = [await erase(one, places[number]) for number in (0, 17, 299)]
        await check_gone(home, erased)
        await ingest(one, document(range(300, 320), note="goes on"))
        await check_gone(home, erased)
    await check_gone(home, erased)
    assert len(await rows(home, SOURCE, history=True)) == 317


async def test_events_that_nobody_has_taken_yet_are_erased_too(home: Home) -> None:
    async with opened(home) as one:
        with one.events.subscribe(frozenset({SOURCE})) as slow:
            places = addresses(await ingest(one, document(range(3))))
            lane = one.service.pipeline.lanes["bal-1"]
            await lane.published.reached(places[-1].seq)
            await erase(one, places[1])
            assert [(await anext(slow)).id for _ in range(2)] == [str(places[0]), str(places[2])]


async def test_who_and_why_are_said_and_nothing_is_erased_without(home: Home) -> None:
    async with opened(home) as one:
        (place,) = addresses(await ingest(one, document(range(1))))
        for who, why in (("", "asked"), ("operator", "a\nb"), ("a" * 501, "asked")):
            with pytest.raises(Refused, match="printable"):
                await one.service.erase(place, who, why)
        noted_at = await one.service.erase(place, "operator", "asked")
        with pytest.raises(Refused, match="only readings"):
            await one.service.erase(noted_at, "operator", "asked")


async def test_it_does_not_come_back(home: Home) -> None:
    """Send the same document, another with it, and one with another value for it: refused; the neighbours pass."""
    async with opened(home) as one:
        first = await ingest(one, document(range(10)))
        row = await erase(one, addresses(first)[4])
        assert (await ingest(one, document(range(10)))).known
        await check_gone(home, [row])
        again = await ingest(one, document(range(12), note="another document"))
        assert (again.accepted, again.rejected) == (11, 1)
        assert again.rejections[0][0] == "this reading has been erased and is not accepted again"
        other = await ingest(one, document(range(4, 5), values={4: "1.5"}))
        assert (other.accepted, other.rejected) == (0, 1)
        await check_gone(home, [row])
    async with opened(home) as one:
        after = await ingest(one, document(range(4, 6), note="after a new start"))
        assert (after.accepted, after.rejected) == (1, 1)
        with pytest.raises(Erased):
            await one.service.erase(row.address, "operator", "twice")
    await check_gone(home, [row])
    shown = [reading["timestamp"] for reading in await rows(home, SOURCE)]
    assert len(shown) == 11
    assert "2025-06-01T04:00:00.000000Z" not in shown


async def test_what_was_refused_of_it_is_in_no_file_either(home: Home) -> None:
    """Let its value come in good and bad company before and after: quarantine holds only sealed bytes."""
    bad = document(range(3, 6), note="bad", values={3: "no number", 4: value(4)})
    broken = document(range(3, 6), note="cut")[:-30]
    async with opened(home) as one:
        await ingest(one, bad)
        with pytest.raises(Exception, match="XML"):
            await ingest(one, broken)
        await ingest(one, document(range(3, 6)))
        (shown,) = [row for row in await rows(home, SOURCE, history=True) if row["value"] == value(4)]
        second = await one.service.store.entry(Address("bal-1", 1, 1))
        erased = [await erase(one, Address.parse(shown["address"])), second]
        assert erased[0].entry._replace(received_at=0) == second.entry._replace(received_at=0)
        await ingest(one, document(range(4, 5), note="again"))
    await check_gone(home, erased)


async def test_equal_readings_of_many_messages_go_together(home: Home) -> None:
    """Erase a value sent five times with a correction between: all copies of it go, the correction stays."""
    async with opened(home, batch_leaves=3) as one:
        receipts = [await ingest(one, document(range(4), note=f"copy {n}")) for n in range(3)]
        await ingest(one, document(range(2, 3), values={2: "1.5"}))
        receipts += [await ingest(one, document(range(4), note=f"copy {n}")) for n in (3, 4)]
        places = [addresses(receipt)[2] for receipt in receipts]
        erased = [await one.service.store.entry(place) for place in places]
        await one.service.erase(places[1], "operator", "asked for")
        await check_gone(home, erased)
    await check_gone(home, erased)
    (left,) = [
        row for row in await rows(home, SOURCE, history=True) if row["timestamp"].startswith("2025-06-01T02")
    ]
    assert left["value"] == "1.5"


async def test_two_who_erase_the_same_reading(home: Home) -> None:
    async with opened(home) as one:
        place = addresses(await ingest(one, document(range(5))))[2]
        row = await one.service.store.entry(place)
        answers = await asyncio.gather(
            *(one.service.erase(place, f"operator {n}", "asked for") for n in range(3)),
            return_exceptions=True,
        )
        assert any(isinstance(answer, Address) for answer in answers)
        assert all(isinstance(answer, Address | Erased | Refused) for answer in answers)
    await check_gone(home, [row])


async def test_twenty_erasures_among_pages_that_were_split(home: Home) -> None:
    """Rows come from many points at a time so that pages of the index split and rows move; then twenty are erased."""
    chance = random.Random(20)
    async with opened(home, batch_leaves=512) as one:
        places: list[Address] = []
        for meter in range(20):
            numbers = range(meter * 200, meter * 200 + 200)
            places += addresses(await ingest(one, document(numbers, f"M{chance.randrange(10**9)}")))
        erased = [await erase(one, place) for place in chance.sample(places, 20)]
        await check_gone(home, erased)
    await check_gone(home, erased)


async def test_neighbours_of_the_same_value_stay(home: Home) -> None:
    async with opened(home) as one:
        values = dict.fromkeys(range(6), "480.25")
        places = addresses(await ingest(one, document(range(6), values=values)))
        row = await erase(one, places[3])
        assert raw_in_folder(home.path, row.salt) == []
    assert [reading["value"] for reading in await rows(home, SOURCE)] == ["480.25"] * 5
    await check_audit(home)


async def test_a_certificate_of_it_says_so_and_its_proof_still_verifies(home: Home) -> None:
    """Whoever was given the certificate before still has it; the home gives none any more."""
    async with opened(home) as one:
        place = addresses(await ingest(one, document(range(5))))[1]
        await one.service.pipeline.lanes["bal-1"].published.reached(0)
        handed_out = published_lines(home)[1]
        await erase(one, place)
    asked = bal(home.path, "certificate", str(place), "--json")
    assert asked.returncode == 2
    assert json.loads(asked.stderr)["type"].endswith("erased")
    async with judge(home, None, []) as verdict:
        assert (await verdict(handed_out)).valid


@pytest.mark.parametrize("claimed", ["true leaf", "another leaf"])
async def test_a_row_deleted_by_hand_with_a_forged_note(home: Home, claimed: str) -> None:
    async with opened(home) as one:
        place = addresses(await ingest(one, document(range(5))))[1]
        row = await one.service.store.entry(place)
        true_note = await one.service.erase(
            addresses(await ingest(one, document(range(7, 8))))[0], "operator", "true"
        )
    digest = leaf(row.entry, row.salt).hex() if claimed == "true leaf" else "0" * 64
    note = Erasure(SOURCE, str(place), digest, "operator", "asked for", 1_750_000_000_000_000)
    with sqlite3.connect(home.scd) as scd:
        scd.execute("DELETE FROM readings WHERE log = ? AND seq = ? AND idx = ?", place)
        scd.execute(
            f"INSERT INTO erasures (log, seq, idx, {', '.join(note._fields)}, salt) VALUES (?,?,?,?,?,?,?,?,?,?)",
            (true_note.log, true_note.seq, true_note.index + 1, *note, bytes(16)),
        )
        scd.execute("INSERT INTO erased VALUES (?, ?, 1)", (str(place), bytes(32)))
    scd.close()
    assert Finding("forged_erasure", str(place)) in (await audit_home(home, None)).findings
    async with opened(home):
        pass
    assert Finding("forged_erasure", str(place)) in (await audit_home(home, None)).findings


async def test_a_long_query_delays_an_erasure_and_does_not_prevent_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hold old pages by a reader for longer than the erasure waits: it says so, and is done once the reader ends."""
    monkeypatch.setattr("bal.store.sqlite.store._SCRUB_ATTEMPTS", 2)
    async with opened(home) as one:
        place = addresses(await ingest(one, document(range(50))))[7]
        row = await one.service.store.entry(place)
        reader = sqlite3.connect(home.scd)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM readings LIMIT 1").fetchall()
        try:
            with pytest.raises(StoreFailed, match="long query"):
                await one.service.erase(place, "operator", "asked for")
        finally:
            reader.close()
        async with asyncio.timeout(20):
            while raw_in_folder(home.path, row.salt):  # noqa: ASYNC110 - files tell nothing
                await asyncio.sleep(0.1)
    await check_gone(home, [row])


async def test_erased_while_the_service_is_under_load(tmp_path: Path) -> None:
    """Erase by the command in a second terminal while documents come in; each is gone when the command returns."""
    home = Home(tmp_path / "home")
    await register(home, SOURCE, "dso-b")
    ca, port = authority(home), free_port()
    certificate, key = ca.issue_client("dso-b")
    body = tmp_path / "document.xml"
    body.write_bytes(document(range(100)))
    log = tmp_path / "log"
    arguments = ("run", "--mqtt-port", str(port), "--gateway-port", "0", "--json")
    with Command(home.path, log, *arguments, BAL_LANE__BATCH_WINDOW_MS="20") as service:
        service.first_line()
        sender = Command(
            tmp_path, log, "simulate", "dso", "--source", "dso-b", "--meters", "50", "--documents", "60", "--json",
            "--interval-seconds", "0.05", "--broker", f"127.0.0.1:{port}", "--ca", str(ca.certificate_path),
            "--cert", str(certificate), "--key", str(key),
        )  # fmt: skip
        with sender:
            answer = bal(home.path, "ingest", str(body), "--source", SOURCE, "--json")
            places = [Address.parse(text) for text in json.loads(answer.stdout)["addresses"]]
            erased = []
            for place in places[10:60:20]:
                async with open_reader(home) as reader:
                    erased.append(await reader.store.entry(place))
                done = bal(home.path, "erase", str(place), "--why", "asked for", "--json")
                assert done.returncode == 0, done.stderr
                values = [row.entry.value for row in erased if isinstance(row.entry, Reading)]
                assert in_folder(home.path, values) == []
                assert raw_in_folder(home.path, *(row.salt for row in erased)) == []
            audit = bal(home.path, "audit", "--json")
            assert json.loads(audit.stdout)["findings"] == []
            code, output = await asyncio.to_thread(sender.wait)
            assert code == 0, output
        assert service.stop() == 0
    await all_ended(home.path)
    await check_gone(home, erased)
