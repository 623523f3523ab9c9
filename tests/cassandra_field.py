"""The real Cassandra as tests use it: accesses of guests, of the administrator, of people without rights."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from bal.stack.cassandra_guests import administrator
from bal.stack.server import Guest
from bal.store.cassandra.access import CassandraAccess
from bal.store.cassandra.session import Session
from tests.patience import PATIENCE
from tests.real import Real

_PATHS = ("password_file", "ca", "certificate", "key")


_admitted: dict[tuple[object, ...], CassandraAccess] = {}


def admitted(real: Real, name: str, *, audits: str = "") -> CassandraAccess:
    """Return the access of a BAL, or of an auditor of one; admitted once to each run of the server."""
    (process,) = real.server("cassandra").processes(real.layout, real.ports("cassandra"))
    key = real.layout.path, process.pid, name, audits
    if key not in _admitted:
        settings: dict[str, Any] = real.admit("cassandra", Guest(name, "dso", audits))["cassandra"]
        values = {each.name: settings[each.name] for each in fields(CassandraAccess) if each.name in settings}
        values |= {each: Path(values[each]) for each in _PATHS} | {"hosts": tuple(values["hosts"])}
        _admitted[key] = CassandraAccess(**values, request_seconds=PATIENCE)
    return _admitted[key]


def reader(real: Real, bal: CassandraAccess) -> CassandraAccess:
    """Return the access of who may only query what a BAL has stored."""
    role = f"{bal.keyspace}_reader"
    return replace(bal, role=role, password_file=real.layout.clients / f"cassandra.{role}.password")


def admin(real: Real) -> CassandraAccess:
    """Return the access of the administrator, on no keyspace."""
    return replace(administrator(real.layout, real.ports("cassandra")), request_seconds=PATIENCE)


@asynccontextmanager
async def connected(access: CassandraAccess) -> AsyncIterator[Session]:
    """Yield a session and close it."""
    session = await Session.connect(access)
    try:
        yield session
    finally:
        await session.close()
