"""What one peer of another organisation can do by its answers: nothing, whatever it says, or by giving none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bal.anchor.fabric.channel import Committed
from bal.anchor.fabric.ledger import FabricLedger
from bal.core.errors import LedgerOutcomeUnknown, LedgerRefused, LedgerUnavailable
from bal.lane.anchoring import Anchoring
from bal.lane.settings import LaneSettings
from bal.verify.peers import compare_peers
from bal.verify.report import AuditReport, Finding
from chaincode.anchor import Anchor
from chaincode.chain import Head
from tests.unit.anchor.embedded.home import chain
from tests.unit.anchor.fabric.conftest import DSO, MARKET, REGULATOR, Clock
from tests.unit.anchor.fabric.network import FakeChannel, Network, Peer

SENSELESS = [b"", b"no JSON", b"{}", b"[]", b"5", b"null", b'[{"log": "bal-1"}]', b"[" * 100_000]


@pytest.fixture
async def anchored(ledger: FabricLedger) -> list[Anchor]:
    """Three anchors that follow one another, the first of them on the ledger."""
    anchors = chain(3)
    await ledger.anchor(anchors[:1])
    return anchors


def channel(ledger: FabricLedger) -> Any:
    return ledger._channel


async def invents(peer: Peer, ledger: FabricLedger, anchor: Anchor) -> None:
    """Let a peer answer as if `anchor` stood on the ledger, in the transaction of another."""
    standing = json.loads(await channel(ledger).evaluate("GetAnchor", ["bal-1", "0"]))
    record = json.dumps({**standing, **anchor.to_json()}).encode()
    head = {"log": anchor.log, "next": anchor.seq + 1, "hash": anchor.hash}
    peer.lies |= {
        "GetAnchor": record,
        "ListAnchors": b"[" + record + b"]",
        "GetHead": json.dumps(head).encode(),
    }


def lose(ledger: FabricLedger, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Lose submissions before any orderer has them."""
    left = [None] * times
    submit = channel(ledger).submit

    async def lost(*args: Any, **more: Any) -> Committed:
        if left:
            left.pop()
            raise LedgerOutcomeUnknown("the connection broke")
        done: Committed = await submit(*args, **more)
        return done

    monkeypatch.setattr(channel(ledger), "submit", lost)


@pytest.mark.parametrize("tag", ["a", "b"])
async def test_an_invented_anchor_settles_nothing(
    network: Network,
    clock: Clock,
    ledger: FabricLedger,
    anchored: list[Anchor],
    monkeypatch: pytest.MonkeyPatch,
    tag: str,
) -> None:
    """Neither is ours taken for anchored, nor another one in its place for a fork."""
    invented = chain(1, start=1, previous=anchored[0].hash, tag=tag)[0]
    await invents(network.peers[MARKET], ledger, invented)
    assert await ledger.find("bal-1", 1) is None
    head = await ledger.head("bal-1")
    assert head is not None
    assert head.anchor == anchored[0]
    lose(ledger, monkeypatch, 1)
    done = await Anchoring(ledger, clock, LaneSettings(settle_seconds=3)).commit(anchored[1:])
    assert [each.anchor for each in done] == anchored[1:]
    assert [each.anchor async for each in ledger.anchors("bal-1")] == anchored


async def test_while_the_own_peer_is_silent_two_others_must_agree(
    network: Network, ledger: FabricLedger, anchored: list[Anchor]
) -> None:
    await invents(network.peers[MARKET], ledger, anchored[1])
    network.peers[DSO].silent = True
    for work in (ledger.find("bal-1", 0), ledger.find("bal-1", 1)):
        with pytest.raises(LedgerUnavailable):
            await work
    network.peers[MARKET].lies.clear()
    found = await ledger.find("bal-1", 0)
    assert found is not None
    assert found.anchor == anchored[0]
    assert await ledger.find("bal-1", 1) is None
    network.peers[REGULATOR].silent = True
    with pytest.raises(LedgerUnavailable):
        await ledger.find("bal-1", 0)


async def test_a_peer_can_not_move_an_anchor_into_another_block(
    network: Network, clock: Clock, ledger: FabricLedger, anchored: list[Anchor]
) -> None:
    (standing,) = [each async for each in ledger.anchors("bal-1")]
    network.peers[MARKET].blocks_of[standing.tx_id] = standing.block - 1
    fresh = FabricLedger(channel(ledger), clock)
    assert await fresh.find("bal-1", 0) == standing
    network.peers[DSO].silent = True
    with pytest.raises(LedgerUnavailable):
        await FabricLedger(channel(ledger), clock).find("bal-1", 0)


