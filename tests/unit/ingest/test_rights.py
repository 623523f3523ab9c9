import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from bal.core.acl import parse_acl
from bal.core.errors import Conflict, Malformed, Misconfigured, Unavailable
from bal.core.source import Source
from bal.core.topics import Rights, TopicMapping
from bal.ingest import BrokerAccounts, BrokerRights, RightsFolder, session_name
from bal.ingest import rights_folder as room
from bal.ingest.broker_accounts import mosquitto_hash
from bal.ingest.broker_process import BrokerProcess
from tests.patience import PATIENCE

SOURCES = [
    Source(
        name="dso-a",
        lane="lane",
        identities=("head-end", "spare"),
        readers=("reader",),
        topics=(TopicMapping(topic="field/a/+", form="pmu", device_level=2),),
    )
]
PASSWORD = "correct horse battery"


class Broker:
    """Reads its folder whenever it is asked, or as often as a test lets it; remembers what it was asked."""

    def __init__(self, path: Path, *, reads: bool = True) -> None:
        self.folder = RightsFolder(path, self.may_publish, "bal-a")
        self.reads = reads
        self.asked: list[str] = []

    def may_publish(self, topic: str) -> bool:
        self.asked.append(topic)
        return self.reads

    def rights(self, name: str = "bal-a") -> BrokerRights:
        return BrokerRights(self.folder, name)

    def accounts(self, name: str = "bal-a") -> BrokerAccounts:
        return BrokerAccounts(self.folder, name)


@pytest.fixture
def broker(tmp_path: Path) -> Broker:
    return Broker(tmp_path)


class Revoked:
    """What a certificate authority says of itself."""

    def __init__(self, path: Path, *names: str) -> None:
        self.crl_path = path / "crl.pem"
        self.crl_path.write_text(f"list of {names}")
        self._names = frozenset(names)

    def withdrawn(self) -> frozenset[str]:
        return self._names


def acl(folder: Path) -> dict[str, Rights]:
    """Return what the list grants but the topic that tells its edition."""
    return {
        name: Rights(
            tuple(topic for topic in rights.publish if not topic.startswith("bal-rights/")), rights.subscribe
        )
        for name, rights in parse_acl((folder / "acl").read_text()).items()
    }


def edition(folder: Path) -> str:
    """Return the topic that all parts' identities may publish to, and nobody else."""
    found = {
        (name, topic)
        for name, rights in parse_acl((folder / "acl").read_text()).items()
        for topic in rights.publish
        if topic.startswith("bal-rights/")
    }
    ((topic,),) = [{topic for _, topic in found}]
    assert {name for name, _ in found} == {path.stem for path in folder.glob("*.acl")}
    return topic


async def test_registrations_become_rights_and_go_with_them(tmp_path: Path, broker: Broker) -> None:
    rights = broker.rights()
    await rights.grant(SOURCES)
    sender = Rights(
        ("bal/dso-a/cim", "bal/dso-a/pmu/+", "field/a/+"), ("bal/dso-a/accepted", "bal/dso-a/rejected")
    )
    assert acl(tmp_path) == {
        "bal-a": Rights(
            ("bal/dso-a/accepted", "bal/dso-a/certified/+", "bal/dso-a/readings/+", "bal/dso-a/rejected"),
            sender.publish,
        ),
        "head-end": sender,
        "spare": sender,
        "reader": Rights((), ("bal/dso-a/certified/+", "bal/dso-a/readings/+")),
    }
    assert all((path.stat().st_mode & 0o077) == 0 for path in tmp_path.glob("*acl"))
    await rights.grant([])
    assert acl(tmp_path) == {"bal-a": Rights()}


