"""A service that was given a role without rights to write."""

from __future__ import annotations

from pathlib import Path

from bal.stack.server import Guest
from bal.stack.toml import written
from tests.cassandra_field import admitted, reader
from tests.e2e.command import bal
from tests.real import Real


def test_bal_run_with_a_role_that_may_only_read_says_so_and_ends(real: Real, tmp_path: Path) -> None:
    settings = real.admit("cassandra", Guest("misled-bal", "dso"))
    reading = reader(real, admitted(real, "misled-bal"))
    own = {"role": reading.role, "password_file": str(reading.password_file)}
    (tmp_path / "bal.toml").write_text(written({**settings, "cassandra": {**settings["cassandra"], **own}}))
    answer = bal("run", "--home", tmp_path, "--json")
    assert answer.code == 2
    assert answer.out == ""
    problem = answer.problem()
    assert "this role may not do that" in str(problem)
    assert "cassandra.role" in str(problem)
