"""`bal subscribers`: who receives what is certified, on Kafka and by MQTT, and what was refused, on Kafka."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bal.cli.options import DEFAULT, HomeOption, JsonOption, home_at, print_json, print_table
from bal.core.errors import Malformed

if TYPE_CHECKING:
    from bal.cli.handout import Handout
    from bal.config import KafkaSettings, Settings
    from bal.core.source import Source
    from bal.home import Home
    from bal.pki import Authority

app = typer.Typer(help="Subscribers: their certificates, and what they may read.", no_args_is_help=True)
_FOLDER = "subscribers"


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name of the subscriber, its certificate's common name.")],
    source: Annotated[str | None, typer.Option(help="Source it may read.")] = None,
    point: Annotated[
        list[str] | None,
        typer.Option(help="Only this measuring point (pseudonym); may be repeated."),
    ] = None,
    meter: Annotated[
        list[str] | None,
        typer.Option(help="Only this meter, usage point or device, by its plain identifier."),
    ] = None,
    rejected: Annotated[
        bool,
        typer.Option("--rejected", help="What this BAL refused, of all sources: for the operator's own."),
    ] = False,
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Give a subscriber a certificate and the right to read a source, or single measuring points of it.

    With --rejected instead of --source: to read on Kafka what was refused and why, never bytes.
    """
    from bal.cli.control import check_in_force

    points, meters = list(point or ()), list(meter or ())
    if (source is None) != rejected or (rejected and (points or meters)):
        message = "a subscriber reads a source, or what was refused"
        raise Malformed(message, subject=name, remedy="give either --source or --rejected")
    if source is None:
        facts = asyncio.run(_add_reader(home_at(home), name))
    else:
        facts = asyncio.run(_add(home_at(home), name, source, points, meters))
    if as_json:
        print_json(facts)
        check_in_force(facts)
        return
    reads = "is to read" if facts["not_in_force"] else "reads"
    what = "what was refused" if source is None else source
    typer.echo(
        f"subscriber {name} {reads} {what}" + (f", {facts['points']} points" if facts["points"] else "")
    )
    for what in ("folder", "kafka", "mqtt"):
        for each in facts[what] if isinstance(facts[what], list) else [facts[what]]:
            typer.echo(f"{what} {each}")
    if source is not None and not facts["kafka"] and not facts["mqtt"]:
        typer.echo(f"nothing of {source} goes out yet: bal sources add {source} --output kafka", err=True)
    check_in_force(facts)


@app.command("list")
def list_subscribers(home: HomeOption = DEFAULT, as_json: JsonOption = False) -> None:
    """List subscribers and what each may read."""
    found = asyncio.run(_list(home_at(home)))
    if as_json:
        for each in found:
            print_json(each)
    else:
        headings = ["name", "source", "points", "certificate"]
        for each in found:
            each["source"] = each["source"] or "what was refused"
        print_table(headings, [[str(each[heading] or "all") for heading in headings] for each in found])


