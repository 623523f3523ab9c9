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
    from bal.bootstrap.identities import authority
    from bal.bootstrap.reading import open_reader
    from bal.config import load
    from bal.core.errors import Conflict
    from bal.core.names import check_name

    check_name(name, "subscriber name")
    settings = load(home.path)
    async with open_reader(home) as reader:
        registered = await reader.registered(source)
        sources = await reader.store.sources()
        points += [each for meter in meters for each in reader.pseudonyms(source, meter)]
    if _is_other_identity(settings, name, sources):
        message = "this is the name of a source, of a sender or of the BAL itself"
        raise Conflict(message, subject=name, remedy="choose another name for the subscriber")
    ca = authority(home, settings)
    certificate, key = _certificate(ca, name)
    answer = await _register(home, _with(registered, name, points))
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
    from bal.bootstrap.identities import authority
    from bal.bootstrap.reading import open_reader
    from bal.config import load
    from bal.core.errors import NotFound

    settings = load(home.path)
    async with open_reader(home) as reader:
        sources = await reader.store.sources()
    reads = [each for each in sources if _reads(each, name)]
    taken = [each for each in reads if source in {None, each.name}]
    if not taken:
        message = "there is no such subscriber" if not reads else "it does not read this source"
        raise NotFound(message, subject=name, remedy="see them with `bal subscribers list`")
    for each in taken:
        await _register(home, _without(each, name))
    revoked = []
    if source is None and not _is_other_identity(settings, name, sources):
        ca = authority(home, settings)
        if any(each.name == name and each.revoked_at is None for each in ca.list()):
            revoked = [each.serial for each in ca.revoke(name)]
    return {"name": name, "sources": [each.name for each in taken], "revoked": revoked}


def _reads(source: "Source", name: str) -> bool:
    return name in source.readers or any(grant.subscriber == name for grant in source.grants)


def _with(source: "Source", name: str, points: list[str]) -> dict[str, Any]:
    """Return the change of a registration that lets a subscriber read points of it, or all of it."""
    from bal.core.errors import Conflict

    grants = {grant.subscriber: grant.points for grant in source.grants}
    if not points:
        grants.pop(name, None)
        readers = sorted({*source.readers, name})
    elif name in source.readers:
        message = "this subscriber reads the whole source already"
        raise Conflict(
            message, subject=name, remedy=f"first: bal subscribers remove {name} --source {source.name}"
        )
    else:
        grants[name] = (*grants.get(name, ()), *points)
        readers = list(source.readers)
    return _change(source.name, readers, grants)


def _without(source: "Source", name: str) -> dict[str, Any]:
    grants = {grant.subscriber: grant.points for grant in source.grants if grant.subscriber != name}
    return _change(source.name, [each for each in source.readers if each != name], grants)


def _change(source: str, readers: list[str], grants: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    given = [{"subscriber": name, "points": list(points)} for name, points in sorted(grants.items())]
    return {"name": source, "readers": readers, "grants": given}


async def _register(home: "Home", body: dict[str, Any]) -> dict[str, Any]:
    from bal.cli.control import ask, control

    async with control(home) as client:
        answer: dict[str, Any] = await ask(client, "POST", "/sources", json=body)
        return answer


def _is_other_identity(settings: "Settings", name: str, sources: "list[Source]") -> bool:
    """Tell whether a name sends, or is what this BAL itself goes by: its certificate is no subscriber's."""
    own = {settings.mqtt.identity}
    for path in (settings.kafka.certificate, settings.kafka.admin_certificate):
        own |= set() if path is None else {path.stem}
    return name in own or any(name == each.name or name in each.identities for each in sources)


def _certificate(ca: "Authority", name: str) -> tuple[Path, Path]:
    """Return certificate and key of a subscriber: those it has while they are valid, else new ones."""
    from datetime import UTC, datetime

    paths = ca.client_paths(name)
    now = datetime.now(UTC)
    if any(each.name == name and each.kind == "client" and each.valid(now) for each in ca.list()):
        return paths
    return ca.issue_client(name)


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
    from bal.durable import PUBLIC, SECRET, make_directory, write_file
    from bal.publish.kafka.access import client_properties

    folder = home.path / _FOLDER / name
    make_directory(folder)
    for file, content, mode in (
        ("ca.crt", ca.certificate_path.read_bytes(), PUBLIC),
        (f"{name}.crt", certificate.read_bytes(), PUBLIC),
        (f"{name}.key", key.read_bytes(), SECRET),
        (f"{name}.pem", ca.keystore((certificate, key)), SECRET),
        ("kafka.properties", client_properties("ca.crt", f"{name}.pem", name).encode(), PUBLIC),
    ):
        write_file(folder / file, content, mode, replace=True)
    return folder
