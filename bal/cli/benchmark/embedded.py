"""The whole pipeline on embedded parts, in this process: the bench's first measure, and what the real stack is held against."""

import asyncio
import contextlib
import hashlib
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bal.cli.benchmark.documents import METERS, document

if TYPE_CHECKING:
    from bal.home import Home

_IN_FLIGHT: Final = 32
_FSYNCS: Final = 200
_CHECKS: Final = 1000


async def measure(folder: Path, documents: int, workers: int, profile: Path | None) -> dict[str, Any]:
    """Return the figures of `documents` documents of 1,000 readings through a home in `folder`: embedded ledger, SQLite, JSON Lines."""
    from bal.bootstrap.writing import open_service
    from bal.config import Settings
    from bal.core.message import Message
    from bal.core.source import Source
    from bal.garbage import collect_seldom
    from bal.home import Home

    collect_seldom()  # as `bal run` does
    fsync = _fsync_milliseconds(folder)
    settings = Settings().model_copy(update={"workers": workers})
    async with open_service(Home(folder / "home"), settings) as opened:
        service = opened.service
        await service.start()
        ((name, lane),) = service.pipeline.lanes.items()
        await service.register_source(Source(name="bench", lane=name))
        warm = document(0, METERS)
        await service.ingest(Message("bench", "cim", warm, hashlib.sha256(warm).digest()))
        lags: list[float] = []
        turns = asyncio.Semaphore(_IN_FLIGHT)

        async def certify(body: bytes) -> None:
            receipt = await service.submit(Message("bench", "cim", body, hashlib.sha256(body).digest()))
            accepted = time.perf_counter()
            turns.release()
            await lane.settled(receipt)
            lags.append(time.perf_counter() - accepted)

        with _profiled(profile):
            cpu, begun = os.times(), time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for number in range(1, documents + 1):
                    await turns.acquire()
                    group.create_task(certify(document(number, METERS)))
            anchored = time.perf_counter() - begun
            await lane.published.reached(lane.anchored.value)
            published = time.perf_counter() - begun
        used = os.times()
        await service.close()
    audited, judged = await _checked(Home(folder / "home"))
    lags.sort()
    count = documents * METERS
    return {
        "machine": f"{os.cpu_count()} cores, {platform.python_implementation()} {platform.python_version()}",
        "file_system": _file_system(folder),
        "fsync_milliseconds": fsync,
        "readings": count,
        "workers": workers,
        "seconds_to_anchored": round(anchored, 3),
        "seconds_to_published": round(published, 3),
        "accepted_to_anchored_p50_ms": round(1000 * lags[len(lags) // 2], 1),
        "accepted_to_anchored_p99_ms": round(1000 * lags[int(len(lags) * 0.99)], 1),
        "service_cpu_microseconds_per_reading": round(
            1e6 * (used.user + used.system - cpu.user - cpu.system) / count, 1
        ),
        "audited_readings_per_second": audited,
        "verifying_a_certificate_microseconds": judged,
        "certified_readings_per_second": round(count / published),
    }


async def _checked(home: "Home") -> tuple[int, float]:
    """Return how many readings a second an audit of the home holds against its ledger, and what one certificate costs."""
    from bal.bootstrap.reading import audit_home, open_reader
    from bal.core.address import Address
    from bal.core.certificate import parse

    begun = time.perf_counter()
    report = await audit_home(home, None)
    audited = round(report.readings / (time.perf_counter() - begun))
    async with open_reader(home) as reader:
        address = Address(next(iter(await reader.store.logs())), 1, 0)
        text = (await reader.certificate(address)).encode()
        trusted = (await reader.store.batch(address.log, address.seq)).commitment
    assert report.ok
    assert trusted is not None
    parse(text).check(trusted)
    begun = time.perf_counter()
    for _ in range(_CHECKS):
        parse(text).check(trusted)
    return audited, round(1e6 * (time.perf_counter() - begun) / _CHECKS, 1)


def _fsync_milliseconds(folder: Path) -> float:
    with (folder / "fsync").open("wb", buffering=0) as file:
        begun = time.perf_counter()
        for _ in range(_FSYNCS):
            file.write(b"x" * 4096)
            os.fsync(file.fileno())
        return round(1000 * (time.perf_counter() - begun) / _FSYNCS, 3)


def _file_system(folder: Path) -> str:
    best, kind = "", "unknown"
    with contextlib.suppress(OSError):
        for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
            _, place, name = line.split()[:3]
            if folder.is_relative_to(place) and len(place) >= len(best):
                best, kind = place, name
    return kind


@contextlib.contextmanager
def _profiled(path: Path | None) -> Iterator[None]:
    if path is None:
        yield
        return
    import cProfile

    with cProfile.Profile() as profile:
        yield
    profile.dump_stats(path)
