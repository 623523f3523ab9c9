"""The pipeline over Cassandra and the embedded ledger: sent, opened again, sent again, audited."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from bal.bootstrap.reading import audit_home
from bal.bootstrap.writing import open_service
from bal.config import CassandraSettings, load
from bal.core.message import Receipt
from bal.core.source import Source
from bal.home import Home
from bal.stack.server import Guest
from tests.behaviour.stores import empty
from tests.cassandra_field import admitted, connected
from tests.faults.letters import SOURCES, letters
from tests.real import Real


async def send(home: Home, cassandra: CassandraSettings) -> list[Receipt]:
    """Run a service, submit every letter, let it end in order."""
    settings = load(home.create().path).model_copy(
        update={"store": "cassandra", "cassandra": cassandra, "workers": 0}
    )
    async with open_service(home, settings) as opened:
        await opened.service.start()
        for name in SOURCES:
            if opened.service.source(name) is None:
                await opened.service.register_source(Source(name=name, lane="bal-1"))
        found = await asyncio.gather(*(opened.service.submit(message) for message in letters()))
        await opened.service.close()
    return list(found)


async def test_what_was_sent_is_stored_once_and_proves(real: Real, tmp_path: Path, monkeypatch: Any) -> None:
    async with connected(admitted(real, "storing-bal")) as session:
        await empty(session)
    given = real.admit("cassandra", Guest("storing-bal", "dso"))["cassandra"]
    cassandra = CassandraSettings(**given)
    home = Home(tmp_path / "home")
    first = await send(home, cassandra)
    again = await send(home, cassandra)
    assert [each.ranges for each in again] == [each.ranges for each in first]
    assert all(each.known for each in again if each.accepted)
    monkeypatch.setenv("BAL_STORE", "cassandra")
    for name, value in given.items():
        monkeypatch.setenv(f"BAL_CASSANDRA__{name.upper()}", str(value).replace("'", '"'))
    report = await audit_home(home, None)
    assert list(report.findings) == []
    assert report.readings == sum(each.accepted for each in first)
    assert report.pending == 0
