"""`bal simulate dso|pmu`: send what a checker can recompute, to a BAL on this machine."""

import asyncio
import json
import os
import sys
import time
from dataclasses import replace
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bal.simulate.dispatch import Simulation
    from bal.simulate.link import Door
    from bal.simulate.plan import Plan
    from bal.simulate.sender import Progress

app = typer.Typer(
    name="simulate",
    help="Send meter documents or PMU frames to a BAL on this machine; every value can be recomputed from the seed.",
    no_args_is_help=True,
)

MESSAGES_MAX = 10_000_000
HOURS_MAX = 24
_ANY_TIME = 1_800_000_000
"""Start of a plan whose real start depends on its size."""


class Outcome(IntEnum):
    """Exit codes."""

    DONE = 0
    REJECTED = 1
    WITHOUT_RECEIPT = 2


Source = Annotated[str, typer.Option(help="Source to send as.")]
Seed = Annotated[int, typer.Option(help="Same seed, same values.")]
Broker = Annotated[str, typer.Option(help="MQTT broker on this machine, host:port.")]
Url = Annotated[str | None, typer.Option(help="Send by HTTPS to this service instead of the broker.")]
TokenFile = Annotated[Path | None, typer.Option(help="File with the bearer token for --url.")]
Certificate = Annotated[Path | None, typer.Option("--cert", help="Client certificate (PEM).")]
Key = Annotated[Path | None, typer.Option(help="Its private key (PEM).")]
Authority = Annotated[Path | None, typer.Option("--ca", help="CA certificate the server is checked against.")]
Username = Annotated[str | None, typer.Option(help="User name; the password is read from --password-file.")]
PasswordFile = Annotated[Path | None, typer.Option(help="File with the password.")]
OutboxFolder = Annotated[
    Path | None, typer.Option("--outbox", help="Keep what has no receipt in this folder; go on from it.")
]
Receipts = Annotated[Path | None, typer.Option(help="Write down every receipt in this file (JSON Lines).")]
Window = Annotated[int, typer.Option(min=1, max=10_000, help="Most messages without a receipt.")]
Retry = Annotated[float, typer.Option("--retry-seconds", min=0.1, help="Send again without a receipt.")]
Drain = Annotated[float, typer.Option("--drain-seconds", min=0, help="Wait for the last receipts so long.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")]


