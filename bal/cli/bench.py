"""`bal bench`: certified readings per second through the whole embedded pipeline, durable and anchored."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from bal.cli.benchmark.documents import METERS
from bal.cli.benchmark.embedded import measure
from bal.cli.options import JsonOption, print_json, print_table
from bal.core.limits import BATCH_LEAVES

_READINGS = 300_000
_STACK_READINGS = 50_000
_EMBEDDED_READINGS = 50_000


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
        figures = asyncio.run(measure(folder, (readings or _READINGS) // METERS, workers, profile))
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
    tell("first the same documents on embedded parts, for comparison")
    embedded = asyncio.run(measure(folder, _EMBEDDED_READINGS // METERS, workers, None))
    found = {**asyncio.run(rounds.run()), "embedded": embedded}
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
    typer.echo(
        f"on embedded parts, the same machine: {embedded['certified_readings_per_second']:,} certified readings/s, "
        f"{embedded['service_cpu_microseconds_per_reading']} us CPU a reading, "
        f"{embedded['verifying_a_certificate_microseconds']} us to check a certificate"
    )
    for name, how in found["syncs"].items():
        typer.echo(f"sync of {name}: {how}")
