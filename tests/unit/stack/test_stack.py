"""Servers started, asked and stopped together."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bal.core.errors import Conflict, Malformed, Misconfigured, NotFound, Unavailable
from bal.stack import left
from bal.stack.authority import authority, issued
from bal.stack.layout import Layout
from bal.stack.process import Process
from bal.stack.server import Guest, Missing, Server
from bal.stack.stack import Stack
from tests.unit.stack.fakes import Fake

Make = Callable[..., Stack]


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    """Return a layout whose processes are gone afterwards, whatever the test did."""
    layout = Layout(tmp_path / "stack", tmp_path / "cache")
    yield layout
    left.end([process.pid for process in left.named(layout) if process.pid])


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def make(layout: Layout, told: list[str]) -> Make:
    def make(*servers: Server) -> Stack:
        stack = Stack(layout, servers)
        stack.install(told.append)
        return stack

    return make


def pids(stack: Stack) -> dict[str, int | None]:
    return {name: pid for part in stack.status() for name, pid in part.processes.items()}


def test_install_says_what_it_gets_and_a_second_gets_nothing(make: Make, told: list[str]) -> None:
    one, two = Fake("one"), Fake("two")
    make(one, two)
    assert told[:2] == ["one: to get: one 1.0, 1 MB", "two: to get: two 1.0, 1 MB"]
    assert sorted(told[2:]) == ["one: built", "two: built"]
    make(one, two)
    assert (one.installs, two.installs) == (1, 1)


def test_a_missing_tool_is_named_before_anything_is_downloaded(layout: Layout) -> None:
    lacks = [Missing("JDK 17", "Java 25", "install it"), Missing("mvn", "", "get maven")]
    one, two = Fake("one"), Fake("two", lacks=lacks)
    with pytest.raises(Misconfigured) as error:
        Stack(layout, [one, two]).install(print)
    assert "JDK 17 (Java 25): install it; mvn (not found): get maven" in error.value.what
    assert one.installs == two.installs == 0


def test_one_that_is_not_installed_leaves_nothing_and_the_others_stay(layout: Layout) -> None:
    one, two = Fake("one"), Fake("two", manner="no network")
    with pytest.raises(Unavailable, match="network is down"):
        Stack(layout, [one, two]).install(print)
    assert one.is_installed(layout)
    assert sorted(path.name for path in layout.cache.iterdir()) == ["lock", "one"]


def test_up_needs_what_is_installed(layout: Layout) -> None:
    with pytest.raises(NotFound, match="not installed"):
        Stack(layout, [Fake("one")]).up(print)
    assert not layout.facts.exists()


def test_a_second_up_changes_nothing(make: Make, layout: Layout) -> None:
    stack = make(Fake("one", ["main", "side"]), Fake("two"))
    facts = stack.up(print)
    before, mtime = pids(stack), layout.facts.stat().st_mtime_ns
    assert None not in before.values()
    assert stack.up(print) == facts == stack.facts()
    assert (pids(stack), layout.facts.stat().st_mtime_ns) == (before, mtime)
    assert facts.servers["one"] == {"address": f"127.0.0.1:{facts.ports['one']['main']}"}
    assert layout.facts.stat().st_mode & 0o077 == 0


def test_a_killed_process_is_told_and_the_next_up_heals_it(make: Make) -> None:
    stack = make(Fake("one", ["main", "side"]), Fake("two"))
    stack.up(print)
    before = pids(stack)
    killed = before["one-side"]
    assert killed is not None
    Process("one-side", (), stack.layout).kill()
    one, two = stack.status()
    assert (one.ok, one.found, two.ok) == (False, "not running: one-side", True)
    stack.up(print)
    after = pids(stack)
    assert after["one-side"] not in {None, killed}
    assert {name: pid for name, pid in after.items() if name != "one-side"} == {
        name: pid for name, pid in before.items() if name != "one-side"
    }


def test_one_that_answers_wrongly_is_told(make: Make, layout: Layout) -> None:
    one = Fake("one")
    stack = make(one)
    stack.up(print)
    (part,) = stack.status()
    assert (part.ok, part.found) == (True, "it answered")
    (ports,) = stack.facts().ports.values()
    Process("one-main", (), layout).kill()
    with socket.create_server(("127.0.0.1", ports["main"])):  # listens and answers nothing
        Process("one-main", ["sleep", "600"], layout).start()
        (part,) = stack.status()
    assert (part.ok, part.found) == (False, "one-main: no answer")
    one.check = lambda *_: 1 / 0  # type: ignore[assignment,method-assign]
    (part,) = stack.status()
    assert (part.ok, part.found) == (False, "ZeroDivisionError: division by zero")


def test_down_leaves_no_process_not_even_a_servers_child(make: Make, layout: Layout) -> None:
    stack = make(Fake("one", manner="forks"), Fake("two"))
    ports = stack.up(print).ports
    sessions = [pid for pid in pids(stack).values() if pid]
    assert len(left.in_sessions(sessions)) == 3
    stack.down(print)
    assert left.in_sessions(sessions) == []
    assert left.named(layout) == []
    assert [part.ok for part in stack.status()] == [False, False]
    stack.down(print)
    assert stack.up(print).ports == ports


def test_down_ends_processes_that_this_release_does_not_know(make: Make, layout: Layout) -> None:
    stack = make(Fake("one"))
    stack.up(print)
    other = Process("older", ["sleep", "600"], layout)
    other.start()
    stack.down(print)
    assert other.pid is None


def test_what_a_failed_up_started_is_stopped_again(make: Make, layout: Layout) -> None:
    good, bad, old = Fake("good"), Fake("bad", manner="dies"), Fake("old")
    make(old).up(print)
    stack = make(good, bad, old)
    with pytest.raises(Unavailable, match="out of luck") as error:
        stack.up(print)
    assert error.value.subject == "bad-main"
    running = {name for name, pid in pids(Stack(layout, [good, old])).items() if pid}
    assert running == {"old-main"}


def test_ports_can_be_named_and_are_remembered(make: Make) -> None:
    stack = make(Fake("one", ["main", "side"]))
    free = stack.up(print).ports["one"]["main"]
    stack.down(print)
    stack.clear()
    port = free + 1000
    assert stack.up(print, {"one.main": port}).ports["one"]["main"] == port
    with pytest.raises(Unavailable, match="other ports"):
        stack.up(print, {"one.main": free})
    stack.down(print)
    assert stack.up(print).ports["one"]["main"] == port
    with pytest.raises(Malformed, match="no such port"):
        stack.up(print, {"one.none": 1})


def test_a_port_that_another_program_took_is_named(make: Make, layout: Layout) -> None:
    one, two = make(Fake("one")), Stack(Layout(layout.path / "second", layout.cache), [Fake("one")])
    port = one.up(print).ports["one"]["main"]
    with pytest.raises(Unavailable, match=f"port {port} is taken") as error:
        two.up(print, {"one.main": port})
    assert error.value.subject == "main"
    assert "--port main=" in error.value.remedy


def test_clear_throws_the_data_away_and_keeps_ports(make: Make, layout: Layout) -> None:
    one = Fake("one")
    stack = make(one, Fake("two"))
    ports = stack.up(print).ports
    with pytest.raises(Unavailable, match="runs"):
        stack.clear()
    one.data(layout).write_text("mine")
    stack.down(print)
    stack.up(print)
    assert one.data(layout).read_text() == "mine"
    stack.down(print)
    assert (layout.pki / "ca.key").exists()
    stack.clear()
    assert sorted(path.name for path in layout.path.iterdir()) == ["lock", "pki.lock", "stack.json"]
    assert stack.up(print).ports == ports
    assert one.data(layout).read_text() == "answer"


def test_clear_of_one_server_leaves_the_others_alone(make: Make, layout: Layout) -> None:
    one, two = Fake("one"), Fake("two")
    stack = make(one, two)
    stack.up(print)
    stack.down(print)
    Stack(layout, [one]).clear()
    assert not one.data(layout).exists()
    assert two.data(layout).exists()
    assert layout.pki.exists()


def test_a_folder_of_something_else_is_left_alone(make: Make, layout: Layout) -> None:
    thesis = layout.path / "thesis"
    thesis.mkdir(parents=True)
    layout.path.chmod(0o755)
    stack = make(Fake("one"))
    with pytest.raises(Misconfigured, match=r"holds something else \(thesis\)"):
        stack.up(print)
    assert [path.name for path in layout.path.iterdir()] == ["thesis"]
    assert layout.path.stat().st_mode & 0o777 == 0o755
    thesis.rmdir()
    stack.up(print)
    stack.down(print)
    thesis.mkdir()
    stack.clear()
    assert thesis.exists()


def test_folders_of_something_else_are_neither_cleared_nor_closed(make: Make, layout: Layout) -> None:
    """Even those that are called as a stack calls its own: a BAL's home has a `pki`, this project a `kafka`."""
    names = ["kafka", "logs", "one", "pki", "run"]
    for name in names:
        (layout.path / name).mkdir(parents=True)
        (layout.path / name / "theirs").touch()
    (layout.path / "run" / "theirs.pid").write_text("1\n")
    layout.path.chmod(0o755)
    stack = make(Fake("one"))
    stack.down(print)
    stack.clear()
    assert sorted(path.name for path in layout.path.iterdir()) == names
    assert all((layout.path / name / "theirs").exists() for name in names)
    assert (layout.path / "run" / "theirs.pid").exists()
    assert layout.path.stat().st_mode & 0o777 == 0o755