async def test_a_commit_told_by_another_organisation_is_looked_up(
    ledger: FabricLedger, anchored: list[Anchor], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = await ledger.anchor(anchored[:2])

    async def says(*_: object, **__: object) -> Committed:
        records = [{**anchor.to_json(), **made} for anchor in anchored[2:]]
        return Committed(json.dumps(records).encode(), done[1].tx_id, done[1].block, ledger.peers[MARKET])

    made = {"tx_id": done[1].tx_id, "time": done[1].time, "organisation": "DsoMSP", "suspended": []}
    with monkeypatch.context() as patch:
        patch.setattr(channel(ledger), "submit", says)
        with pytest.raises(LedgerOutcomeUnknown):
            await ledger.anchor(anchored[2:])
    assert (await ledger.anchor(anchored[2:]))[0].anchor == anchored[2]


@pytest.mark.parametrize("missing", [MARKET, REGULATOR])
async def test_a_silent_peer_does_not_keep_a_refused_batch_from_being_carried_over(
    network: Network, clock: Clock, ledger: FabricLedger, missing: int
) -> None:
    """That an anchor is not there is known from one's own peer and one other."""
    network.peers[missing].silent = True
    assert await ledger.find("bal-1", 0) is None
    with pytest.raises(LedgerRefused):
        await Anchoring(ledger, clock, LaneSettings()).commit(chain(3)[2:])
    network.peers[DSO].silent = True
    with pytest.raises(LedgerUnavailable):
        await ledger.find("bal-1", 0)


@pytest.mark.parametrize("said", SENSELESS)
@pytest.mark.parametrize(
    "function", ["GetHead", "GetAnchor", "ListAnchors", "ListEnds", "ListLogs", "GetSource"]
)
async def test_what_the_contract_never_says_is_no_answer(
    network: Network, clock: Clock, ledger: FabricLedger, anchored: list[Anchor], function: str, said: bytes
) -> None:
    network.peers[MARKET].lies[function] = said
    head = await ledger.head("bal-1")
    assert head is not None
    assert head.anchor == anchored[0]
    assert await ledger.find("bal-1", 1) is None
    assert not await ledger.suspended("dso-a")
    assert await ledger.logs() == ["bal-1"]
    (await ledger.anchor(anchored[1:2]))
    assert [each.anchor async for each in ledger.anchors("bal-1")] == anchored[:2]
    report = AuditReport()
    regulator = FabricLedger(network.channel("RegulatorMSP"), clock, own=True)
    await compare_peers(regulator, report, clock, named=["bal-1"])
    address = ledger.peers[MARKET]
    unasked = function in {"ListAnchors", "ListLogs", "GetSource"} or (function, said) == ("ListEnds", b"[]")
    expected = set() if unasked else {Finding("peer_silent", address)}
    assert set(report.findings) == expected


async def test_one_that_lists_its_logs_over_and_over_is_left(
    network: Network, clock: Clock, ledger: FabricLedger, anchored: list[Anchor]
) -> None:
    network.peers[MARKET].lies["ListEnds"] = json.dumps([Head("bal-1").to_json()]).encode()
    regulator = FabricLedger(network.channel("RegulatorMSP"), clock, own=True)
    report = AuditReport()
    async with asyncio.timeout(10):
        await compare_peers(regulator, report, clock)
    assert report.findings == [Finding("peer_silent", ledger.peers[MARKET])]


class OneGateway(FakeChannel):
    """The DSO's own gateway alone is known; it has the market's peer endorse with its own."""

    @property
    def members(self) -> dict[str, str]:
        return dict([*super().members.items()][:1])


@pytest.fixture
async def alone(network: Network, clock: Clock, ledger: FabricLedger) -> FabricLedger:
    made = network.channel("DsoMSP")
    return FabricLedger(OneGateway(network, made._identity, made._peers), clock)


async def test_with_one_gateway_an_endorser_behind_closes_no_log(
    network: Network, clock: Clock, alone: FabricLedger
) -> None:
    anchors = chain(2)
    network.peers[MARKET].behind = True
    await alone.anchor(anchors[:1])
    clock.wakes[MARKET] = clock.monotonic() + 1
    assert (await alone.anchor(anchors[1:]))[0].anchor == anchors[1]
    begun = clock.monotonic()
    with pytest.raises(LedgerRefused):
        await alone.anchor(chain(4)[3:])
    assert 5 < clock.monotonic() - begun < 10


async def test_what_was_seen_on_the_ledger_is_not_refused_as_a_gap_by_peers_behind(
    network: Network, clock: Clock, alone: FabricLedger
) -> None:
    anchors = chain(2)
    await alone.anchor(anchors[:1])
    for peer in network.peers:
        peer.lies.clear()
        peer.state.write("head/bal-1", b'{"hash":"' + b"0" * 64 + b'","log":"bal-1","next":0}', (0, 0))
    with pytest.raises(LedgerUnavailable):
        await alone.anchor(anchors[1:])


async def test_one_that_hangs_is_not_waited_for_in_every_call(
    network: Network, ledger: FabricLedger, anchored: list[Anchor]
) -> None:
    network.peers[MARKET].silent = True
    market = network.peers[MARKET]
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: ledger.head("bal-1"),
        lambda: ledger.find("bal-1", 1),
        lambda: ledger.suspended("dso-a"),
    ]
    asked = market.asked
    for call in calls * 10:
        await call()
    assert market.asked == asked + 1


