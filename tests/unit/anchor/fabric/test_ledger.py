"""The ledger on Fabric over peers that lag, differ, fall silent or lie, and outcomes that get lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from bal.anchor.fabric.gateways import refusal
from bal.anchor.fabric.ledger import FabricLedger
from bal.bootstrap.fabric import fabric_access
from bal.config import FabricSettings
from bal.core.commitment import Commitment
from bal.core.errors import LedgerOutcomeUnknown, LedgerRefused, LedgerUnavailable, Misconfigured
from bal.fabric import ErrorDetail, EvaluateError
from bal.lane.anchoring import Anchoring
from bal.lane.settings import LaneSettings
from chaincode.errors import ContractError
from tests.unit.anchor.embedded.home import SteppingClock, chain
from tests.unit.anchor.fabric.conftest import DSO, MARKET, REGULATOR, Clock
from tests.unit.anchor.fabric.network import Network


def submissions(ledger: FabricLedger) -> int:
    return ledger._channel.submissions  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("late", [DSO, MARKET])
async def test_an_endorser_behind_is_waited_for(
    network: Network, clock: Clock, ledger: FabricLedger, late: int
) -> None:
    anchors = chain(2)
    network.peers[late].behind = True
    await ledger.anchor(anchors[:1])
    clock.wakes[late] = clock.monotonic() + 3
    assert (await ledger.anchor(anchors[1:]))[0].anchor == anchors[1]
    assert submissions(ledger) > 4
    assert [each.anchor async for each in ledger.anchors("bal-1")] == anchors


async def test_one_that_stays_behind_is_no_refusal(
    network: Network, clock: Clock, ledger: FabricLedger
) -> None:
    anchors = chain(2)
    network.peers[MARKET].behind = network.peers[REGULATOR].behind = True
    await ledger.anchor(anchors[:1])
    begun = clock.monotonic()
    with pytest.raises(LedgerUnavailable):
        await ledger.anchor(anchors[1:])
    assert 30 <= clock.monotonic() - begun < 40


@pytest.mark.parametrize("late", [DSO, MARKET])
async def test_where_one_stays_behind_the_others_are_named_to_endorse(
    network: Network, clock: Clock, ledger: FabricLedger, late: int
) -> None:
    """One's own too: a gateway asks its own organisation's peer first."""
    anchors = chain(4)
    network.peers[late].behind = True
    lane = Anchoring(ledger, clock, LaneSettings())
    done = [(await lane.commit([anchor]))[0] for anchor in anchors]
    assert [each.anchor for each in done] == anchors
    assert await ledger.head("bal-1") == done[-1]
    assert [await ledger.find("bal-1", seq) for seq in range(5)] == [*done, None]
    assert clock.monotonic() - SteppingClock().monotonic() < 5


async def test_a_gap_is_refused_while_a_peer_is_silent_but_not_at_once(
    network: Network, clock: Clock, ledger: FabricLedger
) -> None:
    network.peers[REGULATOR].silent = True
    begun = clock.monotonic()
    with pytest.raises(LedgerRefused) as refused:
        await ledger.anchor(chain(3)[2:])
    assert refused.value.code == "wrong_sequence"
    assert 5 < clock.monotonic() - begun < 10


async def test_a_gap_all_see_is_refused_at_once(clock: Clock, ledger: FabricLedger) -> None:
    begun = clock.monotonic()
    with pytest.raises(LedgerRefused):
        await ledger.anchor(chain(3)[2:])
    assert clock.monotonic() == begun


async def test_the_head_is_the_furthest_of_all_peers(network: Network, ledger: FabricLedger) -> None:
    done = await ledger.anchor(chain(2))
    network.peers[DSO].behind = True
    network.peers[DSO].state.write(
        "head/bal-1", b'{"hash":"' + b"0" * 64 + b'","log":"bal-1","next":0}', (0, 0)
    )
    assert await ledger.head("bal-1") == done[1]


@pytest.fixture
async def done(network: Network, clock: Clock, ledger: FabricLedger) -> list[Commitment]:
    """Three anchors on the ledger, of which one's own peer has one and is behind."""
    anchors = chain(3)
    first = await ledger.anchor(anchors[:1])
    network.peers[DSO].behind = True
    return first + await Anchoring(ledger, clock, LaneSettings()).commit(anchors[1:])


def silent(network: Network) -> None:
    network.peers[REGULATOR].silent = True


def empty(network: Network) -> None:
    network.peers[MARKET].lies["GetHead"] = b'{"hash":"' + b"0" * 64 + b'","log":"bal-1","next":0}'


