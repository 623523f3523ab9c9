import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bal.core.acl import parse_acl
from bal.core.errors import Conflict, Malformed, Misconfigured
from bal.core.source import Source
from bal.core.topics import Rights, TopicMapping
from bal.ingest import BrokerAccounts, BrokerRights, RightsFolder, session_name
from bal.ingest.broker_accounts import mosquitto_hash

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


def acl(folder: Path) -> dict[str, Rights]:
    return parse_acl((folder / "acl").read_text())


async def test_registrations_become_rights_and_go_with_them(tmp_path: Path) -> None:
    rights = BrokerRights(tmp_path, "bal-a")
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


async def test_parts_are_merged_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    await BrokerRights(tmp_path, "bal-a").grant(SOURCES)
    other = BrokerRights(tmp_path, "bal-b")
    await other.grant([Source(name="dso-b", lane="lane", readers=("reader",))])
    assert len(acl(tmp_path)["reader"].subscribe) == 4
    before = (tmp_path / "acl").read_bytes()
    (tmp_path / "bal-a.acl").write_text("user x\ntopic readwrite #\n")
    with pytest.raises(Misconfigured, match=r"bal-a\.acl"):
        await other.grant([])
    assert (tmp_path / "acl").read_bytes() == before
    with pytest.raises(Malformed):
        RightsFolder(tmp_path).put("x", "pattern read #\n")
    with pytest.raises(Misconfigured):
        await BrokerRights(tmp_path / "nowhere", "bal-a").grant([])


async def test_what_another_bal_has_cannot_be_taken(tmp_path: Path) -> None:
    await BrokerRights(tmp_path, "bal-a").grant(SOURCES)
    mapped = TopicMapping(topic="field/+/x", form="cim")
    for stolen in (SOURCES[0], Source(name="dso-b", lane="lane", topics=(mapped,))):
        with pytest.raises(Conflict):
            await BrokerRights(tmp_path, "bal-b").grant([stolen])
    assert "bal-b" not in acl(tmp_path)
    with pytest.raises(Conflict):
        BrokerAccounts(tmp_path, "bal-b").put("head-end", PASSWORD)


async def test_identities_that_were_withdrawn_have_no_rights_until_they_come_back(tmp_path: Path) -> None:
    await BrokerRights(tmp_path, "bal-a").grant(SOURCES)
    folder = RightsFolder(tmp_path)
    folder.withdraw(frozenset({"head-end"}))
    assert "head-end" not in acl(tmp_path)
    await BrokerRights(tmp_path, "bal-a").grant([*SOURCES, Source(name="dso-c", lane="lane")])
    assert "head-end" not in acl(tmp_path)
    assert "spare" in acl(tmp_path)
    folder.withdraw(frozenset())
    assert "head-end" in acl(tmp_path)


async def test_a_part_that_is_removed_takes_its_rights_with_it(tmp_path: Path) -> None:
    folder = RightsFolder(tmp_path)
    await BrokerRights(tmp_path, "bal-a").grant(SOURCES)
    await BrokerRights(tmp_path, "bal-b").grant([Source(name="dso-b", lane="lane", readers=("reader",))])
    assert folder.remove("bal-a") is True
    assert sorted(acl(tmp_path)) == ["bal-b", "dso-b", "reader"]
    assert len(acl(tmp_path)["reader"].subscribe) == 2
    assert folder.remove("bal-a") is False
    assert folder.deny(frozenset({"reader"})) is True
    assert folder.deny(frozenset({"reader"})) is False
    assert sorted(acl(tmp_path)) == ["bal-b", "dso-b"]
    with pytest.raises(Malformed):
        folder.remove("../bal-b")


def test_passwords_are_hashed_as_mosquitto_reads_them(tmp_path: Path) -> None:
    """The expected value is of mosquitto_passwd 2.0.11, for `u` with password `p`."""
    import base64

    known = "$7$101$rCmJhOg9pSYJLHj9$7TQaNJ0yvgUYvUbsenijmJKkCVtsVEdO4b/5TiL7NqRLUVhQ6b3LeuyTfPPIf4GWVdO01EF5F8EqjQjsMlrX7g=="
    assert mosquitto_hash("p", base64.b64decode("rCmJhOg9pSYJLHj9"), 101) == known
    accounts = BrokerAccounts(tmp_path, "bal-a")
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
        "time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONHOME": sys.base_prefix, "PYTHONPATH": ""}
    process = subprocess.Popen(
        [program, "-S", "-c", script], stdout=subprocess.PIPE, env=environment, text=True
    )
    try:
        while Path(f"/proc/{process.pid}/comm").read_text() != f"{name}\n":
            time.sleep(0.01)  # the kernel names it a moment after it has begun
        (tmp_path / "broker.pid").write_text(f"{process.pid}\n")
        assert RightsFolder(tmp_path).reload() is (name == "mosquitto")
        if name == "mosquitto":
            assert process.wait(20) == 7
        else:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            assert process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    (tmp_path / "broker.pid").write_text("1\n")
    assert not RightsFolder(tmp_path).reload()
    (tmp_path / "broker.pid").unlink()
    assert not RightsFolder(tmp_path).reload()


def test_names_of_sessions_are_fixed_and_cannot_be_guessed() -> None:
    name = session_name("bal-a", "lane-1", b"secret")
    assert name == session_name("bal-a", "lane-1", b"secret")
    assert name.startswith("bal-a.lane-1.")
    others = [("bal-b", "lane-1", b"secret"), ("bal-a", "lane-2", b"secret"), ("bal-a", "lane-1", b"other")]
    assert len({name, *(session_name(*other) for other in others)}) == 4