@pytest.mark.parametrize("code", ["malformed", "fork", "not_admin", "anchor_unknown"])
async def test_what_one_refuses_to_be_asked_is_no_answer(
    network: Network, clock: Clock, ledger: FabricLedger, anchored: list[Anchor], code: str
) -> None:
    market = network.peers[MARKET]
    market.refuses = dict.fromkeys(("GetHead", "GetAnchor", "ListAnchors", "ListLogs", "GetSource"), code)
    head = await ledger.head("bal-1")
    assert head is not None
    assert head.anchor == anchored[0]
    assert await ledger.find("bal-1", 1) is None
    assert not await ledger.suspended("dso-a")
    await ledger.set_rules("dso-a", "5a" * 32)
    assert await ledger.logs() == ["bal-1"]
    auditor = FabricLedger(network.channel("RegulatorMSP"), clock, own=True)
    assert await auditor.head("bal-1") == head
    assert await auditor.find("bal-1", 1) is None
    assert [each async for each in auditor.anchors("bal-1")] == [head]


async def test_what_the_own_peer_refuses_to_be_asked_is_told(
    network: Network, ledger: FabricLedger, anchored: list[Anchor]
) -> None:
    network.peers[DSO].refuses = {"GetHead": "malformed", "GetAnchor": "malformed"}
    for work in (ledger.head("bal-1"), ledger.find("bal-1", 0)):
        with pytest.raises(LedgerRefused):
            await work


@pytest.mark.parametrize("lost", [True, False])
async def test_an_unknown_outcome_is_settled_while_one_refuses_to_be_asked(
    network: Network,
    clock: Clock,
    ledger: FabricLedger,
    anchored: list[Anchor],
    monkeypatch: pytest.MonkeyPatch,
    lost: bool,
) -> None:
    network.peers[MARKET].refuses = {"GetAnchor": "malformed", "ListAnchors": "malformed"}
    if lost:
        lose(ledger, monkeypatch, 1)
    else:
        network.lose_outcomes = 1
    done = await Anchoring(ledger, clock, LaneSettings(settle_seconds=3)).commit(anchored[1:])
    assert [each.anchor for each in done] == anchored[1:]


async def test_an_auditor_waits_for_his_own_peer_whatever_head_another_one_makes_up(
    network: Network, clock: Clock, ledger: FabricLedger, anchored: list[Anchor]
) -> None:
    network.peers[MARKET].lies["GetHead"] = b'{"hash":"' + b"ab" * 32 + b'","log":"bal-1","next":99}'
    auditor = FabricLedger(network.channel("RegulatorMSP"), clock, own=True)
    assert await auditor.head("bal-1") is not None
    network.peers[REGULATOR].behind = True
    (newest,) = (await ledger.anchor(anchored[1:2]))[-1:]
    clock.wakes[REGULATOR] = clock.monotonic() + 4
    assert await auditor.head("bal-1") == newest
    begun = clock.monotonic()
    assert await auditor.head("bal-1") == newest
    assert clock.monotonic() == begun