@app.command("remove")
def remove(
    name: Annotated[str, typer.Argument(help="Name of the subscriber.")],
    source: Annotated[
        str | None, typer.Option(help="Take only this source from it; its certificate stays.")
    ] = None,
    rejected: Annotated[
        bool, typer.Option("--rejected", help="Take only what was refused from it; its certificate stays.")
    ] = False,
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Take a subscriber's rights away and revoke its certificate, unless it also sends."""
    from bal.cli.control import check_in_force

    if source is not None and rejected:
        message = "one thing is taken at a time, or all"
        raise Malformed(message, subject=name, remedy="give --source, --rejected, or neither")
    facts = asyncio.run(_remove(home_at(home), name, source, only_rejected=rejected))
    if as_json:
        print_json(facts)
    else:
        revoked = ", certificate revoked" if facts["revoked"] else ""
        read = [*facts["sources"], *(["what was refused"] if facts["rejected"] else [])]
        reads = "is to read no longer" if facts["not_in_force"] else "reads no longer"
        typer.echo(f"subscriber {name} {reads}: {', '.join(read)}{revoked}")
    check_in_force(facts)


async def _add(home: "Home", name: str, source: str, points: list[str], meters: list[str]) -> dict[str, Any]:
    from bal.bootstrap.reading import open_reader
    from bal.config import load
    from bal.core.names import check_name

    check_name(name, "subscriber name")
    settings = load(home.path)
    async with open_reader(home) as reader:
        await reader.registered(source)
        sources = await reader.store.sources()
        points += [each for meter in meters for each in reader.pseudonyms(source, meter)]
    folder = await _identified(home, settings, name, sources)
    path = f"/sources/{source}/subscribers/{name}"
    answer = await _ask(home, "PUT", path, json={"points": points})
    facts = {"name": name, "source": source, "points": len(set(points)), "outputs": answer["outputs"]}
    told = _told(settings, facts)
    return {**facts, **told, "folder": folder, "not_in_force": answer["not_in_force"]}


async def _add_reader(home: "Home", name: str) -> dict[str, Any]:
    from bal.bootstrap.reading import open_reader
    from bal.config import load
    from bal.core.errors import Misconfigured
    from bal.core.names import check_name

    check_name(name, "subscriber name")
    settings = load(home.path)
    if not settings.kafka.servers or settings.kafka.certificate is None:
        message = "what was refused goes out by Kafka, and this home has none"
        raise Misconfigured(message, subject="kafka.servers", remedy="set it, or use `bal rejections`")
    async with open_reader(home) as reader:
        sources = await reader.store.sources()
    folder = await _identified(home, settings, name, sources)
    answer = await _ask(home, "PUT", f"/rejections/readers/{name}")
    facts = {"name": name, "source": None, "points": 0, **_told_of_refusals(settings.kafka)}
    return {**facts, "folder": folder, "not_in_force": answer["not_in_force"]}


async def _identified(home: "Home", settings: "Settings", name: str, sources: "list[Source]") -> str:
    """Give a subscriber its certificate; return the folder with what it is handed."""
    from bal.bootstrap.identities import authority, tell_broker

    handout = _handout(home, authority(home, settings), name)
    _refuse_others(settings, handout, sources)
    handout.write()
    await asyncio.to_thread(tell_broker, home)  # one that was revoked before has rights again
    return str(handout.folder)


async def _list(home: "Home") -> list[dict[str, Any]]:
    from datetime import UTC, datetime

    from bal.bootstrap.identities import authority
    from bal.bootstrap.reading import open_quarantine, open_reader
    from bal.config import load
    from bal.pki import Authority

    async with open_reader(home) as reader, open_quarantine(home) as quarantine:
        sources, readers = await reader.store.sources(), await quarantine.readers()
    settings, now = load(home.path), datetime.now(UTC)
    issued = authority(home, settings).list() if Authority.exists(settings.pki.path or home.pki) else []
    valid = {each.name for each in issued if each.valid(now)}
    found = [(name, "", 0) for name in readers]
    found += [(name, source.name, 0) for source in sources for name in source.readers]
    found += [
        (each.subscriber, source.name, len(each.points)) for source in sources for each in source.grants
    ]
    return [
        {
            "name": name,
            "source": source or None,
            "points": count or None,
            "rejected": not source,
            "certificate": "valid" if name in valid else "none",
        }
        for name, source, count in sorted(found)
    ]


async def _remove(home: "Home", name: str, source: str | None, *, only_rejected: bool) -> dict[str, Any]:
    from bal.bootstrap.identities import authority, tell_broker
    from bal.bootstrap.reading import open_quarantine, open_reader
    from bal.config import load
    from bal.core.errors import NotFound
    from bal.core.subscribing import reads

    settings = load(home.path)
    async with open_reader(home) as reader, open_quarantine(home) as quarantine:
        sources, told = await reader.store.sources(), name in await quarantine.readers()
    read = [each for each in sources if reads(each, name)]
    taken = [] if only_rejected else [each for each in read if source in {None, each.name}]
    untold = told and source is None
    handout = None
    if source is None and not only_rejected and (home.path / _FOLDER / name).exists():
        handout = _handout(home, authority(home, settings), name)
    revocable = handout is not None and handout.is_valid and not _is_other_identity(settings, name, sources)
    if not taken and not untold and not revocable:
        message = "it does not read this" if read or told else "there is no such subscriber"
        raise NotFound(message, subject=name, remedy="see them with `bal subscribers list`")
    paths = [f"/sources/{each.name}/subscribers/{name}" for each in taken]
    paths += [f"/rejections/readers/{name}"] if untold else []
    answers = [await _ask(home, "DELETE", path) for path in paths]
    revoked = []
    if handout is not None and revocable:
        revoked = [each.serial for each in handout.revoke()]
        await asyncio.to_thread(tell_broker, home)
    return {
        "name": name,
        "sources": [each.name for each in taken],
        "rejected": untold,
        "revoked": revoked,
        "not_in_force": answers[-1]["not_in_force"] if answers else {},
    }


async def _ask(home: "Home", method: str, path: str, **request: Any) -> dict[str, Any]:
    from bal.cli.control import ask, control

    async with control(home) as client:
        answer: dict[str, Any] = await ask(client, method, path, **request)
        return answer


def _handout(home: "Home", ca: "Authority", name: str) -> "Handout":
    from bal.cli.handout import Handout

    return Handout(home.path / _FOLDER / name, ca)


def _refuse_others(settings: "Settings", handout: "Handout", sources: "list[Source]") -> None:
    """Refuse a name whose certificate is somebody else's: its key would be handed out, and `remove` would revoke it."""
    from bal.core.errors import Conflict

    if _is_other_identity(settings, handout.name, sources):
        message = "this is the name of a source, of a sender or of the BAL itself"
        raise Conflict(message, subject=handout.name, remedy="choose another name for the subscriber")
    if handout.others():
        message = "the authority has issued a certificate of this name, and not to a subscriber of this BAL"
        remedy = "choose another name for the subscriber, or revoke that certificate if nobody needs it"
        raise Conflict(message, subject=handout.name, remedy=remedy)


def _is_other_identity(settings: "Settings", name: str, sources: "list[Source]") -> bool:
    """Tell whether a name sends, or is what this BAL itself goes by: its certificate is no subscriber's."""
    from bal.publish.kafka.access import principal_of

    kafka = settings.kafka
    certificates = (settings.mqtt.certificate, kafka.certificate, kafka.admin_certificate)
    own = {settings.mqtt.identity, *(principal_of(path) for path in certificates if path is not None)}
    return name in own or any(name == each.name or name in each.identities for each in sources)


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


def _told_of_refusals(kafka: "KafkaSettings") -> dict[str, Any]:
    from bal.bootstrap.kafka import kafka_access
    from bal.publish.kafka import rejected_topic

    return {
        "servers": list(kafka.servers),
        "kafka": [rejected_topic(kafka_access(kafka).principal)],
        "mqtt": [],
    }
