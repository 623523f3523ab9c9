"""REST on the real servers: a document by HTTPS, its certificate, and its erasure."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bal.core.address import Address
from bal.core.limits import TILE_LEAVES
from bal.store.cassandra.encoding import decode_tile
from bal.store.cassandra.strips import indexes_of
from tests.cassandra_field import connected
from tests.e2e import documents
from tests.e2e.command import Shell
from tests.e2e.service import Web
from tests.e2e.stack.world import Dso, access, peer_query
from tests.grid import Grid

pytestmark = pytest.mark.timeout(600)

SCOPES = ("readings", "query", "certificates", "verify", "ingest", "anchors")
VALUE, METER = "31337", "DE-REST-1"


@pytest.fixture(scope="module")
def web(north: Dso) -> Iterator[Web]:
    """Return a client with a token."""
    scopes = [word for scope in SCOPES for word in ("--scope", scope)]
    words = ("clients", "add", "rest-client", "--source", north.source, "--json", *scopes)
    made = north.service.done(*words).value()
    with Web(north.service, made["client_id"], made["client_secret"]) as web:
        assert web.authorize() == 200
        yield web


def send(web: Web, value: str, meter: str) -> tuple[int, int, int]:
    """Send a document of one reading; return status, accepted, rejected."""
    kind = {"content-type": "application/xml"}
    answer = web.post("/v1/ingest", content=documents.one(value, meter), headers=kind)
    receipt = answer.json()
    return answer.status_code, receipt.get("accepted", 0), receipt.get("rejected", 0)


async def test_from_https_to_certificate_to_erasure(
    grid: Grid, north: Dso, regulator: Shell, web: Web, tmp_path: Path
) -> None:
    assert send(web, VALUE, METER) == (202, 1, 0)
    assert send(web, "31338", "DE-REST-2") == (202, 1, 0)
    north.anchored(VALUE, "31338")
    (row,) = web.post("/v1/readings/query", json={"meters": [METER]}).json()["readings"]
    assert row["value"] == VALUE
    address = row["address"]
    assert address in {each["address"] for each in web.get("/v1/readings").json()["readings"]}
    certificate = web.get(f"/v1/certificates/{address}")
    assert web.post("/v1/verify", content=certificate.content).json() == {"valid": True, "reason": ""}
    (tmp_path / "certificate.json").write_bytes(certificate.content)
    assert regulator.done("verify", tmp_path / "certificate.json", "--json").value()["valid"]
    assert await stored(regulator, Address.parse(address)) == (1, True)

    erased = north.service.done("erase", address, "--why", "asked by the customer", "--json").value()
    assert web.post("/v1/readings/query", json={"meters": [METER]}).json()["readings"] == []
    assert VALUE not in {each["value"] for each in web.get("/v1/readings").json()["readings"]}
    assert web.get(f"/v1/certificates/{address}").status_code == 410
    assert await stored(regulator, Address.parse(address)) == (0, False)

    note = Address.parse(erased["noted_at"])
    text = north.service.done("certificate", str(note), "--json").out
    entry = json.loads(text)["entry"]
    assert (entry["type"], entry["address"], entry["why"]) == ("erasure", address, "asked by the customer")
    found = peer_query(grid, regulator, tmp_path, "GetAnchor", note.log, str(note.seq))
    assert found["root"] == json.loads(text)["anchor"]["root"]
    (tmp_path / "note.json").write_text(text)
    assert regulator.done("verify", tmp_path / "note.json", "--json").value()["valid"]

    assert send(web, "31339", METER)[1:] == (0, 1)  # of that measuring point and time nothing comes back
    for shell in (north.service, regulator):
        assert shell.clean()["findings"] == []


async def stored(shell: Shell, address: Address) -> tuple[int, bool]:
    """Return how many rows of readings have an address, and whether its tile or its batch's record holds its entry."""
    async with connected(access(shell)) as session:
        rows = [
            Address(log, seq, index)
            for log, seq, indexes in await session.all("SELECT log, seq, indexes FROM readings")
            for index in indexes_of(indexes)
        ]
        tile = await session.one(
            "SELECT contents FROM tiles WHERE log = ? AND seq = ? AND number = ?",
            (address.log, address.seq, address.index // TILE_LEAVES),
        )
        assert tile is not None
        entries = decode_tile(tile[0], str(address))
        payloads = await session.all(
            "SELECT seq, payload FROM batches WHERE log = ? AND chunk = 0", (address.log,)
        )
    assert [seq for seq, payload in payloads if seq == address.seq and payload] == []
    return rows.count(address), any(entry.index == address.index for entry in entries)
