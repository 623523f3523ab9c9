"""What a demonstration made on a stack is taken away again; the ledger keeps what it was given."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from bal.core.errors import BalError, NotFound
from bal.publish.kafka import certified_topic, rejected_topic
from bal.publish.kafka.access import librdkafka
from bal.publish.kafka.rights import KafkaAdministrator
from bal.stack.authority import issued, revoke
from bal.stack.cassandra_guests import administrator, keyspace_of
from bal.stack.kafka import ADMIN
from bal.stack.stack import Stack
from bal.store.cassandra.session import Session


@dataclass(frozen=True, slots=True)
class Made:
    """Names under which a demonstration is known to the servers: by them it is found however far connecting came."""

    bal: str
    auditor: str
    others: Sequence[str]
    """Further identities with certificates."""
    sources: Sequence[str]


async def clean(stack: Stack, made: Made) -> list[str]:
    """Take keyspace, topics, rights and certificates away; return in words what could not be.

    One server that does not answer keeps no other from being cleaned.
    """
    others = (*made.others, *made.sources)
    topics = [rejected_topic(made.bal), *map(certified_topic, made.sources)]
    found = []
    works: tuple[tuple[str, Awaitable[object]], ...] = (
        # First: brokers are told of whoever is revoked when a guest is dismissed.
        ("certificates", asyncio.to_thread(revoke, stack.layout, others)),
        ("topics and their rights", asyncio.to_thread(_kafka, stack, others, topics)),
        (made.bal, asyncio.to_thread(stack.dismiss, made.bal)),
        (made.auditor, asyncio.to_thread(stack.dismiss, made.auditor)),
        ("keyspace", _keyspace(stack, keyspace_of(made.bal))),
    )
    for what, work in works:
        try:
            await work
        except NotFound:  # it had not come to that
            continue
        except BalError as error:
            found.append(f"{what}: {error.diagnostics()}")
    return found


async def _keyspace(stack: Stack, keyspace: str) -> None:
    session = await Session.connect(administrator(stack.layout, stack.facts().ports["cassandra"]))
    try:
        await session.define(f"DROP KEYSPACE IF EXISTS {keyspace}")
    finally:
        await session.close()


def _kafka(stack: Stack, names: Sequence[str], topics: Sequence[str]) -> None:
    servers = tuple(stack.facts().servers["kafka"]["servers"])
    access = librdkafka(servers, stack.layout.pki / "ca.crt", *issued(stack.layout, ADMIN))
    kafka = KafkaAdministrator(access)
    kafka.remove_topics(topics)
    kafka.deny([right for right in kafka.rights() if right.principal in names])