def test_a_guest_gets_the_settings_of_all_servers_together(make: Make) -> None:
    stack = make(Fake("one"), Fake("two"))
    guest = Guest("dso-a", "dso")
    with pytest.raises(NotFound, match="never started"):
        stack.admit(guest)
    ports = stack.up(print).ports
    assert stack.admit(guest) == {
        "one": {"port": ports["one"]["main"], "role": "dso-a"},
        "two": {"port": ports["two"]["main"], "role": "dso-a"},
        "shared": {"one": 1, "two": 1},
    }


def test_a_guest_is_dismissed_everywhere_though_one_server_fails(make: Make, layout: Layout) -> None:
    one, two, three = Fake("one"), Fake("two"), Fake("three")
    stack = make(one, two, three)
    with pytest.raises(NotFound, match="never started"):
        stack.dismiss("dso-a")
    stack.up(print)
    for name in ("dso-a", "dso-b"):
        stack.admit(Guest(name, "dso"))
        issued(layout, name)
    certificate, key = issued(layout, "dso-a")
    two.manner = "keeps"
    with pytest.raises(Unavailable, match="does not let go"):
        stack.dismiss("dso-a")
    assert (one.guests, two.guests, three.guests) == ({"dso-b"}, {"dso-a", "dso-b"}, {"dso-b"})
    two.manner = ""
    stack.dismiss("dso-a")
    assert two.guests == {"dso-b"}
    stack.dismiss("dso-a")  # again is no harm
    with authority(layout) as ca:
        assert ca.withdrawn() == {"dso-a"}
    assert not certificate.exists()
    assert not key.exists()
    assert issued(layout, "dso-b")[0].exists()
    with pytest.raises(NotFound, match="nobody of this name"):
        stack.dismiss("dso-c")


