"""Migrations of a keyspace: once each, by one at a time, never altered; asked for on the command line."""

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bal.cli.scd import app
from bal.core.errors import Misconfigured, StoreFailed
from bal.stack.server import Guest
from bal.stack.toml import written
from bal.store.cassandra.access import CassandraAccess
from bal.store.cassandra.migrations import ONE_NODE, Standing, check_current, migrate, status
from tests.cassandra_field import admin, connected
from tests.real import Real

BOOKKEEPING = Path(__file__).parents[3] / "scd" / "migrations" / "0000-bookkeeping.cql"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(BOOKKEEPING, tmp_path)
    (tmp_path / "0001-more.cql").write_text(
        "CREATE TABLE IF NOT EXISTS one (id int PRIMARY KEY); -- first; of two\n"
        "CREATE TABLE IF NOT EXISTS two (id int PRIMARY KEY)"
    )
    return tmp_path


@pytest.fixture
async def access(real: Real, request: pytest.FixtureRequest) -> CassandraAccess:
    name = "".join(letter for letter in request.node.name.lower() if letter.isalnum())[:30]
    fresh = replace(admin(real), keyspace=f"migrating_{name}")
    async with connected(replace(fresh, keyspace="")) as session:
        await session.define(f"DROP KEYSPACE IF EXISTS {fresh.keyspace}")
    return fresh


async def test_applied_once_and_told(access: CassandraAccess, folder: Path) -> None:
    assert await migrate(access, folder, ONE_NODE) == ["0000-bookkeeping", "0001-more"]
    assert await migrate(access, folder, ONE_NODE) == []
    (folder / "0002-later.cql").write_text("CREATE TABLE IF NOT EXISTS three (id int PRIMARY KEY);")
    async with connected(access) as session:
        with pytest.raises(Misconfigured, match="older release"):
            await check_current(session, folder)
        assert await migrate(access, folder, ONE_NODE) == ["0002-later"]
        await check_current(session, folder)
        assert await session.all("SELECT id FROM three") == []
    assert {each.state for each in await status(access, folder)} == {"applied"}


async def test_several_at_a_time_do_not_clash(access: CassandraAccess, folder: Path) -> None:
    applied = await asyncio.gather(*(migrate(access, folder, ONE_NODE) for _ in range(3)))
    assert sorted(applied) == [[], [], ["0000-bookkeeping", "0001-more"]]
    async with connected(access) as session:
        assert await session.all("SELECT id FROM migration_lock") == []


async def test_an_altered_one_is_refused_and_nothing_is_applied(
    access: CassandraAccess, folder: Path
) -> None:
    await migrate(access, folder, ONE_NODE)
    (folder / "0001-more.cql").write_text("CREATE TABLE IF NOT EXISTS one (id bigint PRIMARY KEY);")
    (folder / "0002-later.cql").write_text("CREATE TABLE IF NOT EXISTS three (id int PRIMARY KEY);")
    with pytest.raises(Misconfigured, match="altered") as caught:
        await migrate(access, folder, ONE_NODE)
    assert caught.value.subject == "0001-more"
    assert await status(access, folder) == [
        Standing("0000-bookkeeping", "applied"),
        Standing("0001-more", "altered"),
        Standing("0002-later", "pending"),
    ]


async def test_a_keyspace_of_a_newer_release_is_left_alone(access: CassandraAccess, folder: Path) -> None:
    await migrate(access, folder, ONE_NODE)
    (folder / "0001-more.cql").unlink()
    with pytest.raises(Misconfigured, match="newer release"):
        await migrate(access, folder, ONE_NODE)
    async with connected(access) as session:
        with pytest.raises(Misconfigured, match="newer release"):
            await check_current(session, folder)
    assert Standing("0001-more", "unknown") in await status(access, folder)


async def test_one_that_fails_says_where_and_is_applied_once_it_is_right(
    access: CassandraAccess, folder: Path
) -> None:
    good = (folder / "0001-more.cql").read_text()
    (folder / "0001-more.cql").write_text(good.replace("two (id", "two (id wrong"))
    with pytest.raises(StoreFailed, match="statement 2") as caught:
        await migrate(access, folder, ONE_NODE)
    assert caught.value.subject == "0001-more"
    (folder / "0001-more.cql").write_text(good)
    assert await migrate(access, folder, ONE_NODE) == ["0001-more"]


def test_on_the_command_line(real: Real, tmp_path: Path) -> None:
    settings = real.admit("cassandra", Guest("migrating-bal", "dso"))
    (tmp_path / "bal.toml").write_text(written(settings))
    told = CliRunner().invoke(app, ["status", "--home", str(tmp_path), "--json"])
    assert told.exit_code == 0
    states = [json.loads(line) for line in told.output.splitlines()]
    assert states[0] == {"migration": "0000-bookkeeping", "state": "applied"}
    boss = admin(real)
    (tmp_path / "bal.toml").write_text(
        written({**settings, "cassandra": {**settings["cassandra"], "keyspace": "by_command"}})
    )
    login = [
        *("--role", boss.role, "--password-file", str(boss.password_file)),
        *("--certificate", str(boss.certificate), "--key", str(boss.key)),
    ]
    common = ["--home", str(tmp_path), "--json"]
    done = CliRunner().invoke(app, ["migrate", *login, "--replicas", "1", *common])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["applied"][0] == "0000-bookkeeping"
    again = CliRunner().invoke(app, ["migrate", *login, *common])
    assert json.loads(again.output) == {"applied": []}
