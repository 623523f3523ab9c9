"""The fixture `real`, and the installation before the tests: what is missing is told, and fails only in CI."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from bal.stack import left, servers
from bal.stack.layout import Layout
from bal.stack.process import Process
from bal.stack.server import Guest, Tell
from make import stack as installation
from tests import real as room
from tests.real import Real
from tests.unit.stack import fakes


@pytest.fixture
def servers_of_this_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Real]:
    known = {name: (fakes.__name__, name.title()) for name in ("one", "two", "lacking")}
    monkeypatch.setattr(servers, "SERVERS", {**known, "absent": ("bal.stack.no_such_module", "Absent")})
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("STACK", raising=False)
    servers_of_this_session = Real(Layout(tmp_path / "stack", tmp_path / "cache"))
    yield servers_of_this_session
    servers_of_this_session.stop()


def install(layout: Layout, *names: str) -> None:
    assert installation.install(layout, servers.servers(names))


def test_a_server_is_started_when_asked_for_and_once(servers_of_this_session: Real) -> None:
    real = servers_of_this_session
    install(real.layout, "one", "two")
    facts = real("one")
    pids = {process.name: process.pid for process in left.named(real.layout)}
    assert sorted(pids) == ["one-one", "one-one-side"]
    assert (real("one"), real.facts("one")) == (facts, facts)
    assert facts["address"] == f"127.0.0.1:{real.ports('one')['one']}"
    assert real.admit("one", Guest("dso-a", "dso"))["one"]["role"] == "dso-a"
    assert {process.name: process.pid for process in left.named(real.layout)} == pids
    Process("one-one", (), real.layout).kill()
    real("one")
    assert all(process.pid for process in left.named(real.layout))
    real("two")
    real.stop()
    assert left.named(real.layout) == []


def test_a_server_that_somebody_started_again_is_waited_for(
    servers_of_this_session: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, waited = servers_of_this_session, list[str]()
    install(real.layout, "one")
    start = fakes.Fake.start

    def waiting(server: fakes.Fake, layout: Layout, ports: Mapping[str, int], tell: Tell) -> None:
        waited.append(server.name)
        start(server, layout, ports, tell)

    monkeypatch.setattr(fakes.Fake, "start", waiting)
    real("one")
    real("one")
    assert waited == ["one"]
    process = real.server("one").processes(real.layout, real.ports("one"))[1]
    process.kill()
    process.start()  # it runs, and does not answer yet
    real("one")
    real("one")
    assert waited == ["one", "one"]
    assert real.server("one").check(real.layout, real.ports("one")) == "it answered"


def test_those_that_some_test_needs_together_are_started_side_by_side(
    servers_of_this_session: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = servers_of_this_session.layout
    install(layout, "one", "two")
    both, start = Barrier(2, timeout=60), fakes.Fake.start

    def waiting(server: fakes.Fake, *rest: Any) -> None:
        both.wait()
        start(server, *rest)

    monkeypatch.setattr(fakes.Fake, "start", waiting)
    real = Real(layout, ("one", "two", "lacking", "absent"))
    try:
        assert real("two")["address"]
        assert sorted(process.name for process in left.named(layout)) == [
            "one-one",
            "one-one-side",
            "two-two",
        ]
        monkeypatch.setattr(fakes.Fake, "start", start)
        assert real("one")["address"]
    finally:
        real.stop()
    assert left.named(layout) == []


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("lacking", "JDK 17 is missing: install a JDK 17"),
        ("one", "one is not installed: bal stack install --only one"),
        ("absent", "absent: the Python library bal.stack.no_such_module is not installed"),
    ],
)
def test_what_is_missing_is_a_skip_with_its_reason_and_in_ci_a_failure(
    servers_of_this_session: Real, monkeypatch: pytest.MonkeyPatch, name: str, why: str
) -> None:
    for _ in range(2):
        with pytest.raises(pytest.skip.Exception, match=why):
            servers_of_this_session(name)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=why):
        servers_of_this_session(name)
    monkeypatch.setenv("STACK", "0")
    with pytest.raises(pytest.skip.Exception, match="left out by STACK=0"):
        servers_of_this_session(name)


def test_servers_of_a_killed_session_are_stopped(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "stack", tmp_path / "cache")
    assert installation.install(layout, [fakes.One()])
    program = (
        "import sys; from pathlib import Path; from bal.stack import servers; from bal.stack.layout import Layout\n"
        "from tests.real import Real\n"
        "servers.SERVERS = {'one': ('tests.unit.stack.fakes', 'One')}\n"
        "real = Real(Layout(Path(sys.argv[1]), Path(sys.argv[2]))); real('one'); print('up', flush=True)\n"
        "sys.stdin.read()"
    )
    environment = {name: value for name, value in os.environ.items() if name not in {"CI", "STACK"}}
    with subprocess.Popen(
        [sys.executable, "-c", program, str(layout.path), str(layout.cache)],
        cwd=room.ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as session:
        assert session.stdout is not None
        assert session.stdout.readline() == b"up\n"
        running = left.named(layout)
        assert len(running) == 2
        session.kill()
    assert all(process.wait(60) for process in running)


def test_installation_tells_what_it_leaves_out(
    servers_of_this_session: Real,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    layout = servers_of_this_session.layout
    monkeypatch.setattr(servers, "SERVERS", {name: servers.SERVERS[name] for name in ("one", "lacking")})
    monkeypatch.setattr(installation, "cache_path", lambda: layout.cache)
    assert installation.main() == 0
    said = capsys.readouterr().out
    assert "lacking: not installed: JDK 17 (Java 25): install a JDK 17" in said
    assert "one: built" in said
    assert "Tests of these servers will be skipped" in said
    monkeypatch.setenv("CI", "true")
    assert installation.main() == 1
    assert "this is a failure" in capsys.readouterr().out
    monkeypatch.setenv("STACK", "0")
    assert installation.main() == 0
    assert capsys.readouterr().out == "The real servers are left out (STACK=0)\n"


def test_a_failed_installation_is_told(
    servers_of_this_session: Real, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = fakes.Fake("one", manner="no network")
    assert not installation.install(servers_of_this_session.layout, [broken])
    assert "the network is down" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "inside"), [("", False), ("0", False), ("False", False), ("true", True), ("1", True)]
)
def test_ci_is_what_says_so(monkeypatch: pytest.MonkeyPatch, value: str, inside: bool) -> None:
    monkeypatch.setenv("CI", value)
    assert installation.in_ci() is inside


def test_make_installs_before_it_tests_and_hands_on_what_is_left_out(tmp_path: Path) -> None:
    told = subprocess.run(
        ["make", "--no-print-directory", "-n", "test", "STACK=0"],
        cwd=room.ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert 0 < told.index("make/stack.py") < told.index("make/tests.py")
    makefile = tmp_path / "Makefile"
    recipes = (room.ROOT / "Makefile").read_text()
    makefile.write_text(recipes + "\nprobe:\n\t@echo STACK is $$STACK\n")
    said = subprocess.run(
        ["make", "--no-print-directory", "-f", makefile, "probe", "STACK=0"],
        cwd=room.ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said == "STACK is 0\n"


def test_a_server_runs_the_tests_as_ci() -> None:
    script = (room.ROOT / ".ci" / "run").read_text()
    assert 'export CI="${CI:-true}"' in script
    assert script.rstrip().endswith("make test")