async def test_parts_are_merged_and_a_broken_one_changes_nothing(tmp_path: Path, broker: Broker) -> None:
    await broker.rights().grant(SOURCES)
    other = broker.rights("bal-b")
    await other.grant([Source(name="dso-b", lane="lane", readers=("reader",))])
    assert len(acl(tmp_path)["reader"].subscribe) == 4
    before = (tmp_path / "acl").read_bytes()
    (tmp_path / "bal-a.acl").write_text("user x\ntopic readwrite #\n")
    with pytest.raises(Misconfigured, match=r"bal-a\.acl"):
        await other.grant([])
    assert (tmp_path / "acl").read_bytes() == before
    with pytest.raises(Malformed):
        broker.folder.put("x", "pattern read #\n")
    with pytest.raises(Misconfigured):
        await Broker(tmp_path / "nowhere").rights().grant([])


async def test_what_another_bal_has_cannot_be_taken(tmp_path: Path, broker: Broker) -> None:
    await broker.rights().grant(SOURCES)
    mapped = TopicMapping(topic="field/+/x", form="cim")
    for stolen in (SOURCES[0], Source(name="dso-b", lane="lane", topics=(mapped,))):
        with pytest.raises(Conflict):
            await broker.rights("bal-b").grant([stolen])
    assert "bal-b" not in acl(tmp_path)
    with pytest.raises(Conflict):
        broker.accounts("bal-b").put("head-end", PASSWORD)


async def test_identities_that_were_withdrawn_have_no_rights_until_they_come_back(
    tmp_path: Path, broker: Broker
) -> None:
    await broker.rights().grant(SOURCES)
    broker.folder.withdraw(Revoked(tmp_path, "head-end"))
    assert "head-end" not in acl(tmp_path)
    await broker.rights().grant([*SOURCES, Source(name="dso-c", lane="lane")])
    assert "head-end" not in acl(tmp_path)
    assert "spare" in acl(tmp_path)
    broker.folder.withdraw(Revoked(tmp_path))
    assert "head-end" in acl(tmp_path)


async def test_a_part_that_is_removed_takes_its_rights_with_it(tmp_path: Path, broker: Broker) -> None:
    await broker.rights("bal-a").grant(SOURCES)
    await broker.rights("bal-b").grant([Source(name="dso-b", lane="lane", readers=("reader",))])
    assert broker.folder.remove("bal-a") is True
    assert sorted(acl(tmp_path)) == ["bal-b", "dso-b", "reader"]
    assert len(acl(tmp_path)["reader"].subscribe) == 2
    assert broker.folder.remove("bal-a") is False
    broker.folder.withdraw(Revoked(tmp_path, "reader"))
    assert sorted(acl(tmp_path)) == ["bal-b", "dso-b"]
    with pytest.raises(Malformed):
        broker.folder.remove("../bal-b")


async def test_a_part_that_is_removed_takes_its_passwords_with_it(tmp_path: Path, broker: Broker) -> None:
    """Else whoever had one would be let in by it, and have the rights of who is called the same next."""
    await broker.rights("bal-a").grant(SOURCES)
    broker.accounts("bal-a").put("meters-1", PASSWORD)
    theirs = [Source(name="meters-1", lane="lane")]
    with pytest.raises(Conflict, match="gave a password") as refused:
        await broker.rights("bal-b").grant(theirs)
    assert refused.value.subject == "bal-a"
    assert broker.folder.remove("bal-a") is True
    assert (tmp_path / "passwords").read_text() == ""
    broker.folder.withdraw(Revoked(tmp_path))
    await broker.rights("bal-b").grant(theirs)
    assert "meters-1" in acl(tmp_path)
    broker.accounts("bal-b").put("meters-1", PASSWORD)  # its own is no conflict
    await broker.rights("bal-b").grant(theirs)


def test_a_part_of_passwords_alone_is_a_part(tmp_path: Path, broker: Broker) -> None:
    broker.accounts("bal-a").put("meters-1", PASSWORD)
    assert not (tmp_path / "bal-a.acl").exists()
    assert [broker.folder.remove("bal-a") for _ in range(2)] == [True, False]
    assert (tmp_path / "passwords").read_text() == ""


class Process:
    """A broker's process that handles the signal."""

    runs = listens = True

    def __init__(self) -> None:
        self.signals = 0

    def hang_up(self) -> bool:
        self.signals += 1
        return True


