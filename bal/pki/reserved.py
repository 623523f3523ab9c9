"""Names of servers and of those who administer them: whoever bears one in a certificate may do everything there."""

from typing import Final

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
