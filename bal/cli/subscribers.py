"""`bal subscribers`: who receives what is certified, on Kafka and by MQTT."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bal.cli.options import DEFAULT, HomeOption, JsonOption, home_at, print_json, print_table

if TYPE_CHECKING:
    from bal.config import Settings
    from bal.core.source import Source
    from bal.home import Home
    from bal.pki import Authority

app = typer.Typer(help="Subscribers: their certificates, and what they may read.", no_args_is_help=True)
_FOLDER = "subscribers"


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name of the subscriber, its certificate's common name.")],
    source: Annotated[str, typer.Option(help="Source it may read.")],
    point: Annotated[
        list[str] | None,
        typer.Option(help="Only this measuring point (pseudonym); may be repeated."),
    ] = None,
    meter: Annotated[
        list[str] | None,
        typer.Option(help="Only this meter, usage point or device, by its plain identifier."),
    ] = None,
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Give a subscriber a certificate and the right to read a source, or single measuring points of it."""
    facts = asyncio.run(_add(home_at(home), name, source, list(point or ()), list(meter or ())))
    if as_json:
        print_json(facts)
        return
    typer.echo(
        f"subscriber {name} reads {source}" + (f", {facts['points']} points" if facts["points"] else "")
    )
    for what in ("folder", "kafka", "mqtt"):
        for each in facts[what] if isinstance(facts[what], list) else [facts[what]]:
            typer.echo(f"{what} {each}")
    if not facts["kafka"] and not facts["mqtt"]:
        typer.echo(f"nothing of {source} goes out yet: bal sources add {source} --output kafka", err=True)


@app.command("list")
def list_subscribers(home: HomeOption = DEFAULT, as_json: JsonOption = False) -> None:
    """List subscribers and what each may read."""
    found = asyncio.run(_list(home_at(home)))
    if as_json:
        for each in found:
            print_json(each)
    else:
        headings = ["name", "source", "points", "certificate"]
        print_table(headings, [[str(each[heading] or "all") for heading in headings] for each in found])


