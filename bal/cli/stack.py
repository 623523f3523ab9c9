"""`bal stack`: the real servers on this machine."""

import tempfile
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bal.cli.options import DEFAULT, HomeOption, JsonOption, home_at, print_json, print_table
from bal.config import CONFIG_FILE, STACK_VARIABLE, load
from bal.core.errors import EXIT_NO, EXIT_UNUSABLE, Malformed, NotFound

if TYPE_CHECKING:
    from bal.home import Home
    from bal.stack.facts import Facts
    from bal.stack.layout import Layout
    from bal.stack.server import Guest
    from bal.stack.stack import Stack

_SHOWN_PORTS = 4

app = typer.Typer(
    help="The real servers without containers: Fabric, Cassandra, Kafka, Mosquitto.", no_args_is_help=True
)

DirOption = Annotated[
    Path | None,
    typer.Option(
        "--dir",
        envvar=STACK_VARIABLE,
        help="Folder of the stack. Default: bal/stack in the user's data folder.",
    ),
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--only", help="A server: fabric, cassandra, kafka or mosquitto; may be given several times."
    ),
]


@app.callback()
def _quiet() -> None:
    # While a server comes up its drivers complain of every attempt.
    from bal.config import LogSettings
    from bal.log import configure

    configure(LogSettings(level="error", form="auto"))


@app.command("install")
def install(directory: DirOption = None, only: OnlyOption = None, as_json: JsonOption = False) -> None:
    """Download and build what is not in the cache yet; says first what that is. Needs no root."""
    stack = _stack(directory, only)
    stack.install(_tell)
    names = [server.name for server in stack.servers]
    cache = str(stack.layout.cache)
    print_json({"installed": names, "cache": cache}) if as_json else typer.echo(
        f"installed: {', '.join(names)}; in {cache}"
    )