def passing() -> SimpleNamespace:
    """Return a clock on which five seconds pass each time it is looked at."""
    return SimpleNamespace(monotonic=count(step=5).__next__, sleep=lambda _seconds: None)


async def test_a_broker_that_refuses_whom_it_knows_to_be_revoked_has_read_its_rights(tmp_path: Path) -> None:
    """Who revokes its own certificate is answered no more: one signal, and no waiting for an answer."""
    process = Process()

    def may_publish(_topic: str) -> bool:
        if process.signals:
            raise Unavailable("refused")
        return False

    folder = RightsFolder(tmp_path, may_publish, "bal-a")
    folder._process = process  # type: ignore[assignment]
    with folder.writing():
        folder.put("bal-a", "user bal-a\n")
    assert folder.withdraw(Revoked(tmp_path, "bal-a")) is True
    assert process.signals == 1
    assert acl(tmp_path) == {}  # nobody has any right: it is an edition like others
    assert folder.withdraw(Revoked(tmp_path, "bal-a")) is True
    assert process.signals == 1
    assert folder.withdraw(Revoked(tmp_path, "bal-a", "bal-b")) is True
    assert process.signals == 2


async def test_a_broker_that_does_not_answer_who_is_not_revoked_has_read_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_topic: str) -> bool:
        raise Unavailable("no answer")

    monkeypatch.setattr(room, "time", passing())
    folder = RightsFolder(tmp_path, silent, "bal-a")
    folder._process = Process()  # type: ignore[assignment]
    with folder.writing():
        folder.put("bal-a", "user bal-a\n")
    with pytest.raises(Unavailable, match="does not read"):
        folder.withdraw(Revoked(tmp_path, "bal-b"))


async def test_a_change_that_was_not_told_is_told_later_and_one_that_was_is_not_told_again(
    tmp_path: Path,
) -> None:
    """Killed between writing and telling: the next start finds the same rights, and a broker that goes by older ones."""
    killed = Broker(tmp_path)
    killed.may_publish = None  # type: ignore[assignment]
    with pytest.raises(TypeError):
        await BrokerRights(RightsFolder(tmp_path, killed.may_publish, "bal-a"), "bal-a").grant(SOURCES)
    written = (tmp_path / "acl").read_bytes()
    broker = Broker(tmp_path)
    await broker.rights().grant(SOURCES)
    assert broker.asked == [edition(tmp_path)]
    assert (tmp_path / "acl").read_bytes() == written
    await broker.rights().grant(SOURCES)
    assert len(broker.asked) == 1


async def test_whatever_the_broker_reads_anew_is_another_edition(tmp_path: Path, broker: Broker) -> None:
    """Rights, passwords, the revocation list; and the same once more is not."""
    editions = []
    for _ in range(2):
        await broker.rights().grant(SOURCES)
        broker.accounts().put("metering", PASSWORD)
        broker.folder.withdraw(Revoked(tmp_path))
        editions.append(edition(tmp_path))
    assert editions[0] == editions[1] == broker.asked[-1]
    assert len(broker.asked) == 3
    broker.accounts().put("metering", PASSWORD + "!")
    broker.folder.withdraw(Revoked(tmp_path, "nobody-here"))
    await broker.rights().grant([])
    assert len(set(broker.asked)) == len(broker.asked) == 6


async def test_a_broker_that_is_away_is_tried_again_and_one_that_does_not_read_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_topic: str) -> bool:
        raise Unavailable("no answer")

    with pytest.raises(Unavailable, match="is away"):
        await BrokerRights(RightsFolder(tmp_path, away, "bal-a"), "bal-a").grant(SOURCES)
    BrokerAccounts(RightsFolder(tmp_path, away, "bal-a"), "bal-a").put(
        "metering", PASSWORD
    )  # read when it starts
    broker = Broker(tmp_path, reads=False)
    monkeypatch.setattr(room, "time", passing())
    with pytest.raises(Unavailable, match="does not read"):
        await broker.rights().grant(SOURCES)
    assert len(set(broker.asked)) > 2  # each time another file, for who watches it where the broker runs
    broker.reads = True
    await broker.rights().grant(SOURCES)


