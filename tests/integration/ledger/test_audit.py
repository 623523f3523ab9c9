"""The regulator audits alone: his own identity and peer, a copy of the database, no key of the operator."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from bal.stack.server import Guest
from bal.stack.toml import merged, written
from tests.e2e import documents
from tests.e2e.command import Shell, bal
from tests.real import Real

pytestmark = pytest.mark.real


class Case:
    """A BAL of the DSO on the real ledger, with two batches, and the regulator's folder beside it."""

    def __init__(self, real: Real, directory: Path, store: str = "sqlite") -> None:
        self.name = f"a{token_hex(4)}"
        self.source = f"{self.name}-meters"
        self.log = f"{self.name}-log"
        self.operator = Shell(directory / "operator")
        self._real, self._parts = real, ["fabric", *(["cassandra"] if store == "cassandra" else [])]
        self._home(self.operator, Guest(self.name, "dso"), lanes=[self.log])
        self.operator.ingest(documents.many(4), self.source)
        self.operator.ingest(documents.many(4, 2000, "2026-01-31T12:15:00Z"), self.source)
        self.regulator = Shell(directory / "regulator")
        guest = Guest(f"{self.name}-r", "regulator", audits=self.name)
        settings = self._home(self.regulator, guest)
        if store == "sqlite":
            shutil.copy(self.operator.home / "scd.sqlite", self.regulator.home)
        self.peers = [each["address"] for each in settings["fabric"]["gateways"]]

    def _home(self, shell: Shell, guest: Guest, **more: Any) -> dict[str, Any]:
        shell.home.mkdir(mode=0o700)
        settings: dict[str, Any] = {}
        for part in self._parts:
            settings = merged(settings, self._real.admit(part, guest))
        (shell.home / "bal.toml").write_text(written({**more, **settings}))
        return settings

    def found(self, *more: str) -> list[tuple[str, str]]:
        answer = self.regulator("audit", "--json", *more)
        report = answer.value()
        assert (answer.code, answer.err) == (1 if report["findings"] else 0, ""), answer
        return [(each["kind"], each["address"]) for each in report["findings"]]


@pytest.fixture(scope="module")
def case(real: Real, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(real, tmp_path_factory.mktemp("regulator"))


def test_he_needs_no_key_and_makes_none(case: Case) -> None:
    report = case.regulator.clean()
    assert (report["readings"], report["batches"], report["pending"]) == (8, 2, 0)
    assert {each.name for each in case.regulator.home.iterdir()} <= {
        "bal.toml",
        "scd.sqlite",
        "scd.sqlite-shm",
        "scd.sqlite-wal",
    }
    assert case.operator.clean()["readings"] == 8


def test_his_heads_find_what_is_rewritten_later(case: Case, tmp_path: Path) -> None:
    heads = tmp_path / "heads.json"
    case.regulator.done("audit", "--json", "--heads", heads)
    seen = json.loads(heads.read_text())
    assert seen[case.log]["seq"] == 1
    assert case.found("--since", str(heads)) == []
    seen[case.log]["hash"] = "ab" * 32
    heads.write_text(json.dumps(seen))
    assert ("ledger_altered", f"{case.log}:1") in case.found("--since", str(heads))


def test_a_changed_row_is_named(case: Case) -> None:
    def change(value: str) -> None:
        with closing(sqlite3.connect(case.regulator.home / "scd.sqlite")) as database, database:
            database.execute(
                "UPDATE readings SET value = ? WHERE log = ? AND seq = 1 AND idx = 2", (value, case.log)
            )

    change("2003")
    assert ("changed", f"{case.log}:1:2") in case.found()
    change("2002")
    assert case.found() == []


def test_certificates_are_judged_by_his_own_peer(case: Case, tmp_path: Path) -> None:
    text = case.operator.done("certificate", f"{case.log}:1:3").out
    (tmp_path / "certificate.json").write_text(text)
    assert case.regulator.done("verify", tmp_path / "certificate.json", "--json").value()["valid"]
    (tmp_path / "certificate.json").write_text(text.replace('"2003"', '"2004"'))
    answer = case.regulator("verify", tmp_path / "certificate.json", "--json")
    assert (answer.code, answer.value()["valid"]) == (1, False)


def test_peers_are_named_by_address(case: Case) -> None:
    assert case.found("--peer", case.peers[0]) == []
    assert case.found("--peer", case.peers[0], "--peer", case.peers[2]) == []
    answer = case.regulator("audit", "--json", "--peer", "127.0.0.1:1")
    assert answer.code == 2
    assert "127.0.0.1:1" in answer.err


def test_a_role_that_may_only_read_the_database_is_enough(
    real: Real, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same on Cassandra, where he reads the operator's keyspace itself and can't write a row of it."""
    case = Case(real, tmp_path_factory.mktemp("cassandra"), "cassandra")
    report = case.regulator.clean()
    assert (report["readings"], report["batches"], report["pending"]) == (8, 2, 0)
    assert [each.name for each in case.regulator.home.iterdir()] == ["bal.toml"]
    refused = bal(
        "ingest", "-", "--source", case.source, "--home", case.regulator.home, stdin=documents.one("1")
    )
    assert refused.code == 2
    assert case.regulator.clean()["readings"] == 8
    assert len(case.operator.readings(source=case.source)) == 8
