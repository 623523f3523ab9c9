"""Who may do what in the Cassandra of a stack: its administrator, each BAL, each auditor."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from bal.core.errors import Misconfigured, Unavailable
from bal.core.names import check_name
from bal.durable import SECRET, make_directory, write_file
from bal.resources import resource
from bal.stack.authority import issued
from bal.stack.layout import Layout
from bal.stack.server import Guest
from bal.store.cassandra.access import CassandraAccess
from bal.store.cassandra.migrations import ONE_NODE, migrate
from bal.store.cassandra.roles import AUDITED, QUERIED, Roles
from bal.store.cassandra.session import Session

ADMIN: Final = "cassandra-admin"
"""Common name of the administrator's certificate."""
ADMIN_ROLE: Final = "bal_admin"
"""His role."""
_DEFAULT: Final = "cassandra"
"""Role and password of the superuser that Cassandra comes with."""
_HEALTH: Final = "bal_health"
_WRITER, _READER, _AUDITOR = "_writer", "_reader", "_auditor"
_KEYSPACE_LENGTH: Final = 48
_DIGEST_LENGTH: Final = 8


def keyspace_of(name: str) -> str:
    """Return the keyspace of a BAL; where Cassandra's limit on names cuts it, a digest tells it from its like."""
    keyspace = f"bal_{check_name(name).replace('-', '_')}"
    if len(keyspace) <= _KEYSPACE_LENGTH:
        return keyspace
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{keyspace[: _KEYSPACE_LENGTH - _DIGEST_LENGTH - 1]}_{digest}"


def administrator(layout: Layout, ports: Mapping[str, int]) -> CassandraAccess:
    """Return the administrator's access, on no keyspace."""
    return _access(layout, ports, ADMIN, ADMIN_ROLE)


async def prepared(layout: Layout, ports: Mapping[str, int]) -> None:
    """Put an administrator of our own in the place of the default one, and make the table that `health` writes."""
    access = administrator(layout, ports)
    try:
        session = await Session.connect(access)
    except Misconfigured:
        await _replace_default(layout, access)
        session = await Session.connect(access)
    try:
        roles = Roles(session)
        if await roles.may_login(_DEFAULT):
            await roles.disable(_DEFAULT)
        await session.define(f"CREATE KEYSPACE IF NOT EXISTS {_HEALTH} WITH replication = {ONE_NODE}")
        await session.define(
            f"CREATE TABLE IF NOT EXISTS {_HEALTH}.probes (id int PRIMARY KEY, word text) "
            "WITH default_time_to_live = 3600 AND gc_grace_seconds = 0"
        )
        await _probe(session)
    finally:
        await session.close()


async def health(layout: Layout, ports: Mapping[str, int]) -> None:
    """Write a row and read that very row. `Unavailable`."""
    session = await Session.connect(replace(administrator(layout, ports), request_seconds=5.0))
    try:
        await _probe(session)
    finally:
        await session.close()


async def admitted(layout: Layout, ports: Mapping[str, int], guest: Guest) -> dict[str, object]:
    """Make keyspace, roles and certificate of a guest; return his settings. Again is no harm."""
    keyspace = keyspace_of(guest.audits or guest.name)
    admin = administrator(layout, ports)
    session = await Session.connect(admin)
    try:
        roles = Roles(session)
        if guest.audits:
            if not await roles.knows_keyspace(keyspace):
                message = "there is nothing to audit yet: this BAL was not admitted"
                raise Unavailable(message, subject=guest.audits, remedy="admit it first")
            role = f"{keyspace_of(guest.name)}{_AUDITOR}"
            await _make(layout, roles, role)
            await roles.let_read(keyspace, AUDITED, role)
        else:
            await migrate(replace(admin, keyspace=keyspace), resource("scd") / "migrations", ONE_NODE)
            role = f"{keyspace}{_WRITER}"
            await _make(layout, roles, role)
            await roles.let_write(keyspace, role)
            reader = f"{keyspace}{_READER}"
            await _make(layout, roles, reader)
            await roles.let_read(keyspace, QUERIED, reader)
    finally:
        await session.close()
    access = _access(layout, ports, guest.name, role)
    return {
        "store": "cassandra",
        "cassandra": {
            "hosts": list(access.hosts),
            "port": access.port,
            "datacentre": access.datacentre,
            "keyspace": keyspace,
            "role": role,
            "password_file": str(access.password_file),
            "ca": str(access.ca),
            "certificate": str(access.certificate),
            "key": str(access.key),
            "server_name": access.server_name,
        },
    }


async def dismissed(layout: Layout, ports: Mapping[str, int], name: str) -> bool:
    """Drop the roles of a BAL or an auditor and forget their passwords; tell whether there were any."""
    found = False
    session = await Session.connect(administrator(layout, ports))
    try:
        roles = Roles(session)
        for ending in (_WRITER, _READER, _AUDITOR):
            role = f"{keyspace_of(name)}{ending}"
            found |= await roles.may_login(role)
            await roles.drop(role)
            _password_file(layout, role).unlink(missing_ok=True)
    finally:
        await session.close()
    return found


def _access(layout: Layout, ports: Mapping[str, int], identity: str, role: str) -> CassandraAccess:
    certificate, key = issued(layout, identity)
    return CassandraAccess(
        port=ports["cassandra"],
        keyspace="",
        role=role,
        password_file=_password_file(layout, role),
        ca=layout.pki / "ca.crt",
        certificate=certificate,
        key=key,
    )


def _password_file(layout: Layout, role: str) -> Path:
    return layout.clients / f"cassandra.{role}.password"


async def _make(layout: Layout, roles: Roles, role: str, *, superuser: bool = False) -> None:
    """Make a role with the password in its file, drawn on first use.

    The file is written last: where it is, the role has that password.
    """
    path = _password_file(layout, role)
    drawn = not path.exists()
    password = secrets.token_urlsafe(32) if drawn else path.read_text(encoding="ascii").strip()
    await roles.make(role, password, renew=drawn, superuser=superuser)
    if drawn:
        make_directory(layout.clients)
        write_file(path, f"{password}\n".encode(), SECRET)


async def _replace_default(layout: Layout, access: CassandraAccess) -> None:
    """Make the administrator by the role that Cassandra comes with."""
    beginning = layout.server("cassandra") / "beginning.password"
    write_file(beginning, _DEFAULT.encode(), SECRET, replace=True)
    try:
        session = await Session.connect(replace(access, role=_DEFAULT, password_file=beginning))
    finally:
        beginning.unlink(missing_ok=True)
    try:
        await _make(layout, Roles(session), ADMIN_ROLE, superuser=True)
    finally:
        await session.close()


async def _probe(session: Session) -> None:
    word = secrets.token_hex(16)
    number = secrets.randbelow(1 << 31)
    await session.write(f"INSERT INTO {_HEALTH}.probes (id, word) VALUES (?, ?)", (number, word))  # noqa: S608
    row = await session.one(f"SELECT word FROM {_HEALTH}.probes WHERE id = ?", (number,))  # noqa: S608
    if row is None or row[0] != word:
        message = "Cassandra does not give back what was written"
        raise Unavailable(message, subject="cassandra", remedy="look at its log")
