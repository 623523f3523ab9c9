"""`bal demo --stack`: on the real servers what `bal demo` does on the embedded parts, and nothing left of it but anchors."""

import json
import subprocess
from pathlib import Path

import pytest

from bal.publish.kafka.access import librdkafka
from bal.publish.kafka.rights import KafkaAdministrator
from bal.stack.authority import authority, issued
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
    async with connected(admin(grid.real)) as session:
        roles = Roles(session)
        keyspace = f"bal_{name.replace('-', '_')}"
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
    assert len(mine) >= 4
    assert [each.name for each in mine if each.revoked_at is None] == []
    assert [path for path in grid.layout.clients.iterdir() if keyspace in path.name] == []
