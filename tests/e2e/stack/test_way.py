"""The whole way on the real servers: stock clients in and out, the regulator checks by his own peer."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bal.config import load
from bal.core.errors import StoreFailed
from tests.cassandra_field import connected
from tests.e2e import documents
from tests.e2e.command import Shell
from tests.e2e.stack.world import Dso, Listener, access, named_files, peer_query
from tests.grid import Grid

pytestmark = pytest.mark.timeout(600)


class Arrived(NamedTuple):
    """What a document became."""

    kafka: dict[str, Any]
    topic: str
    mqtt: list[dict[str, Any]]


@pytest.fixture(scope="module")
def arrived(grid: Grid, north: Dso) -> Arrived:
    """Send one document, by its stock client; return what both subscribers got, by theirs."""
    (topic,) = north.handed["mqtt"]
    listener = Listener(grid, north.subscriber_files, f"{north.subscriber}-way", topic)
    north.send(documents.one("12500"))
    ((where, payload),) = listener.received(1)
    certified = json.loads(payload)
    return Arrived(north.consumed(certified[0]["address"]), where, certified)


def test_both_subscribers_receive_the_certificate(north: Dso, arrived: Arrived) -> None:
    certificate = arrived.kafka
    entry = certificate["entry"]
    assert (entry["source"], entry["value"], entry["unit"]) == (north.source, "12500", "Wh")
    assert certificate["address"].startswith(f"{north.log}:")
    assert (certificate["anchor"]["ledger"], certificate["anchor"]["organisation"]) == ("fabric", "DsoMSP")
    assert arrived.mqtt == [certificate]
    assert arrived.topic == f"bal/{north.source}/certified/{entry['point']}"


def test_the_regulator_verifies_it_by_his_peer(regulator: Shell, arrived: Arrived, tmp_path: Path) -> None:
    text = json.dumps(arrived.kafka)
    (tmp_path / "certificate.json").write_text(text)
    verdict = regulator.done("verify", tmp_path / "certificate.json", "--json").value()
    assert verdict == {"valid": True, "reason": ""}
    (tmp_path / "forged.json").write_text(text.replace('"12500"', '"12501"'))
    answer = regulator("verify", tmp_path / "forged.json", "--json")
    assert (answer.code, answer.value()["valid"]) == (1, False)


def test_the_peers_own_command_shows_the_anchor_of_the_certificate(
    grid: Grid, north: Dso, regulator: Shell, arrived: Arrived, tmp_path: Path
) -> None:
    anchor = arrived.kafka["anchor"]
    found = peer_query(grid, regulator, tmp_path, "GetAnchor", north.log, str(anchor["seq"]))
    told = ("log", "seq", "root", "size", "previous", "first", "last", "counts", "rules", "tx_id", "time")
    assert {name: found[name] for name in told} == {name: anchor[name] for name in told}


def test_the_regulator_audits_alone_with_no_key_of_the_operator(
    grid: Grid, north: Dso, regulator: Shell, arrived: Arrived
) -> None:
    assert arrived.kafka
    assert sorted(path.name for path in regulator.home.iterdir()) == ["bal.toml"]
    operators = set(named_files(north.settings.model_dump()))
    his = set(named_files(load(regulator.home).model_dump()))
    both = {path for path in operators & his if path.is_file()}
    assert [path.name for path in both if b"PRIVATE" in path.read_bytes()] == []  # of CAs the certificates
    assert [path for path in his if "admin" in str(path.relative_to(grid.layout.path))] == []
    organisations = grid.real.facts("fabric")["organisations"]
    own = organisations["regulator"]["address"]
    others = [organisations[name]["address"] for name in ("dso", "market")]
    for chosen in ([], [own], [own, *others]):
        words = [word for peer in chosen for word in ("--peer", peer)]
        report = regulator.done("audit", "--json", *words).value()
        assert (report["ok"], report["findings"]) == (True, [])
        assert report["readings"] >= 1
    assert sorted(path.name for path in regulator.home.iterdir()) == ["bal.toml"]


async def test_his_role_reads_and_never_writes(north: Dso, regulator: Shell, arrived: Arrived) -> None:
    his, operator = access(regulator), access(north.service)
    assert his.keyspace == operator.keyspace
    assert his.role != operator.role
    entry = arrived.kafka["entry"]
    async with connected(his) as session:
        row = await session.one("SELECT * FROM readings LIMIT 1")
        assert row is not None
        for forbidden in (
            "TRUNCATE readings",
            "INSERT INTO leases (lane, holder) VALUES ('x', 'y')",
            f"DELETE FROM tiles WHERE log = '{north.log}' AND seq = 0",
            f"DELETE FROM batches WHERE log = '{north.log}' AND chunk = 0 AND seq = 0",
            "DROP TABLE readings",
        ):
            with pytest.raises(StoreFailed, match="may not"):
                await session.define(forbidden)
    refused = regulator("ingest", "-", "--source", north.source, stdin=documents.one("66601"))
    assert refused.code == 2, refused
    values = [row["value"] for row in north.service.readings(source=north.source)]
    assert entry["value"] in values
    assert "66601" not in values
    assert regulator.clean()["ok"]
