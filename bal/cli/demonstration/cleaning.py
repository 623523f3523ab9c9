"""What a demonstration made on a stack is taken away again; the ledger keeps what it was given."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from bal.bootstrap.identities import tell_broker
from bal.bootstrap.kafka import kafka_access
from bal.config import load
from bal.core.errors import NotFound
from bal.home import Home
from bal.publish.kafka import certified_topic
from bal.publish.kafka.rights import KafkaAdministrator
from bal.stack.authority import revoke
from bal.stack.cassandra_guests import administrator
from bal.stack.stack import Stack
from bal.store.cassandra.session import Session


async def clean(
    stack: Stack, home: Home, guests: Sequence[str], others: Sequence[str], sources: Sequence[str]
) -> None:
    """Take keyspace and topics away, all rights of `guests`, and certificates and rights to read of `others`."""
    if not (home.path / "bal.toml").exists():
        return
    settings = load(home.path)
    for guest in guests:
        with suppress(NotFound):  # it had not come to that
            await asyncio.to_thread(stack.dismiss, guest)
    session = await Session.connect(administrator(stack.layout, stack.facts().ports["cassandra"]))
    try:
        await session.define(f"DROP KEYSPACE IF EXISTS {settings.cassandra.keyspace}")
    finally:
        await session.close()
    await asyncio.to_thread(_kafka, home, others, sources)
    await asyncio.to_thread(revoke, stack.layout, others)
    tell_broker(home)


def _kafka(home: Home, names: Sequence[str], sources: Sequence[str]) -> None:
    settings = kafka_access(load(home.path).kafka).administrator()
    if settings is not None:
        administrator = KafkaAdministrator(settings)
        administrator.remove_topics([certified_topic(source) for source in sources])
        administrator.deny([right for right in administrator.rights() if right.principal in names])