@pytest.mark.parametrize("other", [silent, empty])
async def test_with_the_own_peer_behind_and_another_one_away_nothing_is_taken_for_cut(
    network: Network, clock: Clock, done: list[Commitment], other: Callable[[Network], None]
) -> None:
    other(network)
    fresh = FabricLedger(network.channel("DsoMSP"), clock)
    with pytest.raises(LedgerUnavailable):
        await fresh.head("bal-1")
    with pytest.raises(LedgerUnavailable):
        [each async for each in fresh.anchors("bal-1")]
    clock.wakes[DSO] = clock.monotonic() + 3
    assert await fresh.head("bal-1") == done[-1]
    assert [each async for each in fresh.anchors("bal-1")] == done


async def test_while_the_own_peer_is_behind_anchors_are_listed_to_the_end(
    network: Network, clock: Clock, ledger: FabricLedger, done: list[Commitment]
) -> None:
    begun = clock.monotonic()
    assert [each async for each in ledger.anchors("bal-1")] == done
    assert [each async for each in ledger.anchors("bal-1", 2)] == done[2:]
    assert [each async for each in ledger.anchors("bal-1", 3)] == []
    assert clock.monotonic() - begun < 5


@pytest.mark.parametrize("said", [b"[]", None])
async def test_anchors_that_nobody_lists_are_not_left_out(
    network: Network, clock: Clock, ledger: FabricLedger, done: list[Commitment], said: bytes | None
) -> None:
    """None: from the beginning again."""
    network.peers[DSO].behind = False
    network.catch_up()
    listed = await ledger._channel.evaluate("ListAnchors", ["bal-1", "0", "2"])
    for peer in network.peers:
        peer.lies["ListAnchors"] = listed if said is None else said
    begun = clock.monotonic()
    with pytest.raises(LedgerUnavailable):
        [each async for each in ledger.anchors("bal-1", 1)]
    assert clock.monotonic() - begun >= 30


async def test_one_that_stays_behind_is_waited_for_once(
    network: Network, clock: Clock, ledger: FabricLedger
) -> None:
    network.peers[REGULATOR].behind = True
    done = await ledger.anchor(chain(1))
    begun = clock.monotonic()
    for _ in range(20):
        assert await ledger.head("bal-1") == done[0]
    assert 2 <= clock.monotonic() - begun < 3
    auditor = FabricLedger(network.channel("RegulatorMSP"), clock, own=True)
    begun = clock.monotonic()
    for _ in range(20):
        assert await auditor.head("bal-1") is None
        assert await auditor.find("bal-1", 0) is None
    assert 7 <= clock.monotonic() - begun < 8
    network.peers[REGULATOR].behind = False
    network.catch_up()
    assert await auditor.head("bal-1") == done[0]
    assert await auditor.find("bal-1", 0) == done[0]


async def test_what_the_own_peer_has_not_yet_another_one_has(
    network: Network, clock: Clock, ledger: FabricLedger
) -> None:
    regulator = FabricLedger(network.channel("RegulatorMSP"), clock)
    network.peers[REGULATOR].behind = True
    done = await ledger.anchor(chain(1))
    assert await regulator.find("bal-1", 0) == done[0]


async def test_who_trusts_the_own_peer_alone_waits_for_it(
    network: Network, clock: Clock, ledger: FabricLedger
) -> None:
    regulator = FabricLedger(network.channel("RegulatorMSP"), clock, own=True)
    network.peers[REGULATOR].behind = True
    done = await ledger.anchor(chain(2))
    assert await regulator.find("bal-1", 0) is None
    assert await regulator.head("bal-1") is None
    assert [each async for each in regulator.anchors("bal-1")] == []
    clock.wakes[REGULATOR] = clock.monotonic() + 1
    regulator = FabricLedger(network.channel("RegulatorMSP"), clock, own=True)
    assert await regulator.find("bal-1", 0) == done[0]
    assert await regulator.head("bal-1") == done[1]
    assert [each async for each in regulator.anchors("bal-1")] == done
    network.peers[REGULATOR].silent = True
    with pytest.raises(LedgerUnavailable):
        await regulator.find("bal-1", 0)


async def test_without_two_peers_nothing_is_submitted_and_reading_goes_on(
    network: Network, ledger: FabricLedger
) -> None:
    done = await ledger.anchor(chain(1))
    network.peers[REGULATOR].silent = network.peers[MARKET].silent = True
    assert await ledger.head("bal-1") == done[0]
    blocks = len(network.order)
    with pytest.raises(LedgerUnavailable):
        await ledger.anchor(chain(2)[1:])
    network.peers[DSO].silent = True
    for work in (ledger.head("bal-1"), ledger.find("bal-1", 0), ledger.suspended("dso-a"), ledger.logs()):
        with pytest.raises(LedgerUnavailable, match="of one's own: no peer answers"):
            await work
    assert len(network.order) == blocks


