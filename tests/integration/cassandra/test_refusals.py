"""Who is refused at Cassandra: by certificate, by password, by role."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bal.core.errors import BalError, Misconfigured, StoreFailed, StoreUnavailable
from bal.pki import Authority
from bal.stack.authority import authority
from bal.stack.server import Guest
from bal.store.cassandra.access import CassandraAccess
from bal.store.cassandra.roles import AUDITED, QUERIED
from tests.cassandra_field import admin, admitted, connected, reader
from tests.patience import PATIENCE
from tests.real import Real

TAKE = "INSERT INTO leases (lane, holder) VALUES (?, ?)"
SEE = "SELECT holder FROM leases WHERE lane = ?"


@pytest.fixture
def bal(real: Real) -> CassandraAccess:
    return admitted(real, "refusing-bal")


async def refused(access: CassandraAccess) -> BalError:
    with pytest.raises((Misconfigured, StoreUnavailable)) as caught:
        async with connected(access):
            pass
    return caught.value


async def test_a_client_without_a_certificate(bal: CassandraAccess) -> None:
    assert "certificate" in (await refused(replace(bal, certificate=None, key=None))).what


async def test_a_certificate_of_another_ca_under_the_same_name(bal: CassandraAccess, tmp_path: Path) -> None:
    foreign = Authority.create(tmp_path / "pki")
    certificate, key = foreign.issue_client("refusing-bal")
    assert "certificate" in (await refused(replace(bal, certificate=certificate, key=key))).what


async def test_a_certificate_that_names_no_place_of_the_revocation_list(
    real: Real, bal: CassandraAccess, tmp_path: Path
) -> None:
    silent = Authority.open(real.layout.pki)
    certificate, key = silent.issue_client("silent")
    async with connected(replace(bal, certificate=certificate, key=key)):
        pass
    (tmp_path / "pki").mkdir()
    for name in ("ca.crt", "ca.key", "crl.pem", "crl.der"):
        (tmp_path / "pki" / name).write_bytes((real.layout.pki / name).read_bytes())
    (tmp_path / "pki" / "crl.url").write_text("\n")
    for folder in ("clients", "issued"):
        (tmp_path / "pki" / folder).mkdir()
    certificate, key = Authority.open(tmp_path / "pki").issue_client("silent")
    assert "certificate" in (await refused(replace(bal, certificate=certificate, key=key))).what


async def test_a_revoked_certificate_from_the_next_look_at_the_list_on(
    real: Real, bal: CassandraAccess
) -> None:
    with authority(real.layout) as ca:
        certificate, key = ca.issue_client("to-be-revoked", replace=True)
    access = replace(bal, certificate=certificate, key=key)
    async with connected(access):
        pass
    with authority(real.layout) as ca:
        ca.revoke("to-be-revoked")
    async with asyncio.timeout(PATIENCE):  # the list is looked up every 30 seconds at most
        with pytest.raises(Misconfigured, match="certificate"):
            while True:
                # The first of a session's connections may have come in just before the list was looked up.
                with contextlib.suppress(StoreUnavailable):
                    async with connected(access):
                        await asyncio.sleep(1)
    async with connected(bal) as session:
        assert await session.one(SEE, ("nobody",)) is None


async def test_a_server_of_another_ca_or_name(bal: CassandraAccess, tmp_path: Path) -> None:
    foreign = Authority.create(tmp_path / "pki")
    assert "server's certificate" in (await refused(replace(bal, ca=foreign.certificate_path))).what
    assert "server's certificate" in (await refused(replace(bal, server_name="wrong.example"))).what


async def test_a_wrong_password_and_an_unknown_role(bal: CassandraAccess, tmp_path: Path) -> None:
    wrong = tmp_path / "password"
    wrong.write_text("wrong\n")
    assert "password" in (await refused(replace(bal, password_file=wrong))).what
    assert "password" in (await refused(replace(bal, role="nobody"))).what


async def test_the_superuser_that_cassandra_comes_with(real: Real, tmp_path: Path) -> None:
    default = tmp_path / "password"
    default.write_text("cassandra\n")
    access = replace(admin(real), role="cassandra", password_file=default)
    assert "password" in (await refused(access)).what


async def test_a_writer_writes_its_own_keyspace_and_nothing_else(real: Real, bal: CassandraAccess) -> None:
    other = admitted(real, "playing-bal")
    async with connected(bal) as session:
        await session.write(TAKE, ("bal-1", "me"))
        for forbidden in (
            "DROP TABLE leases",
            "ALTER TABLE leases ADD more text",
            f"CREATE TABLE {bal.keyspace}.more (id int PRIMARY KEY)",
            f"GRANT SELECT ON KEYSPACE {bal.keyspace} TO {other.role}",
            f"SELECT * FROM {other.keyspace}.leases",
            f"INSERT INTO {other.keyspace}.leases (lane, holder) VALUES ('bal-1', 'me')",
            "SELECT role, salted_hash FROM system_auth.roles",
        ):
            with pytest.raises(StoreFailed, match="may not") as caught:
                await session.define(forbidden)
            assert not isinstance(caught.value, StoreUnavailable)
    async with connected(other) as session:
        assert await session.one(SEE, ("bal-1",)) is None


async def test_reader_and_auditor_read_what_they_need_and_write_nothing(
    real: Real, bal: CassandraAccess
) -> None:
    auditing = admitted(real, "refusing-auditor", audits="refusing-bal")
    other = admitted(real, "playing-bal")
    own = ("receipts", "receipts_by_minute", "leases", "migration_lock", "parked", "erased_lookups")
    for access, tables in ((reader(real, bal), QUERIED), (auditing, AUDITED)):
        async with connected(access) as session:
            for table in tables:
                await session.all(f"SELECT * FROM {table}")
                for forbidden in (f"TRUNCATE {table}", f"ALTER TABLE {table} WITH comment = ''"):
                    with pytest.raises(StoreFailed, match="may not"):
                        await session.define(forbidden)
            for table in (*(f"{bal.keyspace}.{each}" for each in own), f"{other.keyspace}.readings"):
                with pytest.raises(StoreFailed, match="may not"):
                    await session.define(f"SELECT * FROM {table}")
            with pytest.raises(StoreFailed, match="may not"):
                await session.define(
                    "DELETE FROM readings WHERE source = '' AND point = '' AND quantity = ''"
                    " AND span = 0 AND bucket = 0"
                )


async def test_where_notes_of_erasures_stand_the_auditor_reads_and_the_reader_does_not(
    real: Real, bal: CassandraAccess
) -> None:
    auditing = admitted(real, "refusing-auditor", audits="refusing-bal")
    async with connected(auditing) as session:
        assert await session.all("SELECT * FROM erasures") == []
    async with connected(reader(real, bal)) as session:
        with pytest.raises(StoreFailed, match="may not"):
            await session.all("SELECT * FROM erasures")


def test_secrets_are_their_owners(real: Real, bal: CassandraAccess) -> None:
    real.admit("cassandra", Guest("refusing-bal", "dso"))  # again
    secrets: list[Callable[[], Path]] = [
        lambda: bal.password_file or Path(),
        lambda: bal.key or Path(),
        lambda: admin(real).password_file or Path(),
        lambda: real.layout.server("cassandra") / "node.pem",
    ]
    for path in secrets:
        assert path().stat().st_mode & 0o077 == 0
    assert not (real.layout.server("cassandra") / "beginning.password").exists()
