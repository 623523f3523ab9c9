"""Names of servers and of those who administer them: whoever bears one in a certificate may do everything there."""

import hashlib
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


_GATEWAY: Final = "-gateway"
_NAME_LENGTH: Final = 48
_DIGEST_LENGTH: Final = 8


def gateway_of(identity: str) -> str:
    """Return what the servers of a BAL itself are called in a certificate, where several BALs share a CA.

    Where the limit on names cuts its identity, a digest tells it from its like.
    """
    room = _NAME_LENGTH - len(_GATEWAY)
    if len(identity) > room:
        digest = hashlib.sha256(identity.encode()).hexdigest()[:_DIGEST_LENGTH]
        identity = f"{identity[: room - _DIGEST_LENGTH - 1]}-{digest}"
    return f"{identity}{_GATEWAY}"


def refuse_reserved(name: str) -> None:
    """Raise `Conflict` for a name that nobody else may bear."""
    if name in RESERVED:
        message = "this is the name of a server or of who administers it"
        raise Conflict(message, subject=name, remedy="choose another name")
