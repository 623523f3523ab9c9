"""`bal stack` with the four real servers: from nothing to running, healed, stopped, started anew, used by a home."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bal.bootstrap.kafka import kafka_access
from bal.config import Settings, load
from bal.publish.kafka import certified_topic
from bal.stack import left
from bal.stack.layout import Layout, cache_path
from bal.stack.process import Process
from bal.stack.servers import SERVERS, server
from tests.checks import processes
from tests.e2e import documents
from tests.patience import PATIENCE
from tests.real import Real, watch
from tests.streams import Stream

pytestmark = pytest.mark.timeout(600)
SOURCE = "whole-meters"


class Whole:
    """A stack of its own, used by the command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.layout = Layout(folder / "stack", cache_path())
        self._reaper = watch(self.layout.path)

    def bal(self, *arguments: str, code: int = 0) -> str:
        """Run `bal stack …`; return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "bal", "stack", *arguments],
            env={**os.environ, "BAL_STACK": str(self.layout.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Return what it printed with `--json`."""
        return json.loads(self.bal(*arguments, "--json", code=code))

    def up(self, capsys: pytest.CaptureFixture[str]) -> Any:
        """Start all of it from installed; say how long that took."""
        begun = time.monotonic()
        facts = self.json("up")
        with capsys.disabled():
            print(f"\nbal stack up: {time.monotonic() - begun:.0f} s")
        return facts

    def stored(self) -> Any:
        """Return what the home `dso-a` has on the servers: readings, audit and records of Kafka."""
        home = self.folder / "dso-a"
        readings = _said(home, "readings", "--source", SOURCE, "--json")
        report = json.loads(_said(home, "audit", "--json"))
        return readings, report["readings"], report["findings"], self.stream().read()

    def stream(self) -> Stream:
        """Return what stands on the topic of the home `dso-a`."""
        kafka = kafka_access(load(self.folder / "dso-a").kafka)
        assert kafka.admin_certificate is not None
        assert kafka.admin_key is not None
        reader = replace(kafka, certificate=kafka.admin_certificate, key=kafka.admin_key)
        return Stream(reader, certified_topic(SOURCE))

    def pids(self) -> dict[str, int | None]:
        """Return the processes by name."""
        return {process.name: process.pid for process in left.named(self.layout)}

    def close(self) -> None:
        """Stop all of it."""
        self._reaper.communicate(timeout=PATIENCE)
        assert left.named(self.layout) == []


def _said(home: Path, *words: str, stdin: bytes = b"") -> str:
    done = processes.bal(home, *words, stdin=stdin)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture(scope="module")
