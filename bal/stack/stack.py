"""A stack: its servers started together, asked together, stopped together."""

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from bal.core.errors import BalError, Misconfigured, NotFound, Unavailable
from bal.durable import make_directory
from bal.pki import refuse_reserved
from bal.stack import guests, left, room
from bal.stack.authority import prepare, refuse_strangers, revoke
from bal.stack.download import installing
from bal.stack.facts import Facts
from bal.stack.layout import Layout
from bal.stack.ports import choose, is_free
from bal.stack.server import Guest, Missing, Server, Tell
from bal.stack.servers import SERVERS
from bal.stack.toml import merged

_SHARED: Final = ("pki", "clients", "guests", "logs", "run")
"""What belongs to no single server and is thrown away with all of them."""


@dataclass(frozen=True, slots=True)
class Part:
    """What became of asking one server for something real."""

    name: str
    ok: bool
    found: str
    processes: dict[str, int | None]
    """Name of a process to its id, None when it does not run."""


class Stack:
    """The servers of one folder. One process at a time starts or stops them. Blocking."""

    def __init__(self, layout: Layout, servers: Sequence[Server]) -> None:
        self.layout = layout
        self.servers = tuple(servers)

    def facts(self) -> Facts:
        """Return what runs where."""
        return Facts.read(self.layout)

    def at_rest(self) -> list[Server]:
        """Return the servers of which no process runs."""
        ports = self.facts().ports
        return [server for server in self.servers if not self._runs(server, ports.get(server.name))]

    def to_install(self) -> list[Server]:
        """Return the servers that are not in the cache yet."""
        return [server for server in self.servers if not server.is_installed(self.layout)]

    def install(self, tell: Tell) -> None:
        """Bring what is not there into the cache, several servers at a time; say first what that is.

        Raises `Misconfigured` before any download when a tool or room is missing, `Unavailable` for the first server that failed,
        once all have ended: those that succeeded stay.
        """
        with installing(self.layout.cache, tell):
            waiting = self.to_install()
            lacks = [each for server in waiting for each in server.missing()]
            full = room.disk(waiting, self.layout.cache)
            _refuse_lacking([*lacks, *([full] if full else [])])
            for server in waiting:
                tell(f"{server.name}: to get: {server.downloads}")
            _all(waiting, lambda server: server.install(self.layout, _named(server, tell)))

    def up(self, tell: Tell, ports: Mapping[str, int] | None = None) -> Facts:
        """Start what does not run and return once every server answered a real request.

        Where one fails, what this call started is stopped again and the error names that one. Ports are remembered.
        """
        for server in self.to_install():
            message = "this server is not installed"
            raise NotFound(message, subject=server.name, remedy="`bal stack install`")
        self._refuse_strange_folder()
        with self._lock():
            facts = self.facts()
            wanted = {server.name: list(server.port_names()) for server in self.servers}
            chosen = choose(self.layout.path, wanted, facts.ports, ports or {})
            self._refuse_moving(facts, chosen)
            self._refuse_taken(chosen)
            Facts(chosen, facts.servers).write(self.layout)
            prepare(self.layout)
            before = self._running(chosen)
            short = room.memory(self.at_rest())
            if short:
                tell(
                    f"{short.what} wanted, {short.found}: servers may be slow or be ended by the kernel; {short.remedy}"
                )
            try:
                _all(
                    self.servers,
                    lambda server: self._start(server, chosen[server.name], _named(server, tell)),
                    lambda: self._undo(chosen, before),
                )
            except BaseException:
                self._undo(chosen, before)  # what others started before they noticed
                raise
            told = {server.name: server.facts(self.layout, chosen[server.name]) for server in self.servers}
            facts = Facts(chosen, {**facts.servers, **told})
            facts.write(self.layout)
            return facts

    def down(self, tell: Tell) -> None:
        """Stop the servers cleanly, data kept; nothing to do where no stack is. Raises `Unavailable` when a process is left even then."""
        if not self.layout.facts.exists():  # before the lock: a folder of something else is not touched
            return
        with self._lock():
            ports = self.facts().ports
            known = [server for server in reversed(self.servers) if server.name in ports]
            everything = set(ports) <= {server.name for server in self.servers}
            if everything:  # pid files tell more than servers do: there may be some of another release
                processes = left.named(self.layout)
            else:
                processes = [
                    each for server in known for each in server.processes(self.layout, ports[server.name])
                ]
            sessions = [process.pid for process in processes if process.pid is not None]
            try:
                _all(known, lambda server: self._stop(server, ports[server.name], tell))
            except BalError as error:
                tell(f"{error.diagnostics()}; ending its processes by their ids")
            for process in reversed(processes):
                process.stop()
            remaining = left.end(sessions)
            if remaining:
                message = f"these processes do not end: {', '.join(map(str, remaining))}"
                raise Unavailable(message, subject="stack", remedy="look at them with ps")

    def status(self) -> list[Part]:
        """Ask every server for something real, all at a time."""
        ports = self.facts().ports
        with ThreadPoolExecutor(max(1, len(self.servers))) as pool:
            return list(pool.map(lambda server: self._part(server, ports.get(server.name)), self.servers))

    def admit(self, guest: Guest) -> dict[str, Any]:
        """Admit a guest everywhere; return its settings of all servers together. `Conflict` for a name that is another's."""
        ports = self._all_ports()
        if guests.state(self.layout, guest.name) != "admitted":
            refuse_strangers(self.layout, guest.name)
            guests.note(self.layout, guest.name, "admitted")
        settings: dict[str, Any] = {}
        for server in self.servers:
            settings = merged(settings, server.admit(self.layout, ports[server.name], guest))
        return settings

    def dismiss(self, name: str) -> None:
        """Take every right of a guest away everywhere; what it wrote stays.

        One server that fails stops no other: its error is raised in the end, and the next call goes on from there.
        Nothing is done of one that was dismissed: whoever is called so since is another.
        Raises `NotFound` where nobody of this name was ever admitted, `Conflict` for the name of a server.
        """
        refuse_reserved(name)
        ports = self._all_ports()
        match guests.state(self.layout, name):
            case None:
                message = "nobody of this name was admitted"
                raise NotFound(message, subject=name, remedy="name it as it was connected")
            case "admitted":
                revoke(self.layout, [name])
                _all(
                    self.servers,
                    lambda server: server.dismiss(self.layout, ports[server.name], name),
                )
                guests.note(self.layout, name, "dismissed")

    def clear(self) -> None:
        """Throw the data of the servers away; with all of them the CA and every guest's secrets. Ports are kept.

        Where no stack is, nothing is thrown away: folders of these names are somebody else's.
        """
        if not self.layout.facts.exists():
            return
        with self._lock():
            running = [name for name, pid in self._running(self.facts().ports).items() if pid is not None]
            if running:
                message = "what runs is not thrown away"
                raise Unavailable(message, subject=running[0], remedy="`bal stack down` first")
            names = {server.name for server in self.servers}
            if set(self.facts().ports) <= names:
                names |= set(_SHARED)
            gone = [path for path in map(self.layout.server, sorted(names)) if path.exists()]
            for path in gone:
                shutil.rmtree(path)

    def _all_ports(self) -> Mapping[str, Mapping[str, int]]:
        """Return the ports of the servers. Raises `NotFound` for one that was never started."""
        ports = self.facts().ports
        for server in self.servers:
            if server.name not in ports:
                message = "this server was never started here"
                raise NotFound(message, subject=server.name, remedy="`bal stack up`")
        return ports

    @contextmanager
    def _lock(self) -> Iterator[None]:
        make_directory(self.layout.path)
        with (self.layout.path / "lock").open("a", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                message = "another command starts or stops this stack"
                raise Unavailable(
                    message, subject=self.layout.path.name, remedy="wait for it to end"
                ) from None
            yield

    def _running(self, ports: Mapping[str, Mapping[str, int]]) -> dict[str, int | None]:
        """Return the process ids, by process."""
        return {
            process.name: process.pid
            for server in self.servers
            if server.name in ports
            for process in server.processes(self.layout, ports[server.name])
        }

    def _runs(self, server: Server, ports: Mapping[str, int] | None) -> bool:
        """Tell whether any process of a server runs on these ports, None for one that was never started."""
        return ports is not None and any(process.pid for process in server.processes(self.layout, ports))

    def _refuse_strange_folder(self) -> None:
        """Refuse a folder of something else: it would be closed to others and filled."""
        if self.layout.facts.exists() or not self.layout.path.is_dir():
            return
        known = {*SERVERS, *(server.name for server in self.servers), *_SHARED, "lock", "pki.lock"}
        strange = sorted(path.name for path in self.layout.path.iterdir() if path.name not in known)
        if strange:
            message = f"this folder holds something else ({', '.join(strange[:3])})"
            raise Misconfigured(message, subject=self.layout.path.name, remedy="name an empty one with --dir")

    def _refuse_moving(self, facts: Facts, chosen: Mapping[str, Mapping[str, int]]) -> None:
        """Refuse another port for a server that runs on its present one."""
        for server in self.servers:
            present = facts.ports.get(server.name)
            if present is None or present == chosen[server.name]:
                continue
            if self._runs(server, present):
                message = "it runs on other ports"
                raise Unavailable(message, subject=server.name, remedy="`bal stack down` first")

    def _refuse_taken(self, chosen: Mapping[str, Mapping[str, int]]) -> None:
        """Name a port that somebody else listens on, before a server fails on it in its own words."""
        for server in self.servers:
            if self._runs(server, chosen[server.name]):
                continue
            for name, port in chosen[server.name].items():
                if not is_free(port):
                    message = f"port {port} is taken by another program"
                    raise Unavailable(message, subject=name, remedy=f"end it, or `--port {name}=PORT`")

    def _undo(self, ports: Mapping[str, Mapping[str, int]], before: Mapping[str, int | None]) -> None:
        """Stop what runs now and did not run before."""
        for server in reversed(self.servers):
            for process in reversed(server.processes(self.layout, ports[server.name])):
                pid = process.pid
                if pid is not None and before.get(process.name) != pid:
                    process.stop()
                    left.end([pid])

    def _start(self, server: Server, ports: Mapping[str, int], tell: Tell) -> None:
        begun = time.monotonic()
        runs = all(process.pid for process in server.processes(self.layout, ports))
        server.start(self.layout, ports, tell)
        if not runs:
            tell(f"ready after {time.monotonic() - begun:.0f} s")

    def _stop(self, server: Server, ports: Mapping[str, int], tell: Tell) -> None:
        ran = self._runs(server, ports)
        server.stop(self.layout, ports)
        for process in reversed(server.processes(self.layout, ports)):
            process.stop()
        if ran:
            tell(f"{server.name}: stopped")

    def _part(self, server: Server, ports: Mapping[str, int] | None) -> Part:
        if ports is None:
            return Part(server.name, ok=False, found="never started here", processes={})
        processes = {each.name: each.pid for each in server.processes(self.layout, ports)}
        dead = [name for name, pid in processes.items() if pid is None]
        if dead:
            return Part(server.name, ok=False, found=f"not running: {', '.join(dead)}", processes=processes)
        try:
            found = server.check(self.layout, ports)
        except BalError as error:
            return Part(server.name, ok=False, found=error.diagnostics(), processes=processes)
        except Exception as error:  # noqa: BLE001 - one server's surprise does not hide the others
            found = f"{type(error).__name__}: {str(error)[:200]}"
            return Part(server.name, ok=False, found=found, processes=processes)
        return Part(server.name, ok=True, found=found, processes=processes)


def _all(
    servers: Sequence[Server], work: Callable[[Server], object], failed: Callable[[], None] | None = None
) -> None:
    """Do the same with several servers at a time; raise the first error once all have ended.

    `failed` is called at the first error, or interruption, so that the others need not go on.
    """
    first: BaseException | None = None
    with ThreadPoolExecutor(max(1, len(servers))) as pool:
        try:
            for done in as_completed([pool.submit(work, server) for server in servers]):
                error = done.exception()
                if error is not None and first is None:
                    first = error
                    if failed is not None:
                        failed()
        except KeyboardInterrupt:
            if failed is not None:
                failed()
            raise
    if first is not None:
        raise first


def _refuse_lacking(lacks: Sequence[Missing]) -> None:
    if lacks:
        each = [f"{lack.what} ({lack.found or 'not found'}): {lack.remedy}" for lack in dict.fromkeys(lacks)]
        message = "this is missing: " + "; ".join(each)
        raise Misconfigured(
            message,
            subject="stack",
            remedy="get it, or name other servers with --only; nothing was downloaded",
        )


def _named(server: Server, tell: Tell) -> Tell:
    """Return a `tell` whose lines begin with the server's name, however the server begins them."""

    def named(line: str) -> None:
        tell(line if line.startswith(server.name) else f"{server.name}: {line}")

    return named
