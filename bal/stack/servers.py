"""Which servers a stack has; each is imported when it is asked for."""

from collections.abc import Iterable
from importlib import import_module
from typing import Final, cast

from bal.core.errors import Misconfigured, NotFound
from bal.stack.server import Server

SERVERS: Final = {
    "mosquitto": ("bal.stack.mosquitto", "Mosquitto"),
    "cassandra": ("bal.stack.cassandra", "Cassandra"),
    "kafka": ("bal.stack.kafka", "Kafka"),
    "fabric": ("bal.stack.fabric", "Fabric"),
}
"""Name of a server to its module and class: a driver that is not installed stops only those who need it."""


def server(name: str) -> Server:
    """Return a server by its name. Raises `NotFound`, `Misconfigured` where a library it needs is not installed."""
    try:
        module, noun = SERVERS[name]
    except KeyError:
        message = "a stack has no such server"
        raise NotFound(message, subject=name, remedy=f"choose among {', '.join(SERVERS)}") from None
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        message = f"the Python library {error.name} is not installed"
        raise Misconfigured(message, subject=name, remedy="pip install 'bal[stack]'") from error
    return cast("Server", getattr(found, noun)())


def servers(names: Iterable[str] = ()) -> list[Server]:
    """Return the servers of these names, all of them when none is named, in the order of `SERVERS`."""
    wanted = set(names) or set(SERVERS)
    for name in sorted(wanted - set(SERVERS)):
        server(name)
    return [server(name) for name in SERVERS if name in wanted]
