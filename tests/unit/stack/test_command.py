"""`bal stack` on small servers."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bal.cli.stack import app
from bal.config import load
from bal.core.errors import BalError, Malformed, Misconfigured, NotFound
from bal.stack import left, servers
from bal.stack.layout import Layout
from bal.stack.process import Process
from bal.stack.server import Guest
from tests.unit.stack import fakes
from tests.unit.stack.fakes import Fake

Bal = Callable[..., Result]


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Layout]:
    layout = Layout(tmp_path / "stack", tmp_path / "cache" / "bal" / "stack")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("BAL_STACK", str(layout.path))
    known = {name: (fakes.__name__, name.title()) for name in ("one", "two")}
    monkeypatch.setattr(servers, "SERVERS", known)
    monkeypatch.setattr("bal.log.configure", lambda _settings: None)  # would outlive the test
    yield layout
    left.end([process.pid for process in left.named(layout) if process.pid])


@pytest.fixture
def bal(layout: Layout) -> Bal:
    """Return what runs `bal stack …`; errors of ours are raised."""

    def bal(*arguments: str, code: int = 0, typed: str = "") -> Result:
        result = CliRunner().invoke(app, arguments, input=typed)
        if isinstance(result.exception, BalError):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return bal


def told(result: Result) -> Any:
    return json.loads(result.stdout)


def test_from_nothing_to_running_and_back(bal: Bal, layout: Layout) -> None:
    installed = bal("install")
    assert "one: to get: one 1.0, 1 MB" in installed.stderr
    assert installed.stdout == f"installed: one, two; in {layout.cache}\n"
    with pytest.raises(NotFound, match="no stack in this folder"):
        bal("status")
    assert "ready after" in bal("up").stdout
    facts = told(bal("up", "--json"))
    assert facts == {
        name: value for name, value in json.loads(layout.facts.read_text()).items() if name != "version"
    }
    status = told(bal("status", "--json"))
    assert status["ok"] is True
    assert [(each["name"], each["ok"], each["found"]) for each in status["servers"]] == [
        ("one", True, "it answered"),
        ("two", True, "it answered"),
    ]
    pids = status["servers"][0]["processes"]
    assert sorted(pids) == ["one-one", "one-one-side"]
    Process("one-one", (), layout).kill()
    broken = told(bal("status", "--json", code=2))
    assert (broken["ok"], broken["servers"][0]["found"]) == (False, "not running: one-one")
    assert "FAIL" in bal("status", code=2).stdout
    assert told(bal("status", "--only", "two", "--json"))["ok"] is True
    bal("up")
    assert told(bal("status", "--json"))["ok"] is True
    assert bal("down").stdout == "stopped\n"
    assert told(bal("status", "--json", code=2))["servers"][1]["processes"] == {"two-two": None}


def test_only_some_servers(bal: Bal, layout: Layout) -> None:
    bal("install", "--only", "two")
    bal("up", "--only", "two")
    assert [each["name"] for each in told(bal("status", "--json"))["servers"]] == ["two"]
    with pytest.raises(NotFound, match="not installed"):
        bal("up")
    with pytest.raises(NotFound, match="no such server"):
        bal("up", "--only", "three")
    bal("down", "--json")
    assert left.named(layout) == []


def test_fresh_asks_before_it_throws_away(bal: Bal, layout: Layout) -> None:
    bal("install")
    bal("up")
    data = layout.server("one") / "data"
    data.write_text("mine")
    refused = bal("up", "--fresh", typed="n\n", code=1)
    assert "Throw away the data of one, two" in refused.stderr
    assert data.read_text() == "mine"
    assert told(bal("status", "--json"))["ok"] is True
    bal("up", "--fresh", typed="y\n")
    assert data.read_text() == "answer"
    data.write_text("mine")
    bal("up", "--fresh", "--yes", "--only", "two")
    assert data.read_text() == "mine"


def test_fresh_throws_nothing_away_that_is_no_stack(bal: Bal, layout: Layout) -> None:
    bal("install")
    for name in ("pki", "one", "thesis"):
        (layout.path / name).mkdir(parents=True)
        (layout.path / name / "theirs").touch()
    layout.path.chmod(0o755)
    for words in (("--yes",), ()):  # not even asked
        with pytest.raises(Misconfigured, match="holds something else"):
            bal("up", "--fresh", *words)
    assert bal("down").stdout == "stopped\n"
    assert sorted(path.name for path in layout.path.glob("*/theirs")) == ["theirs"] * 3
    assert sorted(path.name for path in layout.path.iterdir()) == ["one", "pki", "thesis"]
    assert layout.path.stat().st_mode & 0o777 == 0o755


def test_ports_are_named(bal: Bal) -> None:
    bal("install")
    port = told(bal("up", "--json"))["ports"]["two"]["two"]
    bal("down")
    assert told(bal("up", "--port", f"two={port + 777}", "--json"))["ports"]["two"]["two"] == port + 777
    for wrong in ("two", "two=", "two=x", "two=0", "two=65536", "none=1"):
        with pytest.raises(Malformed):
            bal("up", "--port", wrong)


def test_logs_of_a_server_and_of_a_process(bal: Bal) -> None:
    bal("install")
    with pytest.raises(NotFound):
        bal("logs", "one")
    ports = told(bal("up", "--json"))["ports"]["one"]
    assert bal("logs", "one").stdout == (
        f"one-one: listening on {ports['one']}\none-one-side: listening on {ports['one-side']}\n"
    )
    assert bal("logs", "one-one").stdout == f"listening on {ports['one']}\n"
    assert told(bal("logs", "one-one", "--json")) == {
        "process": "one-one",
        "line": f"listening on {ports['one']}",
    }
    assert bal("logs", "one-one", "-n", "0").stdout == ""


def test_doctor_tells_what_is_amiss(bal: Bal, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bal.stack.examination._FREE_MIB", 1)
    assert (
        "FAIL one: installed: not yet: `bal stack install` gets one 1.0, 1 MB" in bal("doctor", code=1).stdout
    )
    bal("install")
    bal("up")
    assert "FAIL" not in bal("doctor").stdout
    monkeypatch.setattr("bal.stack.room.available_memory", lambda: 1)
    assert "ok   memory: all servers run" in bal("doctor").stdout  # what they took is not wanted again
    bal("down", "--only", "two")
    assert "ok   memory: enough to start two" in bal("doctor").stdout
    bal("down")
    assert (
        "FAIL memory: 1 MiB available, 2 MiB of memory for one, two wanted; end other programs"
        in bal("doctor", code=1).stdout
    )
    monkeypatch.setattr("bal.stack.room.available_memory", lambda: 2)
    assert "ok   one: ports: free" in bal("doctor").stdout
    layout.pid("one-one").write_text("1 1\n")
    assert "FAIL processes: ended without being stopped: one-one" in bal("doctor", code=1).stdout
    layout.pid("one-one").unlink()
    os.utime(layout.facts, (2**32, 2**32))
    assert "behind the time at which this stack was started" in bal("doctor", code=1).stdout
    known = {"lacking": (fakes.__name__, "Lacking")}
    monkeypatch.setattr(servers, "SERVERS", known)
    lines = [json.loads(line) for line in bal("doctor", "--json", code=1).stdout.splitlines()]
    assert lines[0] == {"what": "lacking: JDK 17", "ok": False, "found": "Java 25; install a JDK 17"}


def admit(_self: Fake, _layout: Layout, ports: dict[str, int], guest: Guest) -> dict[str, object]:
    (port,) = list(ports.values())[:1]
    return {"store": "cassandra", "cassandra": {"port": port, "role": guest.name + guest.audits}}


def test_connect_writes_settings_over_those_of_the_home(
    bal: Bal, layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fake, "admit", admit)
    home = tmp_path / "home"
    home.mkdir()
    before = '# mine\nworkers = 3\n[cassandra]\nkeyspace = "mine"\nport = 1\n'
    (home / "bal.toml").write_text(before)
    bal("install")
    ports = told(bal("up", "--json"))["ports"]
    for _ in range(2):
        bal("connect", "--home", str(home), "--name", "dso-a")
        settings = load(home)
        assert (settings.workers, settings.store) == (3, "cassandra")
        assert settings.cassandra.model_dump(include={"keyspace", "port", "role"}) == {
            "keyspace": "mine",
            "port": ports["two"]["two"],
            "role": "dso-a",
        }
        assert settings.pki.path == layout.pki
        assert (home / "bal.toml.old").read_text() == before
    assert (home / "bal.toml").stat().st_mode & 0o077 == 0


def test_disconnect_takes_the_rights_and_says_where(
    bal: Bal, layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dismissed: list[tuple[str, str]] = []

    def dismiss(self: Fake, _layout: Layout, _ports: dict[str, int], name: str) -> bool:
        dismissed.append((self.name, name))
        return True

    monkeypatch.setattr(Fake, "dismiss", dismiss)
    with pytest.raises(NotFound, match="no stack in this folder"):
        bal("disconnect", "dso-a")
    bal("install")
    bal("up")
    with pytest.raises(NotFound, match="nobody of this name"):
        bal("disconnect", "dso-a")
    monkeypatch.setattr(Fake, "admit", admit)
    bal("connect", "--home", str(tmp_path / "home"), "--name", "dso-a")
    said = bal("disconnect", "dso-a").stdout
    assert said == "dso-a has no rights left at one, two; what it stored and anchored stays\n"
    assert sorted(dismissed) == [("one", "dso-a"), ("two", "dso-a")]
    assert told(bal("disconnect", "dso-a", "--json")) == {"disconnected": "dso-a", "servers": ["one", "two"]}
    with pytest.raises(Malformed):
        bal("disconnect", "DSO")


def test_an_auditors_home_names_no_ca_of_the_operator(
    bal: Bal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fake, "admit", admit)
    bal("install")
    bal("up")
    home = tmp_path / "audit"
    bal(
        "connect",
        "--home",
        str(home),
        "--name",
        "eye",
        "--organisation",
        "regulator",
        "--auditor-of",
        "dso-a",
    )
    assert load(home).cassandra.role == "eyedso-a"
    assert load(home).pki.path is None
    assert not (home / "bal.toml.old").exists()


def test_what_does_not_fit_is_not_written(bal: Bal, tmp_path: Path) -> None:
    bal("install")
    bal("up")
    home = tmp_path / "home"
    with pytest.raises(Misconfigured):  # the fakes' settings are none of ours
        bal("connect", "--home", str(home), "--name", "dso-a")
    assert list(home.iterdir()) == []
    for wrong in (
        ["--name", "DSO"],
        ["--name", "a", "--auditor-of", "B"],
        ["--name", "a", "--organisation", "x"],
    ):
        with pytest.raises(Malformed):
            bal("connect", "--home", str(home), *wrong)