@app.command()
def dso(
    *,
    source: Source,
    meters: Annotated[int, typer.Option(help="Meters of the fleet.")] = 100,
    documents: Annotated[int, typer.Option(min=0, max=MESSAGES_MAX, help="Documents to send in all.")] = 4,
    meters_per_document: Annotated[int, typer.Option(help="Most meters in one document.")] = 1_000,
    quarters_per_document: Annotated[int, typer.Option(help="Quarter hours in one document.")] = 1,
    interval_seconds: Annotated[
        float | None, typer.Option(min=0, help="Seconds between quarter hours; 0 sends without a pause.")
    ] = None,
    speed: Annotated[float, typer.Option(min=0.001, help="Times faster than real time.")] = 900.0,
    start: Annotated[
        str | None,
        typer.Option(
            help="Beginning of the first quarter hour; default: so that the last one sent is up to date."
        ),
    ] = None,
    seed: Seed = 1,
    broker: Broker = "127.0.0.1:8883",
    url: Url = None,
    token_file: TokenFile = None,
    cert: Certificate = None,
    key: Key = None,
    ca: Authority = None,
    username: Username = None,
    password_file: PasswordFile = None,
    outbox: OutboxFolder = None,
    receipts: Receipts = None,
    window: Window = 16,
    retry: Retry = 10.0,
    drain: Drain = 60.0,
    as_json: AsJson = False,
) -> None:
    """Send quarter-hour documents (IEC 61968-9) of a fleet of meters with BDEW load profiles."""
    from bal.core.instant import MICROSECONDS, read_instant
    from bal.simulate.dispatch import Simulation
    from bal.simulate.plan import DsoPlan, latest_begin
    from bal.simulate.profile import QUARTER_HOUR
    from bal.simulate.sender import SenderSettings

    given = read_instant(start) // MICROSECONDS if start else 0
    plan = DsoPlan(source, seed, meters, given or _ANY_TIME, meters_per_document, quarters_per_document)
    interval = plan.round_seconds / speed if interval_seconds is None else interval_seconds
    if not start:
        rounds = -(-documents // plan.per_round)
        begin = int(latest_begin(time.time(), rounds, plan.round_seconds, interval))
        plan = replace(plan, start=begin // QUARTER_HOUR * QUARTER_HOUR)
    settings = SenderSettings(window=window, retry=retry, drain=drain)
    door = _door(plan, broker, url, token_file, (ca, cert, key), username, password_file, window)
    _send(
        Simulation(plan, documents, interval, outbox, receipts, settings, HOURS_MAX * 3600.0), door, as_json
    )


@app.command()
def pmu(
    *,
    source: Source,
    devices: Annotated[int, typer.Option(help="PMUs.")] = 1,
    rate: Annotated[int, typer.Option(help="Frames a second of each, 1 to 50.")] = 50,
    seconds: Annotated[float, typer.Option(min=0, max=HOURS_MAX * 3600, help="How long.")] = 10.0,
    speed: Annotated[float, typer.Option(min=0.001, help="Times faster than real time.")] = 1.0,
    start: Annotated[
        str | None,
        typer.Option(help="Time of the first frame; default: so that the last one sent is up to date."),
    ] = None,
    seed: Seed = 1,
    broker: Broker = "127.0.0.1:8883",
    url: Url = None,
    token_file: TokenFile = None,
    cert: Certificate = None,
    key: Key = None,
    ca: Authority = None,
    username: Username = None,
    password_file: PasswordFile = None,
    outbox: OutboxFolder = None,
    receipts: Receipts = None,
    window: Window = 1_000,
    retry: Retry = 10.0,
    drain: Drain = 60.0,
    as_json: AsJson = False,
) -> None:
    """Send the frames of phasor measurement units, with noise, sags and frequency drift."""
    from bal.core.instant import MICROSECONDS, read_instant
    from bal.simulate.dispatch import Simulation
    from bal.simulate.plan import PmuPlan, latest_begin
    from bal.simulate.sender import SenderSettings

    frames = round(seconds * rate)
    now = latest_begin(time.time(), frames, 1 / rate, 1 / rate / speed)
    plan = PmuPlan(source, seed, devices, read_instant(start) if start else int(now * MICROSECONDS), rate)
    settings = SenderSettings(window=window, retry=retry, drain=drain)
    door = _door(plan, broker, url, token_file, (ca, cert, key), username, password_file, window)
    simulation = Simulation(
        plan,
        min(frames * devices, MESSAGES_MAX),
        plan.round_seconds / speed,
        outbox,
        receipts,
        settings,
        HOURS_MAX * 3600.0,
    )
    _send(simulation, door, as_json)


def _door(
    plan: "Plan",
    broker: str,
    url: str | None,
    token_file: Path | None,
    tls: tuple[Path | None, Path | None, Path | None],
    username: str | None,
    password_file: Path | None,
    window: int,
) -> "Door":
    from bal.core.errors import Misconfigured
    from bal.simulate.http import HttpDoor, fixed_token
    from bal.simulate.loopback import broker_address
    from bal.simulate.mqtt import Credentials, MqttDoor

    password = _secret(password_file) if password_file else None
    credentials = Credentials(*tls, username, password)
    if url:
        if token_file is None:
            message = "a service needs a token"
            raise Misconfigured(message, subject="simulate", remedy="give --token-file")
        return HttpDoor(url, fixed_token(_secret(token_file)), credentials.tls_context())
    host, port = broker_address(broker)
    identifier = f"{plan.source}-{plan.kind}-{os.getpid()}"
    return MqttDoor(plan.source, host, port, credentials, identifier=identifier, window=window)


def _secret(path: Path) -> str:
    from bal.core.errors import Misconfigured

    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        message = "the file with the secret cannot be read"
        raise Misconfigured(message, subject="simulate", remedy="check the path") from error


def _send(simulation: "Simulation", door: "Door", as_json: bool) -> None:
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    from bal.simulate.dispatch import run

    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    silent = as_json or not sys.stderr.isatty()
    with Bar(*columns, console=Console(stderr=True), disable=silent) as bar:
        line = bar.add_task("receipts", total=simulation.messages)

        def show(progress: "Progress") -> None:
            bar.update(line, completed=progress.accepted + progress.rejected)

        done = asyncio.run(run(simulation, door, show))
    if as_json:
        typer.echo(json.dumps({"plan": simulation.plan.to_json(), **done.to_json()}))
    else:
        typer.echo(
            f"{done.accepted} accepted, {done.rejected} rejected, {done.pending} without a receipt"
            f" ({done.resent} sent again, {done.connections} connections)"
        )
    if done.pending:
        raise typer.Exit(Outcome.WITHOUT_RECEIPT)
    if done.rejected:
        raise typer.Exit(Outcome.REJECTED)
