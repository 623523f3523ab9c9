"""What the stack asks of each of its servers; one module a server."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bal.pki import refuse_reserved
from bal.stack.layout import Layout
from bal.stack.process import Process

Tell = Callable[[str], None]
"""Takes one line of progress for people."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A tool, or room, that is not there."""

    what: str
    """Such as `Go 1.24 or newer`."""
    found: str
    """Such as `go1.19`, empty when nothing was found."""
    remedy: str
    """The command that installs it, or what else to do."""


@dataclass(frozen=True, slots=True)
class Guest:
    """A BAL, or an auditor of one, that is to use the stack."""

    name: str
    """Its identity: common name of its certificate, begin of its role names. Grammar of names (`bal.core.names`)."""
    organisation: str
    """`dso`, `market` or `regulator`: whose Fabric identities and whose peer it uses."""
    audits: str = ""
    """Empty for one that runs a BAL; for an auditor the name of the guest whose database it reads."""

    def __post_init__(self) -> None:
        """Refuse the names of servers and administrators: `Conflict`."""
        refuse_reserved(self.name)


class Server(Protocol):
    """One server of the stack, made of one or more processes.

    Everything here is idempotent: what is done already is found done, fast. Blocking: called in threads.
    """

    name: str
    """`fabric`, `cassandra`, `kafka`, `mosquitto`: its folder, its key in the facts, its argument on the command line."""
    downloads: str
    """What `install` gets, from where and how much, for people: `Kafka 4.3.1 by Maven, 44 MB`."""
    disk: int
    """MiB that it takes installed, with what its build leaves and its first data."""
    memory: int
    """MiB that its processes take under load."""

    def missing(self) -> Sequence[Missing]:
        """Return what `install` and `start` need and is not there: tools, in their versions. Nothing is downloaded."""
        ...

    def is_installed(self, layout: Layout) -> bool:
        """Tell whether all of it, in the version asked for, lies in the cache."""
        ...

    def install(self, layout: Layout, tell: Tell) -> None:
        """Download and build into `layout.cache`; an interrupted one leaves nothing that counts as installed."""
        ...

    def port_names(self) -> Sequence[str]:
        """Return the names of the ports it listens on; chosen by the stack, the same at every start."""
        ...

    def processes(self, layout: Layout, ports: Mapping[str, int]) -> Sequence[Process]:
        """Return its processes in starting order."""
        ...

    def start(self, layout: Layout, ports: Mapping[str, int], tell: Tell) -> None:
        """Write its configuration, start what does not run, and make it ready for use.

        Returns once `check` is true. `Unavailable` names the process and shows the end of its log.
        """
        ...

    def check(self, layout: Layout, ports: Mapping[str, int]) -> str:
        """Do something real with it and return what, for people: `wrote and read a row`. `Unavailable` when it fails."""
        ...

    def facts(self, layout: Layout, ports: Mapping[str, int]) -> dict[str, object]:
        """Return what its users need: addresses, paths of certificates, names. No secret."""
        ...

    def admit(self, layout: Layout, ports: Mapping[str, int], guest: Guest) -> dict[str, object]:
        """Give a guest its identity and its rights here and nothing beyond; again is no harm.

        Returns what its `bal.toml` says of this server: top-level settings and tables as `bal.config.Settings` has
        them, paths absolute. Secrets are written to files of the stack and named by path.
        """
        ...

    def dismiss(self, layout: Layout, ports: Mapping[str, int], name: str) -> bool:
        """Take every right of a guest away here; tell whether it had any. What it wrote stays; again is no harm.

        Its certificates of the stack's CA are revoked by then; a connection that stands can do nothing a moment later.
        Raises `Unavailable` when that is not certain.
        """
        ...

    def stop(self, layout: Layout, ports: Mapping[str, int]) -> None:
        """Stop its processes cleanly, the last started first."""
        ...
