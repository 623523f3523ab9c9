"""`bal demo --stack`: on the real servers what `bal demo` does on the embedded parts, and nothing left of it but anchors."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bal.cli.demonstration.stack import OnStack
from bal.core.errors import Unavailable
from bal.home import Home
from bal.publish.kafka.access import librdkafka
from bal.publish.kafka.rights import KafkaAdministrator
from bal.stack.authority import authority, issued
from bal.stack.fabric import Fabric
from bal.stack.kafka import ADMIN
from bal.store.cassandra.roles import Roles
from tests.cassandra_field import admin, connected
from tests.e2e.command import ROOT, arguments, environment
from tests.grid import Grid

pytestmark = pytest.mark.timeout(600)

METERS = 10


async def test_the_demonstration_on_the_real_servers(grid: Grid, tmp_path: Path) -> None:
    words = ("--dir", grid.layout.path, "--seconds", "2", "--meters", str(METERS), "--pmus", "1")
    done = subprocess.run(
        arguments("demo", "--stack", *words, "--json"),
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(ROOT), TMPDIR=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    name = report["tampered"].split(":")[0].removesuffix("-1")
    assert report["readings"][f"{name}-dso"] >= METERS
    assert report["readings"][f"{name}-pmu"] > 0
    assert report["published"] == sum(report["readings"].values())
    assert report["audit"] == "clean"
    certificate = json.loads((tmp_path / report["certificate"]).read_text())
    assert (certificate["address"], certificate["anchor"]["ledger"]) == (report["address"], "fabric")

    # What it made is gone: its home, keyspace and roles, topics and rights, certificates.
    assert [path.name for path in tmp_path.iterdir()] == ["bal-demo"]
    assert await gone(grid, name) >= 4


async def test_one_that_was_not_connected_everywhere_is_taken_away_too(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fabric comes last and refuses: nothing is written into the home, and three servers have admitted it."""

    def refuse(*_: Any) -> None:
        message = "no identity today"
        raise Unavailable(message, subject="fabric")

    monkeypatch.setattr(Fabric, "admit", refuse)
    world, said = OnStack(Home(tmp_path / "home"), grid.layout), list[str]()
    with pytest.raises(Unavailable, match="no identity today"):
        await world.prepare(said.append)
    assert not (tmp_path / "home" / "bal.toml").exists()
    await world.clean(said.append)
    assert [line for line in said if line.startswith("not taken away")] == []
    assert await gone(grid, world.dso.removesuffix("-dso")) == 1


async def gone(grid: Grid, name: str) -> int:
    """Look for what a demonstration made on the servers, and find nothing; return how many certificates it had."""
    keyspace = f"bal_{name.replace('-', '_')}"
    async with connected(admin(grid.real)) as session:
        roles = Roles(session)
        assert not await roles.knows_keyspace(keyspace)
        assert not await roles.may_login(f"{keyspace}_writer")
    facts = grid.real.facts("kafka")
    kafka = KafkaAdministrator(
        librdkafka(tuple(facts["servers"]), Path(facts["ca"]), *issued(grid.layout, ADMIN))
    )
    assert [topic for topic in kafka.topics() if name in topic] == []
    assert [right for right in kafka.rights() if right.principal.startswith(name)] == []
    with authority(grid.layout) as ca:
        mine = [each for each in ca.list() if each.name.startswith(name)]
    assert [each.name for each in mine if each.revoked_at is None] == []
    assert [path for path in grid.layout.clients.iterdir() if keyspace in path.name] == []
    return len(mine)
