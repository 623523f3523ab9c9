"""Commands beside a service under load, and its end: senders are processes of their own, so is everything else."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import documents
from tests.e2e.command import SECONDS, Shell, arguments, bal, environment
from tests.e2e.service import Service
from tests.patience import PATIENCE

DSO = ("dso", "--meters", "100", "--interval-seconds", "0.2", "--documents", "100000", "--window", "8")
PMU = ("pmu", "--devices", "2", "--rate", "10", "--seconds", "3600")


class Loaded(Service):
    """A service with a data server and PMUs sending to it."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.senders = {name: self._send(name, kind) for name, kind in (("dso-l", DSO), ("pmu-l", PMU))}

    def _send(self, name: str, kind: tuple[str, ...]) -> "subprocess.Popen[bytes]":
        self.done("sources", "add", name)
        made = self.done("pki", "issue", name, "--json").value()
        tls = ("--ca", made["ca"], "--cert", made["certificate"], "--key", made["key"])
        words = ("simulate", *kind, "--source", name, "--broker", self.facts["mqtt"], *tls)
        words = (*words, "--receipts", str(self.receipts(name)), "--drain-seconds", "0")
        return subprocess.Popen(
            arguments(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
        )

    def receipts(self, name: str) -> Path:
        """Return the file in which a sender writes down what had a receipt."""
        return self.home.parent / f"{name}.jsonl"

    def receipts_of(self, name: str) -> list[Any]:
        """Return the receipts a sender has so far."""
        path = self.receipts(name)
        lines = path.read_text().split("\n")[1:-1] if path.exists() else []
        return [json.loads(line)["receipt"] for line in lines]

    def wait_for(self, count: int) -> None:
        """Return once each sender has had so many receipts more."""
        wanted = {name: len(self.receipts_of(name)) + count for name in self.senders}
        while any(len(self.receipts_of(name)) < number for name, number in wanted.items()):
            assert self.process.poll() is None, self.log.read_text()
            assert all(sender.poll() is None for sender in self.senders.values())
            time.sleep(0.05)

    def __exit__(self, *facts: object) -> None:
        for sender in self.senders.values():
            sender.kill()
            sender.wait(SECONDS)
        super().__exit__()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    with Loaded(tmp_path_factory.mktemp("loaded") / "home") as loaded:
        loaded.wait_for(3)
        yield loaded


def test_commands_beside_a_service_under_load_answer_right(loaded: Loaded, tmp_path: Path) -> None:
    answers = [loaded.ingest(documents.many(5, 100 * n, f"2026-01-31T{n:02}:00:00Z")) for n in range(1, 4)]
    assert all(answer["accepted"] == 5 for answer in answers)
    for answer in answers:  # anchored when the command returns: there is a certificate at once
        path = tmp_path / "certificate.json"
        path.write_text(loaded.done("certificate", answer["addresses"][-1], "--json").out)
        assert loaded.done("verify", path, "--json").value()["valid"] is True
    again = loaded.ingest(documents.many(5, 100, "2026-01-31T01:00:00Z"))
    assert (again["accepted"], again["duplicates"]) == (0, 5)
    assert again["addresses"] == answers[0]["addresses"]
    values = {row["value"] for row in loaded.readings()}
    assert values == {str(100 * n + meter) for n in range(1, 4) for meter in range(5)}
    (row,) = loaded.readings(
        "--meter", "DE-METER-2", "--from", "2026-01-31T02:00:00Z", "--to", "2026-01-31T02:00:01Z"
    )
    assert row["value"] == "202"

    bad = loaded("ingest", "-", "--source", "dso-a", "--json", stdin=b"nonsense")
    assert (bad.code, bad.value()["rejected"]) == (2, 1)
    unknown = loaded("ingest", "-", "--source", "dso-x", "--json", stdin=documents.one())
    assert (unknown.code, unknown.problem()["type"]) == (2, "urn:bal:problem:unknown-source")

    noted = loaded.done("erase", row["address"], "--why", "test", "--json").value()["noted_at"]
    assert json.loads(loaded.done("certificate", noted).out)["entry"]["type"] == "erasure"
    assert loaded("certificate", row["address"]).code == 2
    assert len(loaded.readings()) == 14
    loaded.done("sources", "add", "dso-new", "--json")
    loaded.done("sources", "suspend", "dso-new", "--why", "test")
    listed = {row["name"]: row["suspended"] for row in loaded.done("sources", "list", "--json").values()}
    assert listed == {"dso-a": False, "dso-l": False, "dso-new": True, "pmu-l": False}
    assert loaded("ingest", "-", "--source", "dso-new", stdin=documents.one()).code == 1

    assert len(loaded.readings(source="dso-l")) >= 3 * 100
    assert loaded.readings(source="pmu-l")
    anchors = loaded.done("anchors", "--json").values()
    assert [anchor["seq"] for anchor in anchors] == list(range(len(anchors)))
    loaded.wait_for(3)
    loaded.clean()
    assert all(check["ok"] for check in loaded.done("doctor", "--json").values())


def test_a_second_service_of_the_same_home_is_refused(loaded: Loaded) -> None:
    second = bal("run", "--mqtt-port", "0", "--gateway-port", "0", "--json", "--home", loaded.home)
    assert (second.code, second.out) == (2, "")
    assert second.problem()["type"] == "urn:bal:problem:home-locked"
    assert str(loaded.process.pid) in second.problem()["detail"]
    taken = bal(
        "run", "--mqtt-port", str(loaded.broker[1]), "--gateway-port", "0", "--home", loaded.home.parent / "o"
    )
    assert taken.code == 2
    assert len(taken.err.splitlines()) == 1
    gateway = loaded.facts["gateway"].rpartition(":")[2]
    words = (
        "run",
        "--mqtt-port",
        "0",
        "--gateway-port",
        gateway,
        "--json",
        "--home",
        loaded.home.parent / "o",
    )
    answer = bal(*words)
    assert (answer.code, answer.problem()["subject"]) == (2, f"127.0.0.1:{gateway}")


def children(pid: int) -> set[int]:
    """Return a process and all its descendants."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def alive(family: set[int]) -> list[str]:
    """Return what is told of those processes that have not ended."""
    told = []
    for pid in family:
        with contextlib.suppress(OSError):
            told.append(Path(f"/proc/{pid}/stat").read_text())
    return [line for line in told if line.rpartition(")")[2].split()[0] != "Z"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_told_to_end_under_load_it_finishes_what_it_took(loaded: Loaded) -> None:
    loaded.wait_for(3)
    family = children(loaded.process.pid)
    assert loaded.stop(signal.SIGTERM) == 0, loaded.log.read_text()
    until = (
        time.monotonic() + PATIENCE
    )  # the helpers of multiprocessing end by themselves once their parent has
    while left := alive(family):
        assert time.monotonic() < until, left
    assert not (loaded.home / "run.json").exists()
    for sender in loaded.senders.values():
        sender.kill()
        sender.wait(SECONDS)
    shell = Shell(loaded.home)
    report = shell.clean()
    assert report["pending"] == 0
    for name in loaded.senders:
        receipts = loaded.receipts_of(name)
        assert receipts
        shown = shell.readings(source=name)
        keys = {
            (row["point"], row["component"], row["reading_type"], row["phase"], row["timestamp"])
            for row in shown
        }
        assert len(keys) == len(shown)
        assert len(shown) >= sum(receipt["accepted"] for receipt in receipts)
        for receipt in (receipts[0], receipts[-1]):
            log, seq, span = receipt["ranges"][-1].split(":")
            last = f"{log}:{seq}:{span.rpartition('-')[2]}"
            assert last in {row["address"] for row in shown}
    assert shell.ingest(documents.one("5", "DE-AFTER"))["accepted"] == 1
    assert '"level": "error"' not in loaded.log.read_text()


def test_after_a_kill_commands_work_at_once(tmp_path: Path) -> None:
    with Service(tmp_path / "home") as service:
        first = service.ingest(documents.many(3))
        service.stop(signal.SIGKILL)
        assert (service.home / "run.json").exists()
        again = service.ingest(documents.many(3))
        assert (again["duplicates"], again["addresses"]) == (3, first["addresses"])
        assert service.ingest(documents.one("7", "DE-NEXT"))["accepted"] == 1
        assert service.clean()["readings"] == 4
    with Service(tmp_path / "home") as service:  # again, on what the killed one left
        assert service.ingest(documents.one("8", "DE-AGAIN"))["accepted"] == 1
        assert service.stop(signal.SIGINT) == 0


def test_an_ingest_under_way_when_the_service_ends_is_answered(tmp_path: Path) -> None:
    count = 20_000
    path = tmp_path / "document.xml"
    path.write_bytes(documents.many(count))
    with Service(tmp_path / "home") as service:
        service.done("sources", "add", "dso-a")
        words = ("ingest", path, "--source", "dso-a", "--ranges", "--json", "--home", service.home)
        pipe = subprocess.PIPE
        sender = subprocess.Popen(arguments(*words), stdout=pipe, stderr=pipe, text=True, env=environment())
        time.sleep(1)  # whatever it has come to by then
        assert service.stop() == 0
        out, error = sender.communicate(timeout=SECONDS)
        assert '"level": "error"' not in service.log.read_text()
        if sender.returncode == 0:
            assert json.loads(out)["accepted"] == count
        else:  # it had not been taken yet, or not all of it
            assert sender.returncode == 2
            assert json.loads(error)["type"] == "urn:bal:problem:unavailable"
    shell = Shell(tmp_path / "home")
    again = shell.done(*words[:-2]).value()
    assert again["accepted"] + again["duplicates"] == count
    assert shell.clean()["readings"] == count