def test_whoever_has_a_certificate_and_is_no_guest_is_neither_admitted_nor_dismissed(
    make: Make, layout: Layout
) -> None:
    """Sources, subscribers and other BALs' servers have certificates of the stack's CA too."""
    one = Fake("one")
    stack = make(one)
    stack.up(print)
    stack.admit(Guest("dso-a", "dso"))
    meter, _ = issued(layout, "meter-7")
    with authority(layout) as ca:
        gateway, _ = ca.issue_server(server="dso-a-gateway")
    one.guests.add("meter-7")  # it may read something
    for name in ("meter-7", "dso-a-gateway"):
        with pytest.raises(NotFound, match="nobody of this name"):
            stack.dismiss(name)
    with pytest.raises(Conflict, match="not of a guest"):
        stack.admit(Guest("meter-7", "dso"))
    assert (meter.exists(), gateway.exists(), one.guests) == (True, True, {"dso-a", "meter-7"})
    stack.dismiss("dso-a")
    assert not gateway.exists()
    issued(layout, "dso-a")  # a source is called so now
    stack.dismiss("dso-a")
    with authority(layout) as ca:
        assert ca.withdrawn() == set()
    with pytest.raises(Conflict, match="not of a guest"):
        stack.admit(Guest("dso-a", "dso"))


def test_nobody_is_called_as_a_server_is(make: Make, layout: Layout) -> None:
    stack = make(Fake("one"), Fake("two"))
    stack.up(print)
    certificate, _ = issued(layout, "kafka-admin")
    for refused in (stack.dismiss, lambda name: stack.admit(Guest(name, "dso"))):
        with pytest.raises(Conflict, match="the name of a server"):
            refused("kafka-admin")
    assert certificate.exists()


def test_two_commands_do_not_start_and_stop_at_a_time(make: Make) -> None:
    stack = make(Fake("one"))
    with stack._lock(), pytest.raises(Unavailable, match="another command"):
        stack.up(print)


def test_facts_that_cannot_be_read_are_told(make: Make, layout: Layout) -> None:
    stack = make(Fake("one"))
    layout.path.mkdir()
    for text in ("{", "[]", '{"version": 2}'):
        layout.facts.write_text(text)
        with pytest.raises(Misconfigured, match="cannot be read"):
            stack.up(print)


def test_an_id_that_another_process_has_now_is_not_ended(make: Make, layout: Layout) -> None:
    stack = make(Fake("one"))
    stack.up(print)
    stack.down(print)
    layout.pid("one-main").write_text(f"{os.getpid()} 1\n")
    assert stack.status()[0].found == "not running: one-main"
    stack.down(print)
    assert not layout.pid("one-main").exists()
