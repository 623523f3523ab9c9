"""`bal run`: the service."""

import asyncio
import contextlib
import signal
from typing import Annotated

import typer

from bal.cli.options import DEFAULT, HomeOption, JsonOption, home_at, print_json
from bal.home import Home


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("run")(run)


def run(
    mqtt_port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Port of the broker instead of the configured; 0: any."),
    ] = None,
    gateway_port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Port of the gateway instead of the configured; 0: any."),
    ] = None,
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Run the service until it is told to stop (SIGTERM, SIGINT); prints one line once everything is ready."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(home_at(home), mqtt_port, gateway_port, as_json=as_json))


async def _run(home: Home, mqtt_port: int | None, gateway_port: int | None, *, as_json: bool) -> None:
    from bal.bootstrap.doors import running
    from bal.config import load
    from bal.garbage import collect_seldom
    from bal.log import configure

    settings = load(home.create().path)
    if mqtt_port is not None:
        settings = settings.model_copy(update={"mqtt": settings.mqtt.model_copy(update={"port": mqtt_port})})
    if gateway_port is not None:
        gateway = settings.gateway.model_copy(update={"port": gateway_port})
        settings = settings.model_copy(update={"gateway": gateway})
    configure(settings.log)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with running(home, settings) as service:
        collect_seldom()
        if as_json:
            print_json({"ready": True, **service.facts})
        else:
            typer.echo(
                "ready: " + ", ".join(f"{name} {value}" for name, value in service.facts.items() if value)
            )
        await service.until(stopping)
