import json
import stat
from pathlib import Path

import pytest

from bal.core.errors import Conflict, Malformed, Misconfigured, NotFound
from bal.gateway.clients import Clients
from tests.unit.gateway.world import CHEAP, NOW, StandingClock


@pytest.fixture
def clients(tmp_path: Path) -> Clients:
    return Clients(tmp_path / "clients.json", StandingClock(), CHEAP)


def test_a_secret_is_shown_once_and_kept_hashed(clients: Clients, tmp_path: Path) -> None:
    secret = clients.add("market", ["readings", "certificates", "readings"], ["dso-a"])
    assert len(secret) >= 43
    path = tmp_path / "clients.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret not in path.read_text()
    assert "$argon2id$" in path.read_text()
    client = clients.get("market")
    assert client is not None
    assert client.scopes == ("readings", "certificates")
    assert client.created_at == NOW
    assert "secret" not in json.dumps(client.to_json())
    assert "$argon2" not in repr(client)
    assert clients.matches(client, secret)
    assert not clients.matches(client, secret + "x")
    assert not clients.matches(None, secret)
    assert not clients.matches(client, "x" * 100_000)
    assert list(tmp_path.iterdir()) == [path]


def test_another_process_sees_what_one_wrote(clients: Clients, tmp_path: Path) -> None:
    other = Clients(tmp_path / "clients.json", StandingClock(), CHEAP)
    assert other.list() == []
    clients.add("b", ["readings"], ["*"])
    clients.add("a", ["readings"], ["dso-a", "dso-b"])
    assert [client.name for client in other.list()] == ["a", "b"]
    other.revoke("a")
    assert clients.get("a") is None


def test_registered_again_it_is_another(clients: Clients) -> None:
    first = clients.add("market", ["readings"], ["dso-a"])
    before = clients.get("market")
    with pytest.raises(Conflict):
        clients.add("market", ["readings"], ["dso-a"])
    clients.revoke("market")
    with pytest.raises(NotFound):
        clients.revoke("market")
    second = clients.add("market", ["readings"], ["dso-a"])
    after = clients.get("market")
    assert before is not None
    assert after is not None
    assert before.key != after.key
    assert not clients.matches(after, first)
    assert clients.matches(after, second)


@pytest.mark.parametrize(
    ("name", "scopes", "sources", "ingest_as"),
    [
        ("No Name", ["readings"], ["dso-a"], ""),
        ("market", [], ["dso-a"], ""),
        ("market", ["everything"], ["dso-a"], ""),
        ("market", ["readings"], [], ""),
        ("market", ["readings"], ["../dso"], ""),
        ("market", ["ingest"], ["dso-a", "dso-b"], ""),
        ("market", ["ingest"], ["*"], ""),
        ("market", ["ingest"], ["*"], "*"),
        ("market", ["ingest"], ["*"], "No Name"),
        ("market", ["readings"], ["dso-a"], "dso-a"),
    ],
)
def test_what_is_no_client(
    clients: Clients, name: str, scopes: list[str], sources: list[str], ingest_as: str
) -> None:
    with pytest.raises(Malformed):
        clients.add(name, scopes, sources, ingest_as)
    assert clients.list() == []


def test_it_sends_as_one_source(clients: Clients) -> None:
    clients.add("server", ["ingest"], ["dso-a"])
    clients.add("both", ["ingest", "readings"], ["*"], "dso-b")
    assert {client.name: client.ingest_as for client in clients.list()} == {
        "server": "dso-a",
        "both": "dso-b",
    }


@pytest.mark.parametrize(
    "text", ["{", "[1]", '[{"name": "a"}]', '[{"name": "a", "scopes": 1, "sources": 2}]']
)
def test_a_damaged_file_opens_no_door(clients: Clients, tmp_path: Path, text: str) -> None:
    (tmp_path / "clients.json").write_text(text)
    with pytest.raises(Misconfigured):
        clients.get("a")
