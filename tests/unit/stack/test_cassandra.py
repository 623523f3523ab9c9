"""What the Cassandra of a stack is told, without starting it."""

import importlib
import importlib.util
from pathlib import Path

import pytest
import yaml

import bal.store.cassandra as room
from bal.core.errors import Misconfigured
from bal.resources import resource
from bal.stack import toolchain
from bal.stack.cassandra import HEAP_VARIABLE, SYNC_VARIABLE, Cassandra
from bal.stack.cassandra_guests import keyspace_of
from bal.stack.layout import Layout
from bal.store.cassandra.access import CassandraAccess

PORTS = {"cassandra": 1, "cassandra-storage": 2, "cassandra-storage-tls": 3}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "stack", tmp_path / "cache")


@pytest.mark.parametrize("sync", ["batch", "group", "periodic"])
def test_its_configuration_asks_everybody_for_everything(layout: Layout, sync: str) -> None:
    layout.path.mkdir()
    Cassandra(sync)._configure(layout, PORTS)
    written = yaml.safe_load((layout.server("cassandra") / "cassandra.yaml").read_text())
    tls = written["client_encryption_options"]
    assert (tls["enabled"], tls["optional"], tls["require_client_auth"]) == (True, False, True)
    assert written["authenticator"] == "PasswordAuthenticator"
    assert written["authorizer"] == "CassandraAuthorizer"
    assert written["commitlog_sync"] == sync
    assert not written["allow_filtering_enabled"]
    addresses = {value for name, value in written.items() if name.endswith("_address")}
    assert addresses == {"127.0.0.1"}
    assert (layout.server("cassandra") / "node.pem").stat().st_mode & 0o077 == 0
    options = (resource("scd") / "jvm.options").read_text()
    assert "-Dcom.sun.net.ssl.checkRevocation=true" in options


def test_a_node_alone_syncs_before_it_answers_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Cassandra().sync == "batch"
    monkeypatch.setenv(SYNC_VARIABLE, "periodic")
    assert Cassandra().sync == "periodic"
    monkeypatch.setenv(SYNC_VARIABLE, "never")
    with pytest.raises(Misconfigured, match="commit log"):
        Cassandra()


def test_its_heap_is_a_choice(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "java", lambda _major: Path("java"))
    monkeypatch.setenv(HEAP_VARIABLE, "512m")
    (process,) = Cassandra().processes(layout, PORTS)
    assert {"-Xms512m", "-Xmx512m"} <= set(process.argv)


def test_keyspaces_differ_as_names_do_and_fit() -> None:
    names = ["dso-a", "dso-b", "a" * 44, *("a" * 45 + last for last in "abc")]
    keyspaces = [keyspace_of(name) for name in names]
    assert keyspaces[0] == "bal_dso_a"
    assert len(set(keyspaces)) == len(names)
    assert max(map(len, keyspaces)) <= 48


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(Misconfigured) as caught:
        importlib.reload(room)
    assert "bal[cassandra]" in caught.value.remedy
    monkeypatch.undo()
    importlib.reload(room)


def test_an_access_says_which_file_is_no_good(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no file"):
        CassandraAccess().password()
    with pytest.raises(Misconfigured, match="cannot be read"):
        CassandraAccess(password_file=tmp_path / "none").password()
    assert CassandraAccess().tls() is None
    (tmp_path / "ca.crt").write_text("no certificate")
    with pytest.raises(Misconfigured, match="cannot be read"):
        CassandraAccess(ca=tmp_path / "ca.crt").tls()
