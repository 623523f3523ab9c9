"""What a demonstration made on a stack is taken away again; the ledger keeps what it was given."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from bal.bootstrap.identities import tell_broker
from bal.bootstrap.kafka import kafka_access
from bal.config import load
from bal.home import Home
from bal.ingest import BrokerRights
from bal.publish.kafka import certified_topic
from bal.publish.kafka.rights import KafkaAdministrator
from bal.stack.authority import authority
from bal.stack.cassandra_guests import administrator
from bal.stack.stack import Stack
from bal.store.cassandra.session import Session


async def clean(
    stack: Stack, home: Home, auditor: Path, names: Sequence[str], sources: Sequence[str]
) -> None:
    """Take keyspace and roles, topics and rights, and the certificates of `names` away."""
    if not (home.path / "bal.toml").exists():
        return
    settings = load(home.path)
    ports = stack.facts().ports["cassandra"]
    session = await Session.connect(administrator(stack.layout, ports))
    keyspace = settings.cassandra.keyspace
    roles = [settings.cassandra.role, f"{keyspace}_reader"]
    if (auditor / "bal.toml").exists():
        roles.append(load(auditor).cassandra.role)
    try:
        await session.define(f"DROP KEYSPACE IF EXISTS {keyspace}")
        for role in roles:
            await session.define(f"DROP ROLE IF EXISTS {role}")
            (stack.layout.clients / f"cassandra.{role}.password").unlink(missing_ok=True)
    finally:
        await session.close()
    if settings.mqtt.rights is not None:
        await BrokerRights(settings.mqtt.rights, settings.mqtt.identity).grant([])
    await asyncio.to_thread(_kafka, home, names, sources)
    await asyncio.to_thread(_certificates, stack, home, names)


def _kafka(home: Home, names: Sequence[str], sources: Sequence[str]) -> None:
    settings = kafka_access(load(home.path).kafka).administrator()
    if settings is not None:
        administrator = KafkaAdministrator(settings)
        administrator.remove_topics([certified_topic(source) for source in sources])
        administrator.deny([right for right in administrator.rights() if right.principal in names])


def _certificates(stack: Stack, home: Home, names: Sequence[str]) -> None:
    with authority(stack.layout) as ca:
        issued = {each.name for each in ca.list()}
        for name in names:
            if name in issued:
                ca.revoke(name)
                for path in (*ca.client_paths(name), *ca.paths_of_server(name)):
                    path.unlink(missing_ok=True)
    tell_broker(home)
