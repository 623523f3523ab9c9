"""`bal doctor` in homes on the real servers: database against ledger, what is parked, what others may read."""

from pathlib import Path
from typing import Any

import pytest

from bal.bootstrap.adapters import open_store
from bal.config import load
from bal.core.stored import Parked
from bal.home import Home
from bal.stack.cassandra_guests import administrator
from bal.store.cassandra.session import Session
from tests.e2e import documents
from tests.e2e.command import Shell
from tests.e2e.stack.world import access
from tests.grid import Grid

pytestmark = pytest.mark.timeout(600)


def checks(shell: Shell, code: int) -> dict[str, Any]:
    """Return what each check found; those that failed begin with `FAIL`."""
    answer = shell("doctor", "--json")
    assert answer.code == code, answer
    return {each["what"]: ("" if each["ok"] else "FAIL ") + each["found"] for each in answer.values()}


async def test_a_home_on_the_stack_is_looked_at_as_any_other(grid: Grid, tmp_path: Path, mark: str) -> None:
    name = f"patient-{mark}"
    home = grid.home(tmp_path, name)
    shell = Shell(home.path)
    assert "home" not in checks(shell, 0)  # nothing stored yet, but looked at
    shell.done("sources", "add", f"{name}-meters", "--output", "kafka")
    shell.done("ingest", "-", "--source", f"{name}-meters", stdin=documents.one("1"))
    found = checks(shell, 0)
    assert found[f"log {name}-1"] == "1 batches stored, 1 anchored"
    assert found["permissions"] == "for the owner only"
    assert found["certificates"] == "in time"
    auditor = Shell(grid.auditor(tmp_path, f"eye-{mark}", name).path)
    assert checks(auditor, 0)[f"log {name}-1"] == "1 batches stored, 1 anchored"

    key = load(home.path).cassandra.key
    assert key is not None
    key.chmod(0o644)
    assert checks(shell, 1)["permissions"] == f"FAIL {key.name}"
    key.chmod(0o600)

    async with open_store(Home(home.path), load(home.path)) as opened:
        await opened.store.park(Parked("kafka", f"{name}-meters", f"{name}-1", 0, 1))
    assert checks(shell, 1)["output kafka"].startswith(f"FAIL {name}-meters is parked from {name}-1:0 on")
    assert "output kafka" not in checks(auditor, 0)  # its operator's affair

    session = await Session.connect(administrator(grid.layout, grid.real.ports("cassandra")))
    try:  # an older copy of the database
        await session.define(f"TRUNCATE {access(shell).keyspace}.batches")
    finally:
        await session.close()
    assert checks(shell, 1)[f"log {name}-1"] == "FAIL 0 batches stored, 1 anchored"
