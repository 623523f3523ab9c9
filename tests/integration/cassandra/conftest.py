"""A session on a keyspace of the real Cassandra with a table to play with."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bal.store.cassandra.session import Session
from tests.cassandra_field import admin, admitted, connected
from tests.real import Real

TABLE = (
    "CREATE TABLE IF NOT EXISTS notes (page text, line int, text text, PRIMARY KEY (page, line))"
    " WITH gc_grace_seconds = 60"
)


@pytest.fixture
async def session(real: Real) -> AsyncIterator[Session]:
    writer = admitted(real, "playing-bal")
    async with connected(replace(admin(real), keyspace=writer.keyspace)) as administrator:
        await administrator.define(TABLE)
        await administrator.define("TRUNCATE notes")
    async with connected(writer) as playing:
        yield playing
