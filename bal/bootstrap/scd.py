"""Cassandra by the settings of a home: its access, and the migrations of its keyspace."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bal.config import Settings
from bal.core.errors import Misconfigured
from bal.resources import resource

if TYPE_CHECKING:
    from bal.store.cassandra.access import CassandraAccess
    from bal.store.cassandra.migrations import Standing


@dataclass(frozen=True, slots=True)
class Login:
    """Another role than the home's: one that may make tables. What is None is the home's."""

    role: str | None = None
    password_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


def cassandra_access(settings: Settings, login: Login | None = None) -> "CassandraAccess":
    """Return how the settings reach Cassandra. `Misconfigured` when the home's store is another or the driver is missing."""
    from bal.store.cassandra.access import CassandraAccess

    if settings.store != "cassandra":
        message = "the store of this home is no Cassandra"
        raise Misconfigured(message, subject="store", remedy='set store = "cassandra" in bal.toml')
    access = CassandraAccess(
        **{each.name: getattr(settings.cassandra, each.name) for each in fields(CassandraAccess)}
    )
    if login is None:
        return access
    given = {each.name: getattr(login, each.name) for each in fields(Login)}
    return replace(access, **{name: value for name, value in given.items() if value is not None})


async def migrate(settings: Settings, login: Login, replicas: int) -> list[str]:
    """Bring the home's keyspace to this release; return the migrations applied, by name.

    A keyspace that is not there yet is made with so many replicas in the data centre of the settings.
    """
    from bal.store.cassandra import migrations

    access = cassandra_access(settings, login)
    replication = {"class": "NetworkTopologyStrategy", access.datacentre: str(replicas)}
    return await migrations.migrate(access, resource("scd") / "migrations", replication)


async def status(settings: Settings, login: Login) -> list["Standing"]:
    """Return how every migration stands in the home's keyspace."""
    from bal.store.cassandra import migrations

    return await migrations.status(cassandra_access(settings, login), resource("scd") / "migrations")
