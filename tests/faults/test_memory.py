"""Memory stays bounded however large the document and however many documents."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest

from bal.bootstrap.identities import authority
from bal.home import Home
from bal.simulate.plan import DsoPlan
from tests.checks.books import check_audit
from tests.checks.homes import register
from tests.checks.processes import BAL, Command, all_ended, free_port, memory
from tests.counts import counts, figure, part

FULL: Final = 20
EACH: Final = 50_000
SECONDS: Final = 300 + part(FULL) * EACH // 1000
MEGABYTE: Final = 1 << 20
DOCUMENT_ROOM: Final = 192 * MEGABYTE
"""What a document four times as large may take more: batches on their way, not the document (some 180 bytes a reading)."""
_TYPE: Final = "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.0.72.0"


def _write_document(path: Path, readings: int, first: int) -> None:
    """Write a document of `readings` readings of 96 quarter hours each meter, meters from number `first` on."""
    with path.open("w") as file:
        file.write('<MeterReadings xmlns="http://iec.ch/TC57/2011/MeterReadings#">\n')
        for number in range(-(-readings // 96)):
            count = min(96, readings - 96 * number)
            file.write(f"<MeterReading><Meter><mRID>METER-{first + number}</mRID></Meter>\n")
            for quarter in range(count):
                hour, minute = divmod(15 * quarter, 60)
                file.write(
                    f"<Readings><timeStamp>2025-06-15T{hour:02d}:{minute:02d}:00Z</timeStamp><value>{number}.{quarter}</value>"
                    f'<ReadingType ref="{_TYPE}"/></Readings>\n'
                )
            file.write("</MeterReading>\n")
        file.write("</MeterReadings>\n")


class Watch:
    """Keeps the most memory that the service and its workers have taken."""

    def __init__(self, service: Command) -> None:
        self._pid = service.process.pid
        self.most = 0

    async def _look(self) -> None:
        while True:
            self.most = max(self.most, memory(self._pid))
            await asyncio.sleep(0.05)

    @contextlib.asynccontextmanager
    async def during(self) -> AsyncIterator[None]:
        self.most = memory(self._pid)
        looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            looking.cancel()


@contextlib.contextmanager
def service(home: Home, folder: Path, port: int) -> Iterator[Command]:
    arguments = ("run", "--mqtt-port", str(port), "--gateway-port", "0", "--json")
    with Command(home.path, folder / "log", *arguments) as command:
        command.first_line()
        yield command
        assert command.stop() == 0


async def _ingest(home: Home, path: Path) -> int:
    process = await asyncio.create_subprocess_exec(
        *BAL, "ingest", str(path), "--source", "dso-a", "--ranges", "--json", "--home", str(home.path),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0
    return int(json.loads(output)["accepted"])


@pytest.mark.hammer
@pytest.mark.timeout(SECONDS)
async def test_one_large_document(tmp_path: Path) -> None:
    """Take a document, then one four times as large, of all readings: it takes hardly more memory."""
    home, readings = Home(tmp_path / "home"), counts(FULL) * EACH
    await register(home, "dso-a")
    small, large = tmp_path / "small.xml", tmp_path / "large.xml"
    _write_document(small, readings // 4, 0)
    _write_document(large, readings, 1_000_000)
    with service(home, tmp_path, free_port()) as running:
        watch, most = Watch(running), []
        for path, count in ((small, readings // 4), (large, readings)):
            async with watch.during():
                assert await _ingest(home, path) == count
            most.append(watch.most)
    size = large.stat().st_size
    figure(
        f"{readings} readings ({size // MEGABYTE} MiB): {most[1] // MEGABYTE} MiB, a quarter: {most[0] // MEGABYTE} MiB"
    )
    assert most[1] - most[0] < DOCUMENT_ROOM
    await all_ended(home.path)
    report = await check_audit(home)
    assert report.readings == readings + readings // 4


@pytest.mark.hammer
@pytest.mark.timeout(SECONDS)
async def test_many_documents(tmp_path: Path) -> None:
    """Send documents of some 1,000 readings: what the second half takes more than the first is bounded."""
    home, port, readings = Home(tmp_path / "home"), free_port(), counts(FULL) * EACH
    await register(home, "dso-a")
    ca = authority(home)
    certificate, key = ca.issue_client("dso-a")
    documents = max(10, readings // 1000)
    with service(home, tmp_path, port) as running:
        watch, most = Watch(running), []
        for count in (documents // 2, documents):
            sender = Command(
                tmp_path, tmp_path / "sender.log", "simulate", "dso", "--source", "dso-a", "--meters", "270",
                "--documents", str(count), "--interval-seconds", "0", "--start", "2025-06-15T00:00:00Z", "--outbox", str(tmp_path / "outbox"),
                "--broker", f"127.0.0.1:{port}", "--ca", str(ca.certificate_path), "--cert", str(certificate),
                "--key", str(key), "--json",
            )  # fmt: skip
            async with watch.during():
                code, output = await asyncio.to_thread(sender.wait)
            assert code == 0, output
            most.append(watch.most)
    figure(f"{documents} documents: {most[1] // MEGABYTE} MiB, half of them: {most[0] // MEGABYTE} MiB")
    assert most[1] - most[0] < DOCUMENT_ROOM // 2
    await all_ended(home.path)
    report = await check_audit(home)
    assert report.readings == len(DsoPlan("dso-a", 1, 270, 1_749_945_600).expected(0)) * documents