@app.command("remove")
def remove(
    name: Annotated[str, typer.Argument(help="Name of the subscriber.")],
    source: Annotated[
        str | None, typer.Option(help="Take only this source from it; its certificate stays.")
    ] = None,
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Take a subscriber's rights away and revoke its certificate, unless it also sends."""
    facts = asyncio.run(_remove(home_at(home), name, source))
    if as_json:
        print_json(facts)
    else:
        revoked = ", certificate revoked" if facts["revoked"] else ""
        typer.echo(f"subscriber {name} reads no longer: {', '.join(facts['sources'])}{revoked}")


async def _add(home: "Home", name: str, source: str, points: list[str], meters: list[str]) -> dict[str, Any]:
    from bal.bootstrap.identities import authority, tell_broker
    from bal.bootstrap.reading import open_reader
    from bal.config import load
    from bal.core.names import check_name

    check_name(name, "subscriber name")
    settings = load(home.path)
    async with open_reader(home) as reader:
        await reader.registered(source)
        sources = await reader.store.sources()
        points += [each for meter in meters for each in reader.pseudonyms(source, meter)]
    ca = authority(home, settings)
    _refuse_others(home, settings, ca, name, sources)
    certificate, key = _certificate(home, ca, name)
    await asyncio.to_thread(tell_broker, home)  # one that was revoked before has rights again
    answer = await _ask(home, "PUT", source, name, json={"points": points})
    facts = {"name": name, "source": source, "points": len(set(points)), "outputs": answer["outputs"]}
    return {**facts, **_told(settings, facts), "folder": str(_hand_out(home, ca, name, certificate, key))}


async def _list(home: "Home") -> list[dict[str, Any]]:
    from datetime import UTC, datetime

    from bal.bootstrap.identities import authority
    from bal.bootstrap.reading import open_reader
    from bal.config import load
    from bal.pki import Authority

    async with open_reader(home) as reader:
        sources = await reader.store.sources()
    settings, now = load(home.path), datetime.now(UTC)
    issued = authority(home, settings).list() if Authority.exists(settings.pki.path or home.pki) else []
    valid = {each.name for each in issued if each.valid(now)}
    found = [(name, source.name, 0) for source in sources for name in source.readers]
    found += [
        (each.subscriber, source.name, len(each.points)) for source in sources for each in source.grants
    ]
    return [
        {
            "name": name,
            "source": source,
            "points": count or None,
            "certificate": "valid" if name in valid else "none",
        }
        for name, source, count in sorted(found)
    ]


async def _remove(home: "Home", name: str, source: str | None) -> dict[str, Any]:
    from bal.bootstrap.identities import authority, tell_broker
    from bal.bootstrap.reading import open_reader
    from bal.config import load
    from bal.core.errors import NotFound
    from bal.core.subscribing import reads

    settings = load(home.path)
    async with open_reader(home) as reader:
        sources = await reader.store.sources()
    read = [each for each in sources if reads(each, name)]
    taken = [each for each in read if source in {None, each.name}]
    if not taken:
        message = "there is no such subscriber" if not read else "it does not read this source"
        raise NotFound(message, subject=name, remedy="see them with `bal subscribers list`")
    for each in taken:
        await _ask(home, "DELETE", each.name, name)
    revoked = []
    if source is None and _folder(home, name).exists() and not _is_other_identity(settings, name, sources):
        ca = authority(home, settings)
        if any(each.name == name and each.kind == "client" and each.revoked_at is None for each in ca.list()):
            revoked = [each.serial for each in ca.revoke(name, "client")]
            await asyncio.to_thread(tell_broker, home)
    return {"name": name, "sources": [each.name for each in taken], "revoked": revoked}


async def _ask(home: "Home", method: str, source: str, name: str, **request: Any) -> dict[str, Any]:
    from bal.cli.control import ask, control

    async with control(home) as client:
        answer: dict[str, Any] = await ask(client, method, f"/sources/{source}/subscribers/{name}", **request)
        return answer


def _refuse_others(
    home: "Home", settings: "Settings", ca: "Authority", name: str, sources: "list[Source]"
) -> None:
    """Refuse a name whose certificate is somebody else's: its key would be handed out, and `remove` would revoke it."""
    from bal.core.errors import Conflict

    if _is_other_identity(settings, name, sources):
        message = "this is the name of a source, of a sender or of the BAL itself"
        raise Conflict(message, subject=name, remedy="choose another name for the subscriber")
    if not _folder(home, name).exists() and any(each.name == name for each in ca.list()):
        message = "the authority has issued a certificate of this name, and not to a subscriber of this BAL"
        raise Conflict(message, subject=name, remedy="choose another name for the subscriber")


def _is_other_identity(settings: "Settings", name: str, sources: "list[Source]") -> bool:
    """Tell whether a name sends, or is what this BAL itself goes by: its certificate is no subscriber's."""
    from bal.publish.kafka.access import principal_of

    kafka = settings.kafka
    certificates = (settings.mqtt.certificate, kafka.certificate, kafka.admin_certificate)
    own = {settings.mqtt.identity, *(principal_of(path) for path in certificates if path is not None)}
    return name in own or any(name == each.name or name in each.identities for each in sources)


def _folder(home: "Home", name: str) -> Path:
    """Return the folder of what a subscriber is handed; where there is one, the certificate of its name is its own."""
    return home.path / _FOLDER / name


def _certificate(home: "Home", ca: "Authority", name: str) -> tuple[Path, Path]:
    """Return certificate and key of a subscriber: those it has while they are valid, else new ones."""
    from datetime import UTC, datetime

    from bal.durable import make_directory

    paths = ca.client_paths(name)
    now = datetime.now(UTC)
    if any(each.name == name and each.kind == "client" and each.valid(now) for each in ca.list()):
        return paths
    made = ca.issue_client(name)
    make_directory(_folder(home, name))
    return made


def _told(settings: "Settings", facts: dict[str, Any]) -> dict[str, Any]:
    """Return the topics on which something arrives for the subscriber."""
    source, points = facts["source"], facts["points"]
    level = "+" if not points else "{point}"
    mqtt = {"mqtt": f"bal/{source}/certified/{level}", "mqtt-flat": f"bal/{source}/readings/{level}"}
    kafka = []
    if "kafka" in facts["outputs"]:
        kafka = [f"bal.granted.{facts['name']}" if points else f"bal.certified.{source}"]
    return {
        "servers": list(settings.kafka.servers) if kafka else [],
        "kafka": kafka,
        "mqtt": [topic for output, topic in mqtt.items() if output in facts["outputs"]],
    }


def _hand_out(home: "Home", ca: "Authority", name: str, certificate: Path, key: Path) -> Path:
    """Write what the subscriber is handed: CA, certificate, key, and the same as Kafka's Java clients read it."""
    from bal.durable import PUBLIC, SECRET, write_file
    from bal.publish.kafka.access import client_properties

    folder = _folder(home, name)
    for file, content, mode in (
        ("ca.crt", ca.certificate_path.read_bytes(), PUBLIC),
        (f"{name}.crt", certificate.read_bytes(), PUBLIC),
        (f"{name}.key", key.read_bytes(), SECRET),
        (f"{name}.pem", ca.keystore((certificate, key)), SECRET),
        ("kafka.properties", client_properties("ca.crt", f"{name}.pem", name).encode(), PUBLIC),
    ):
        write_file(folder / file, content, mode, replace=True)
    return folder
