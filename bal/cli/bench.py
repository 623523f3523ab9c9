"""`bal bench`: certified readings per second through the whole embedded pipeline, durable and anchored."""

import asyncio
import contextlib
import hashlib
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bal.cli.benchmark.documents import document
from bal.cli.options import JsonOption, print_json, print_table
from bal.core.limits import BATCH_LEAVES

if TYPE_CHECKING:
    from bal.home import Home

_METERS = 1000
_READINGS = 300_000
_STACK_READINGS = 50_000
_IN_FLIGHT = 32
_FSYNCS = 200
_CHECKS = 1000


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("bench")(bench)


def bench(
    readings: Annotated[
        int | None,
        typer.Option(
            min=1000,
            max=5_000_000,
            help="Readings in all, in documents of 1,000. Default: 300,000; with --stack 50,000 a round.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that parse and hash beside the service.")
    ] = 1,
    stack: Annotated[
        bool, typer.Option("--stack", help="Measure the real servers, in a stack of its own, round by round.")
    ] = False,
    single: Annotated[
        int,
        typer.Option(
            min=1, max=10_000, help="With --stack: readings of the round with a transaction a reading."
        ),
    ] = 100,
    profile: Annotated[
        Path | None, typer.Option(help="Write a cProfile of the service's process here.")
    ] = None,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Folder for the temporary home, or stack.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the embedded pipeline, or with --stack the real one, in a temporary folder: 1,000 meters a document."""
    folder = Path(tempfile.mkdtemp(prefix="bal-bench-", dir=directory))
    try:
        if stack:
            _bench_stack(folder, readings or _STACK_READINGS, single, workers, profile, as_json=as_json)
            return
        figures = asyncio.run(_measure(folder, (readings or _READINGS) // _METERS, workers, profile))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        print_json(figures)
        return
    for name, value in figures.items():
        if name != "certified_readings_per_second":
            typer.echo(f"{name.replace('_', ' ')}: {value}")
    typer.echo(f"{figures['certified_readings_per_second']} certified readings/s")


def _bench_stack(
    folder: Path, readings: int, single: int, workers: int, profile: Path | None, *, as_json: bool
) -> None:
    import signal
    import sys

    from bal.cli.benchmark.round import Round
    from bal.cli.benchmark.rounds import Rounds
    from bal.cli.benchmark.stack import BenchStack
    from bal.cli.benchmark.table import rows
    from bal.config import LogSettings
    from bal.log import configure
    from bal.stack.layout import Layout, cache_path

    def tell(line: str) -> None:
        typer.echo(line, err=True)

    configure(LogSettings(level="error", form="auto"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # its servers are stopped then, too
    stack = BenchStack(Layout(folder / "stack", cache_path()), folder, "batch", tell)
    rounds = Rounds(
        stack,
        Round(stack, workers=workers, seconds=max(120.0, readings / 200)),
        readings=readings,
        single=single,
        leaves=BATCH_LEAVES,
        profile=profile,
        tell=tell,
    )
    found = asyncio.run(rounds.run())
    if as_json:
        print_json(found)
        return
    typer.echo(found["machine"])
    print_table(*rows(found["rounds"]))
    for each in found["warm_ups"]:
        used = ", ".join(map(str, each["cpu_seconds_per_1000_readings"]))
        typer.echo(
            f"warmed up with {each['readings']:,} readings, CPU seconds per 1,000 from round to round: {used}"
        )
    for name, how in found["syncs"].items():
        typer.echo(f"sync of {name}: {how}")


async def _measure(folder: Path, documents: int, workers: int, profile: Path | None) -> dict[str, Any]:
    from bal.bootstrap.writing import open_service
    from bal.config import Settings
    from bal.core.message import Message
    from bal.core.source import Source
    from bal.home import Home

    fsync = _fsync_milliseconds(folder)
    async with open_service(
        Home(folder / "home"), Settings().model_copy(update={"workers": workers})
    ) as opened:
        service = opened.service
        await service.start()
        await service.register_source(Source(name="bench", lane=next(iter(service.pipeline.lanes))))
        lane = service.pipeline.lanes[next(iter(service.pipeline.lanes))]
        warm = document(0, _METERS)
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
                    group.create_task(certify(document(number, _METERS)))
            anchored = time.perf_counter() - begun
            await lane.published.reached(lane.anchored.value)
            published = time.perf_counter() - begun
        used = os.times()
        await service.close()
    audited, judged = await _checked(Home(folder / "home"))
    lags.sort()
    count = documents * _METERS
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
