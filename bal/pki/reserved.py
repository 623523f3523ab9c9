"""Names of servers and of those who administer them: whoever bears one in a certificate may do everything there."""

from typing import Final

from bal.core.errors import Conflict

RESERVED: Final = frozenset(
    {
        "server",
        "cassandra-node",
        "cassandra-admin",
        "kafka-broker",
        "kafka-admin",
        "mosquitto",
        "mosquitto-check",
    }
)
"""Of the stack's servers, whether or not they have a certificate yet."""


def refuse_reserved(name: str) -> None:
    """Raise `Conflict` for a name that nobody else may bear."""
    if name in RESERVED:
        message = "this is the name of a server or of who administers it"
        raise Conflict(message, subject=name, remedy="choose another name")
