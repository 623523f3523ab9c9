"""`bal audit` by the command, of a home on Fabric: the peers compared, the logs it has to find."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from bal.anchor.fabric.gateways import GatewayChannel
from bal.anchor.fabric.ledger import FabricLedger
from bal.cli import audit, verify
from bal.core.errors import Malformed, Misconfigured
from bal.core.source import Lane, Source
from bal.stack.toml import written
from bal.store.sqlite import SqliteStore
from bal.system import SystemClock
from tests.unit.anchor.embedded.home import SteppingClock, chain
from tests.unit.anchor.fabric.conftest import DSO, MARKET, REGULATOR
from tests.unit.anchor.fabric.network import ORGANISATIONS, Network
from tests.unit.store.rows import batch, reading

app = typer.Typer()
audit.register(app)
verify.register(app)


class Case:
    """A database of two batches of the DSO on the ledger, in the regulator's folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.network = Network()
        self.dso = FabricLedger(self.network.channel("DsoMSP"), SystemClock())
        self.peers = [peer.address for peer in self.network.peers]
        self.told()
        asyncio.run(self._begin())

    def told(self, msp: str = "RegulatorMSP", **settings: Any) -> None:
        """Write the settings of whoever audits, his own peer first."""
        gateways = [
            {"address": peer.address, "msp": peer.msp, "ca": "ca.pem"}
            for peer in sorted(self.network.peers, key=lambda peer: peer.msp != msp)
        ]
        fabric = {"msp": msp, "certificate": "c.pem", "key": "k.pem", "gateways": gateways}
        (self.home / "bal.toml").write_text(written({"ledger": "fabric", **settings, "fabric": fabric}))

    async def _begin(self) -> None:
        await self.dso.register_log("dso-1")
        await self.dso.register_source("dso-a")
        store = SqliteStore(self.home / "scd.sqlite")
        await store.record_source(Source(name="dso-a", lane="dso-1"))
        await store.record_lane(Lane("dso-1", "dso-1"))
        first = batch([reading("1"), reading("2", 1)], None, log="dso-1")
        for each in (first, batch([reading("3", 2)], first.anchor, log="dso-1")):
            await store.append_batch(each)
            await store.mark_anchored(await self.dso.anchor([each.anchor]))
        await store.close()

    async def write(self, log: str, source: str, ledger: FabricLedger) -> None:
        """Anchor a batch that the database does not have."""
        await ledger.register_log(log)
        await ledger.register_source(source)
        await ledger.anchor(chain(1, log=log, source=source))

    def found(self, *options: str) -> set[tuple[str, str]]:
        answer = CliRunner().invoke(app, ["audit", "--json", "--home", str(self.home), *options])
        report = json.loads(answer.stdout)
        assert answer.exit_code == (1 if report["findings"] else 0)
        assert report["readings"] == 3
        return {(each["kind"], each["address"]) for each in report["findings"]}


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    made = Case(tmp_path)

    async def opened(access: Any) -> Any:
        channel = made.network.channel(access.msp)
        channel._peers = [
            peer for each in access.gateways for peer in made.network.peers if peer.address == each.address
        ]
        return channel

    monkeypatch.setattr(GatewayChannel, "open", opened)
    monkeypatch.setattr("bal.bootstrap.reading.SystemClock", SteppingClock)
    return made


def test_peers_that_agree_are_clean(case: Case) -> None:
    assert case.found() == set()
    assert case.found("--peer", case.peers[REGULATOR], "--peer", case.peers[DSO]) == set()


def test_a_silent_peer_is_a_finding(case: Case) -> None:
    case.network.peers[MARKET].silent = True
    assert case.found() == {("peer_silent", case.peers[MARKET])}


@pytest.mark.parametrize("which", [DSO, MARKET])
def test_a_peer_put_back_to_an_older_copy_is_a_finding(case: Case, which: int) -> None:
    peer, fresh = case.network.peers[which], Network().peers[which]
    peer.state, peer.blocks, peer.applied, peer.behind = fresh.state, fresh.blocks[:1], 1, True
    assert case.found() == {("peer_differs", peer.address)}


def test_the_peer_named_first_must_be_ones_own(case: Case) -> None:
    answer = CliRunner().invoke(app, ["audit", "--home", str(case.home), "--peer", case.peers[DSO]])
    assert isinstance(answer.exception, Misconfigured)


@pytest.mark.parametrize("log", ["dso-1-2", "dso-2"])
def test_a_lane_that_the_database_does_not_know_is_missed(case: Case, log: str) -> None:
    """With its sources removed as well there is only the ledger to tell of it, and what the auditor was told."""
    asyncio.run(case.write(log, "dso-gone", case.dso))
    market = FabricLedger(case.network.channel("MarketMSP"), SystemClock())
    asyncio.run(case.write("bal-1", "market-a", market))  # the lane of no name is nobody's in particular
    missing = {("batch_missing", f"{log}:0")}
    assert case.found() == set()
    assert case.found("--owner", "DsoMSP") == missing
    case.told(lanes=["dso-1", "dso-2"])
    assert case.found() == missing
    case.told("DsoMSP", lanes=["dso-1", "dso-2"])
    assert case.found() == missing


def test_organisations_are_there_on_fabric_only(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "scd.sqlite")
    answer = CliRunner().invoke(app, ["audit", "--home", str(tmp_path), "--owner", ORGANISATIONS[0]])
    assert isinstance(answer.exception, Malformed)