def test_passwords_are_hashed_as_mosquitto_reads_them(tmp_path: Path, broker: Broker) -> None:
    """The expected value is of mosquitto_passwd 2.0.11, for `u` with password `p`."""
    import base64

    known = "$7$101$rCmJhOg9pSYJLHj9$7TQaNJ0yvgUYvUbsenijmJKkCVtsVEdO4b/5TiL7NqRLUVhQ6b3LeuyTfPPIf4GWVdO01EF5F8EqjQjsMlrX7g=="
    assert mosquitto_hash("p", base64.b64decode("rCmJhOg9pSYJLHj9"), 101) == known
    accounts = broker.accounts()
    accounts.put("metering", PASSWORD)
    first = (tmp_path / "passwords").read_text()
    assert first.startswith("metering:$7$")
    assert PASSWORD not in first
    accounts.put("metering", PASSWORD)
    assert (tmp_path / "passwords").read_text() == first
    accounts.put("metering", PASSWORD + "!")
    assert (tmp_path / "passwords").read_text() != first
    accounts.remove("metering")
    accounts.remove("metering")
    assert (tmp_path / "passwords").read_text() == ""
    for name in ("", "a:b", "a\nb", " a", "+"):
        with pytest.raises(Malformed):
            accounts.put(name, PASSWORD)
    with pytest.raises(Malformed):
        accounts.put("metering", "short")


@pytest.mark.parametrize("name", ["mosquitto", "python"])
def test_only_a_broker_that_listens_for_it_is_told(tmp_path: Path, name: str) -> None:
    """A process id that is another program's by now gets no signal: it would end it."""
    program = tmp_path / name
    shutil.copy(Path(sys.executable).resolve(), program)
    script = (
        "import signal, sys, time\n"
        "time.sleep(0.3)\n"  # a broker that starts just now
        "def told(*_): signal.signal(signal.SIGHUP, signal.SIG_IGN); sys.exit(7)\n"
        "signal.signal(signal.SIGHUP, told)\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    environment = {**os.environ, "PYTHONHOME": sys.base_prefix, "PYTHONPATH": ""}
    process = subprocess.Popen(
        [program, "-S", "-c", script], stdout=subprocess.PIPE, env=environment, text=True
    )
    try:
        while Path(f"/proc/{process.pid}/comm").read_text() != f"{name}\n":
            time.sleep(0.01)  # the kernel names it a moment after it has begun
        (tmp_path / "broker.pid").write_text(f"{process.pid}\n")
        told = BrokerProcess(tmp_path / "broker.pid")
        assert told.runs is (name == "mosquitto")
        if name == "mosquitto":
            while not told.hang_up():
                time.sleep(0.01)
            assert process.wait(PATIENCE) == 7
        else:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            assert not told.hang_up()
            assert process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    (tmp_path / "broker.pid").write_text("1\n")
    assert not told.hang_up()
    (tmp_path / "broker.pid").unlink()
    assert not told.runs


@pytest.mark.parametrize("error", [ProcessLookupError, PermissionError])
def test_a_broker_that_ends_before_it_is_told_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[OSError]
) -> None:
    def kill(_pid: int, _number: int) -> None:
        raise error

    told = BrokerProcess(tmp_path / "broker.pid")
    monkeypatch.setattr(told, "_pid", os.getpid)
    monkeypatch.setattr("bal.ingest.broker_process._catches_hangup", lambda _pid: True)
    monkeypatch.setattr(os, "kill", kill)
    assert not told.hang_up()


def test_names_of_sessions_are_fixed_and_cannot_be_guessed() -> None:
    name = session_name("bal-a", "lane-1", b"secret")
    assert name == session_name("bal-a", "lane-1", b"secret")
    assert name.startswith("bal-a.lane-1.")
    others = [("bal-b", "lane-1", b"secret"), ("bal-a", "lane-2", b"secret"), ("bal-a", "lane-1", b"other")]
    assert len({name, *(session_name(*other) for other in others)}) == 4
