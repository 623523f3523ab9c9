"""Roles of least privilege in one Cassandra: who may log in, who may read or write which keyspace."""

import re
import secrets
from collections.abc import Iterable
from typing import Final

from bal.core.errors import Malformed
from bal.store.cassandra.session import Session

QUERIED: Final = (
    *("migrations", "lanes", "sources", "chunks", "batches", "marks", "tiles", "erased", "readings"),
    *("point_eras", "source_eras", "source_slots", "slot_tiles"),
)
"""Tables that queries and certificates read; rights on parts of a table there are none, so salts come with entries."""
AUDITED: Final = (*QUERIED, "erasures")
"""Tables that an audit reads: also where the notes of erasures stand."""
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_CAN_LOGIN: Final = "SELECT can_login FROM system_auth.roles WHERE role = ?"
_KEYSPACE: Final = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?"


class Roles:
    """The roles, changed by a superuser's session. Everything here may be done again."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def may_login(self, role: str) -> bool:
        """Tell whether there is such a role and it may log in."""
        row = await self._session.one(_CAN_LOGIN, (role,))
        return row is not None and bool(row[0])

    async def knows_keyspace(self, keyspace: str) -> bool:
        """Tell whether there is such a keyspace."""
        return await self._session.one(_KEYSPACE, (keyspace,)) is not None

    async def make(self, role: str, password: str, *, renew: bool = False, superuser: bool = False) -> None:
        """Make a role that may log in; one that is there keeps its password unless `renew` is asked for.

        Cassandra changes a password at most every five seconds.
        """
        rights = f"PASSWORD = {_text(password)} AND LOGIN = true AND SUPERUSER = {str(superuser).lower()}"
        if await self._session.one(_CAN_LOGIN, (role,)) is None:
            await self._session.define(f"CREATE ROLE {_name(role)} WITH {rights}")
        elif renew:
            await self._session.define(f"ALTER ROLE {_name(role)} WITH {rights}")

    async def let_write(self, keyspace: str, role: str) -> None:
        """Let a role read and write the rows of a keyspace; it makes and drops no tables."""
        for right in ("SELECT", "MODIFY"):
            await self._grant(right, f"KEYSPACE {_name(keyspace)}", role)

    async def let_read(self, keyspace: str, tables: Iterable[str], role: str) -> None:
        """Let a role read these tables of a keyspace, `QUERIED` or `AUDITED`, and nothing else."""
        for table in tables:
            await self._grant("SELECT", f"TABLE {_name(keyspace)}.{_name(table)}", role)

    async def disable(self, role: str) -> None:
        """Take a role's rights and its password, and its login."""
        await self._session.define(
            f"ALTER ROLE {_name(role)} WITH PASSWORD = {_text(secrets.token_urlsafe(32))} "
            "AND SUPERUSER = false AND LOGIN = false"
        )

    async def drop(self, role: str) -> None:
        """Drop a role with its rights: whoever is connected by it is refused once Cassandra asks again, a second later."""
        await self._session.define(f"DROP ROLE IF EXISTS {_name(role)}")

    async def _grant(self, right: str, what: str, role: str) -> None:
        await self._session.define(f"GRANT {right} ON {what} TO {_name(role)}")


def _name(name: str) -> str:
    """Return a name as CQL has it. `Malformed` for one that is none of ours."""
    if not _NAME.fullmatch(name):
        message = "a keyspace or role is named by a-z, 0-9 and '_'"
        raise Malformed(message, subject="cassandra", remedy="name it so")
    return f'"{name}"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
