"""Names of sources, logs, devices, subscribers and parties."""

from bal.core.errors import Malformed
from chaincode.names import is_name

__all__ = ["check_name", "is_name"]


def check_name(name: str, what: str = "name") -> str:
    """Return `name` when it fits `[a-z0-9][a-z0-9-]{0,47}`; raise `Malformed` otherwise.

    The grammar is what MQTT topics, Kafka topics, certificate common names, file names and addresses have in common.
    """
    if not is_name(name):
        message = f"this {what} is not allowed"
        raise Malformed(message, remedy="use 1 to 48 of a-z, 0-9 and '-', beginning with a letter or digit")
    return name