def whole(real: Real, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """Return a stack where all four servers can be started, none of them yet."""
    real.require(*SERVERS)
    whole = Whole(tmp_path_factory.mktemp("whole"))
    try:
        yield whole
    finally:
        whole.close()


def test_from_installed_to_running_healed_and_stopped(
    whole: Whole, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = whole.up(capsys)
    assert set(facts["servers"]) == set(SERVERS)
    numbers = [port for ports in facts["ports"].values() for port in ports.values()]
    assert len(set(numbers)) == len(numbers)
    status = whole.json("status")
    assert [(each["name"], each["ok"]) for each in status["servers"]] == [(name, True) for name in SERVERS]
    pids, told = whole.pids(), whole.layout.facts.stat().st_mtime_ns
    assert None not in pids.values()

    # A second `up` changes nothing.
    assert whole.json("up") == facts
    assert (whole.pids(), whole.layout.facts.stat().st_mtime_ns) == (pids, told)

    # What is killed is told, by name, and brought back; the rest is left alone.
    for name in ("mosquitto", "fabric-dso-chaincode"):
        Process(name, (), whole.layout).kill()
    status = whole.json("status", code=2)
    wrong = {each["name"]: each["found"] for each in status["servers"] if not each["ok"]}
    assert wrong == {"mosquitto": "not running: mosquitto", "fabric": "not running: fabric-dso-chaincode"}
    whole.bal("up")
    healed = whole.pids()
    assert {name for name in pids if healed[name] != pids[name]} == {"mosquitto", "fabric-dso-chaincode"}
    assert whole.json("status")["ok"] is True

    connected(whole)
    home = whole.folder / "dso-a"
    _said(home, "sources", "add", SOURCE, "--output", "kafka")
    _said(home, "ingest", "-", "--source", SOURCE, stdin=documents.one("12500"))
    readings, audited, findings, records = stored = whole.stored()
    (whole.folder / "before").write_text(repr(stored))
    assert json.loads(readings)["value"] == "12500"
    assert (audited, findings, sum(map(len, records))) == (1, [], 1)

    # Only this user reads what is secret.
    open_to_others = [path for path in whole.layout.path.rglob("*.key") if path.stat().st_mode & 0o077]
    assert open_to_others == []
    assert whole.layout.path.stat().st_mode & 0o077 == 0

    whole.bal("down")
    assert left.in_sessions(pid for pid in (*pids.values(), *healed.values()) if pid) == []
    assert left.named(whole.layout) == []
    assert {each["ok"] for each in whole.json("status", code=2)["servers"]} == {False}


def connected(whole: Whole) -> None:
    """Two BALs and an auditor are admitted, each with an identity of its own; again is no harm."""
    homes: dict[str, Settings] = {}
    for name, organisation, audits in (
        ("dso-a", "dso", ""),
        ("dso-b", "market", ""),
        ("eye", "regulator", "dso-a"),
        ("dso-a", "dso", ""),
    ):
        home = whole.folder / name
        more = ("--auditor-of", audits) if audits else ()
        whole.bal("connect", "--home", str(home), "--name", name, "--organisation", organisation, *more)
        assert homes.setdefault(name, load(home)).model_dump() == load(home).model_dump()
    a, b, eye = homes["dso-a"], homes["dso-b"], homes["eye"]
    assert {each.store for each in homes.values()} == {"cassandra"}
    assert {each.ledger for each in homes.values()} == {"fabric"}
    assert a.cassandra.keyspace == eye.cassandra.keyspace != b.cassandra.keyspace
    assert len({each.cassandra.role for each in homes.values()}) == 3
    assert len({each.fabric.msp for each in homes.values()}) == 3
    assert (a.pki.path, b.pki.path, eye.pki.path) == (whole.layout.pki, whole.layout.pki, None)
    assert (a.mqtt.broker, b.mqtt.broker) == ("outside", "outside")
    assert eye.kafka.admin_key is None
    assert eye.fabric.admin_key is None
    for settings in homes.values():
        named = [*_paths(settings.model_dump())]
        assert named
        assert [path for path in named if not path.exists()] == []


def _paths(value: Any) -> Iterator[Path]:
    if isinstance(value, Path):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _paths(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _paths(each)


def test_started_again_with_its_data_and_one_server_anew_without(
    whole: Whole, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = whole.up(capsys)
    assert repr(whole.stored()) == (whole.folder / "before").read_text()

    authority = (whole.layout.pki / "ca.crt").read_bytes()
    pids = whole.pids()
    whole.bal("up", "--only", "kafka", "--fresh", "--yes")
    healed = whole.pids()
    assert {name for name in pids if healed[name] != pids[name]} == {"kafka"}
    assert (whole.layout.pki / "ca.crt").read_bytes() == authority
    assert whole.json("status")["ok"] is True
    home = whole.folder / "dso-a"
    assert json.loads(_said(home, "audit", "--json"))["readings"] == 1  # Cassandra and Fabric kept theirs
    assert whole.stream().count() == 0
    assert whole.json("up")["ports"] == facts["ports"]
    whole.bal("down")


def test_a_port_that_is_taken_is_named_before_the_server_fails_on_it(real: Real, whole: Whole) -> None:
    """The session's own broker is in the way."""
    real("mosquitto")
    port = next(iter(real.ports("mosquitto").values()))
    name = server("mosquitto").port_names()[0]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "bal",
            "stack",
            "up",
            "--only",
            "mosquitto",
            "--port",
            f"{name}={port}",
            "--json",
        ],
        env={**os.environ, "BAL_STACK": str(whole.layout.path / "beside")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    problem = json.loads(done.stderr.splitlines()[-1])
    assert (problem["subject"], problem["detail"]) == (name, f"port {port} is taken by another program")