@app.command("up")
def up(
    directory: DirOption = None,
    only: OnlyOption = None,
    port: Annotated[
        list[str] | None,
        typer.Option(
            "--port", metavar="NAME=PORT", help="A port of a server, such as kafka=9093; remembered."
        ),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw all data away first; asks.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Start what does not run; returns once every server has answered a real request."""
    stack = _stack(directory, only)
    ports = dict(map(_port, port or ()))
    if fresh and stack.facts().ports:
        names = ", ".join(server.name for server in stack.servers)
        if not yes:
            typer.confirm(f"Throw away the data of {names} in {stack.layout.path}?", abort=True, err=True)
        stack.down(_tell)
        stack.clear()
    begun = time.monotonic()
    facts = stack.up(_tell, ports)
    if as_json:
        print_json(_told(facts))
        return
    for name, numbers in facts.ports.items():
        shown = [f"{what} {number}" for what, number in list(numbers.items())[:_SHOWN_PORTS]]
        rest = len(numbers) - len(shown)
        typer.echo(f"{name}: port {', '.join(shown)}{f' and {rest} more' if rest else ''}")
    typer.echo(f"ready after {time.monotonic() - begun:.0f} s; all ports and addresses: {stack.layout.facts}")


@app.command("down")
def down(directory: DirOption = None, only: OnlyOption = None, as_json: JsonOption = False) -> None:
    """Stop the servers cleanly; data is kept and no process left."""
    stack = _stack(directory, only)
    stack.down(_tell)
    print_json({"running": []}) if as_json else typer.echo("stopped")


@app.command("status")
def status(directory: DirOption = None, only: OnlyOption = None, as_json: JsonOption = False) -> None:
    """Ask every server for something real. Exit code 0 when all of them answered, 2 otherwise."""
    stack = _started(directory, only)
    parts = stack.status()
    ok = all(part.ok for part in parts)
    if as_json:
        rows: list[dict[str, Any]] = [
            {"name": each.name, "ok": each.ok, "found": each.found, "processes": each.processes}
            for each in parts
        ]
        print_json({"ok": ok, "stack": str(stack.layout.path), "servers": rows})
    else:
        print_table(
            ["server", "", "processes", ""],
            [[each.name, "ok" if each.ok else "FAIL", _count(each.processes), each.found] for each in parts],
        )
    raise typer.Exit(0 if ok else EXIT_UNUSABLE)


@app.command("logs")
def logs(
    name: Annotated[str, typer.Argument(help="A server, or one of its processes.")],
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what is added.")] = False,
    directory: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the end of a server's log."""
    from bal.stack import logs as room

    layout = layout_at(directory)
    names = _processes(layout, name)
    found = (
        room.follow(layout, names, lines)
        if follow
        else ((each, line) for each in names for line in room.last_lines(layout, each, lines))
    )
    for process, line in found:
        if as_json:
            print_json({"process": process, "line": line})
        else:
            typer.echo(line if len(names) == 1 else f"{process}: {line}")


@app.command("doctor")
def doctor(directory: DirOption = None, only: OnlyOption = None, as_json: JsonOption = False) -> None:
    """Look at tools, disk, memory, ports, processes, certificates and clock. Exit code 1 when something is amiss."""
    from bal.stack.examination import examine

    amiss = False
    for each in examine(_stack(directory, only)):
        amiss = amiss or not each.ok
        print_json(each._asdict()) if as_json else typer.echo(
            f"{'ok  ' if each.ok else 'FAIL'} {each.what}: {each.found}"
        )
    raise typer.Exit(EXIT_NO if amiss else 0)


@app.command("connect")
def connect(
    name: Annotated[str, typer.Option("--name", help="Identity of this BAL, or auditor, at the servers.")],
    organisation: Annotated[
        str, typer.Option("--organisation", help="dso, market or regulator: whose Fabric identity and peer.")
    ] = "dso",
    auditor_of: Annotated[
        str,
        typer.Option(
            "--auditor-of", metavar="NAME", help="Admit an auditor of this BAL: reads, never writes."
        ),
    ] = "",
    directory: DirOption = None,
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Give a home its identity and its rights at every server, and write them into its bal.toml."""
    from bal.core.names import check_name
    from bal.stack.server import Guest

    stack = _started(directory, None)
    check_name(name)
    if auditor_of:
        check_name(auditor_of)
    if organisation not in {"dso", "market", "regulator"}:
        message = "there is no such organisation"
        raise Malformed(message, subject=organisation, remedy="choose dso, market or regulator")
    path = write_connected(stack, Guest(name, organisation, auditor_of), home_at(home))
    print_json({"settings": str(path)}) if as_json else typer.echo(
        f"wrote {path}; see it with `bal config show`"
    )


@app.command("disconnect")
def disconnect(
    name: Annotated[str, typer.Argument(help="Identity of the BAL, or auditor, as it was connected.")],
    directory: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take all rights of a BAL or an auditor away at every server. What it stored and anchored stays."""
    from bal.core.names import check_name

    stack = _started(directory, None)
    stack.dismiss(check_name(name))
    servers = [server.name for server in stack.servers]
    print_json({"disconnected": name, "servers": servers}) if as_json else typer.echo(
        f"{name} has no rights left at {', '.join(servers)}; what it stored and anchored stays"
    )


def write_connected(stack: "Stack", guest: "Guest", home: "Home") -> Path:
    """Admit a guest at every server of a stack and write what it got into the `bal.toml` of its home; return that."""
    settings = stack.admit(guest)
    # On one ledger no two BALs may call a log the same; an auditor is told which he has to find.
    settings = {"lanes": [f"{(guest.audits or guest.name)[:40]}-1"], **settings}
    if not guest.audits:
        own = {"outputs": ["kafka"] if "kafka" in settings else ["jsonl"]}
        settings = {**own, "pki": {"path": str(stack.layout.pki)}, **settings}
    return _write_settings(home.create().path, settings)


def layout_at(directory: Path | None) -> "Layout":
    """Return the layout of the stack in a folder, by default the user's."""
    from bal.stack.layout import Layout, cache_path, default_stack

    return Layout((directory or default_stack()).expanduser().absolute(), cache_path())


def _stack(directory: Path | None, only: list[str] | None) -> "Stack":
    from bal.stack.servers import servers
    from bal.stack.stack import Stack

    return Stack(layout_at(directory), servers(only or ()))


def _started(directory: Path | None, only: list[str] | None) -> "Stack":
    """Return the stack with those of its servers that were ever started."""
    from bal.stack.facts import Facts

    layout = layout_at(directory)
    known = list(Facts.read(layout).ports)
    if not known:
        message = "there is no stack in this folder"
        raise NotFound(
            message, subject=layout.path.name, remedy="`bal stack up`, or name its folder with --dir"
        )
    return _stack(directory, only or known)


def _processes(layout: "Layout", name: str) -> list[str]:
    """Return the processes that a server's, or a process's, name means."""
    from bal.stack.facts import Facts
    from bal.stack.logs import check_process
    from bal.stack.servers import SERVERS, server

    ports = Facts.read(layout).ports
    if name not in SERVERS or name not in ports:
        return [check_process(layout, name)]
    return [each.name for each in server(name).processes(layout, ports[name])]


def _write_settings(home: Path, settings: dict[str, Any]) -> Path:
    """Put settings into the `bal.toml` of a home, over what it says of the same; an unfit result is not written.

    What is written anew keeps no comments: the file as it was is kept beside it, unless it said the same.
    """
    from bal.durable import SECRET, write_file
    from bal.stack.toml import merged, written

    path = home / CONFIG_FILE
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if before:
        load(home)
    old = tomllib.loads(before)
    after = merged(old, settings)
    text = written(after)
    with tempfile.TemporaryDirectory() as trial:
        (Path(trial) / CONFIG_FILE).write_text(text, encoding="utf-8")
        load(Path(trial))
    if after != old:
        if before:
            write_file(path.with_suffix(".toml.old"), before.encode(), SECRET, replace=True)
        write_file(path, text.encode(), SECRET, replace=True)
    return path


def _port(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not number.isdecimal() or not 0 < int(number) < 65_536:
        message = "this is no port"
        raise Malformed(message, subject=text, remedy="write it as kafka=9093")
    return name, int(number)


def _count(processes: dict[str, int | None]) -> str:
    running = sum(pid is not None for pid in processes.values())
    return str(running) if running == len(processes) else f"{running} of {len(processes)}"


def _told(facts: "Facts") -> dict[str, Any]:
    return {"ports": facts.ports, "servers": facts.servers}


def _tell(line: str) -> None:
    typer.echo(line, err=True)