async def test_a_lost_outcome_ends_in_one_anchor(
    network: Network, clock: Clock, ledger: FabricLedger
) -> None:
    anchors = chain(3)
    lane = Anchoring(ledger, clock, LaneSettings())
    network.lose_outcomes = 1
    first = await lane.commit(anchors[:1])
    assert first[0].anchor == anchors[0]
    network.peers[DSO].behind = network.peers[MARKET].behind = True
    network.lose_outcomes = 1
    clock.wakes = dict.fromkeys((DSO, MARKET), clock.monotonic() + 2)
    both = await lane.commit(anchors[1:])
    assert [each async for each in ledger.anchors("bal-1")] == [*first, *both]
    with pytest.raises(LedgerOutcomeUnknown):
        network.lose_outcomes = 1
        await ledger.anchor(chain(4)[3:])


async def test_registrations_are_tried_again_after_a_lost_outcome(
    network: Network, ledger: FabricLedger
) -> None:
    network.lose_outcomes = 2
    await ledger.register_log("bal-2")
    assert await ledger.logs() == ["bal-1", "bal-2"]


async def test_a_block_that_nobody_gives_is_no_commitment(
    network: Network, ledger: FabricLedger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.anchor(chain(1))
    monkeypatch.setattr(network, "where", lambda _tx_id: None)
    with pytest.raises(LedgerUnavailable):
        await FabricLedger(network.channel("DsoMSP"), clock).find("bal-1", 0)


async def test_logs_are_told_by_their_sources(ledger: FabricLedger, network: Network, clock: Clock) -> None:
    market = FabricLedger(network.channel("MarketMSP"), clock)
    await market.register_log("market-1")
    await market.register_source("market-a")
    await market.anchor(chain(1, log="market-1", source="market-a"))
    await ledger.anchor(chain(1))
    await ledger.register_log("bal-empty")
    regulator = FabricLedger(network.channel("RegulatorMSP"), clock)
    assert await regulator.logs() == []
    assert await regulator.logs_with({"dso-a"}) == ["bal-1"]
    assert await regulator.logs_with({"dso-a", "market-a"}) == ["bal-1", "market-1"]
    assert [log for log, _ in await regulator.all_logs()] == ["bal-1", "bal-empty", "market-1"]


def test_the_contracts_own_words_are_found_in_what_peers_say() -> None:
    said = json.dumps(ContractError("fork", "another {anchor} stands").to_json())
    details = (ErrorDetail("a:1", "chaincode response 500, " + said, "DsoMSP"),)
    found = refusal(
        EvaluateError("evaluate call to endorser returned error", code="UNKNOWN", details=details)
    )
    assert found is not None
    assert (found.code, found.message) == ("fork", "another {anchor} stands")
    for text in ("", "no JSON", '{"code": "fork"}', '{"code": "made up", "message": ""}', "{", "[1]"):
        assert refusal(EvaluateError(text, code="UNKNOWN")) is None


def test_settings_name_what_is_missing() -> None:
    with pytest.raises(Misconfigured) as error:
        fabric_access(FabricSettings())
    assert error.value.subject == "fabric.gateways"
    gateway = {"address": "a:1", "msp": "DsoMSP", "ca": "ca.pem"}
    whole = FabricSettings.model_validate(
        {"gateways": [gateway], "msp": "DsoMSP", "certificate": "c.pem", "key": "k.pem"}
    )
    assert fabric_access(whole).gateways[0].address == "a:1"
    assert replace(fabric_access(whole, ("a:1",))) == fabric_access(whole)
    with pytest.raises(Misconfigured) as error:
        fabric_access(whole, ("b:1",))
    assert error.value.subject == "b:1"


def test_the_peer_named_first_must_be_ones_own() -> None:
    """It is the one that is believed, whatever the order on a command line."""
    gateways = [{"address": f"{msp}:1", "msp": msp, "ca": "ca.pem"} for msp in ("RegulatorMSP", "DsoMSP")]
    settings = FabricSettings.model_validate(
        {"gateways": gateways, "msp": "RegulatorMSP", "certificate": "c.pem", "key": "k.pem"}
    )
    assert [peer.msp for peer in fabric_access(settings).gateways] == ["RegulatorMSP", "DsoMSP"]
    for peers in (("DsoMSP:1", "RegulatorMSP:1"), ("DsoMSP:1",)):
        with pytest.raises(Misconfigured) as error:
            fabric_access(settings, peers)
        assert error.value.subject == "DsoMSP:1"
