"""What one endorser of another organisation can do by refusing, or by endorsing something else: nothing."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from bal.anchor.fabric.ledger import FabricLedger
from bal.core.errors import LedgerRefused, LedgerUnavailable
from bal.lane.anchoring import Anchoring
from bal.lane.settings import LaneSettings
from chaincode.anchor import Anchor
from chaincode.errors import CODES
from tests.unit.anchor.embedded.home import chain
from tests.unit.anchor.fabric.conftest import DSO, MARKET, REGULATOR, Clock
from tests.unit.anchor.fabric.network import Network, Peer
from tests.unit.anchor.fabric.test_ledger import submissions


@pytest.fixture
async def anchored(ledger: FabricLedger) -> list[Anchor]:
    """Three anchors that follow one another, the first of them on the ledger."""
    anchors = chain(3)
    await ledger.anchor(anchors[:1])
    return anchors


async def commit(network: Network, ledger: FabricLedger, anchors: list[Anchor]) -> None:
    done = await Anchoring(ledger, Clock(network), LaneSettings()).commit(anchors)
    assert [each.anchor for each in done] == anchors


@pytest.mark.parametrize("code", CODES)
async def test_its_refusal_closes_no_log(
    network: Network, clock: Clock, ledger: FabricLedger, anchored: list[Anchor], code: str
) -> None:
    network.peers[MARKET].refuses["Anchor"] = code
    begun = clock.monotonic()
    for anchor in anchored[1:]:
        await commit(network, ledger, [anchor])
    assert clock.monotonic() - begun < 1


async def test_its_refusal_of_a_name_does_not_make_another_one_tried(
    network: Network, ledger: FabricLedger
) -> None:
    network.peers[MARKET].refuses |= {"RegisterLog": "exists", "RegisterSource": "wrong_organisation"}
    await ledger.register_log("bal-2")
    await ledger.register_source("dso-b")
    assert await ledger.logs() == ["bal-1", "bal-2"]


def refuses_only_to_endorse(market: Peer) -> None:
    market.lies["Anchor"] = b"[]"
    market.refuses["Anchor"] = "fork"


def endorses_something_else(market: Peer) -> None:
    market.lies["Anchor"] = b"[]"


@pytest.mark.parametrize("does", [refuses_only_to_endorse, endorses_something_else])
async def test_others_are_named_in_turn_and_the_group_that_did_first_the_next_time(
    network: Network, ledger: FabricLedger, anchored: list[Anchor], does: Callable[[Peer], None]
) -> None:
    """With the market by the gateway's choice, with the market named, with the regulator named."""
    does(network.peers[MARKET])
    begun = submissions(ledger)
    await commit(network, ledger, anchored[1:2])
    assert submissions(ledger) - begun == 3
    await commit(network, ledger, anchored[2:])
    assert submissions(ledger) - begun == 3 + 2


async def test_one_that_is_named_and_falls_silent_is_not_named_again(
    network: Network, ledger: FabricLedger, anchored: list[Anchor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took the call when asked; then its gateway's organisation does not endorse in time."""
    network.peers[MARKET].refuses["Anchor"] = "fork"
    network.peers[MARKET].lies["Anchor"] = b"[]"
    channel = ledger._channel
    submit = channel.submit

    async def hangs(*args: object, organisations: tuple[str, ...] = (), **more: object) -> object:
        if "MarketMSP" in organisations:
            raise LedgerUnavailable("it does not endorse in time")
        return await submit(*args, organisations=organisations, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(channel, "submit", hangs)
    await commit(network, ledger, anchored[1:])


async def test_while_the_own_peer_is_silent_a_majority_refuses(
    network: Network, ledger: FabricLedger, anchored: list[Anchor]
) -> None:
    network.peers[DSO].silent = True
    network.peers[MARKET].refuses["Anchor"] = "malformed"
    with pytest.raises(LedgerUnavailable):
        await ledger.anchor(anchored[1:])
    network.peers[REGULATOR].refuses["Anchor"] = "malformed"
    with pytest.raises(LedgerRefused) as refused:
        await ledger.anchor(anchored[1:])
    assert refused.value.code == "malformed"


@pytest.mark.parametrize("behind", [False, True])
async def test_a_fork_is_refused_at_once(
    network: Network, clock: Clock, ledger: FabricLedger, behind: bool
) -> None:
    """By one's own peer, or, while that is behind, by the two others."""
    network.peers[DSO].behind = behind
    await ledger.anchor(chain(2))
    begun = clock.monotonic()
    with pytest.raises(LedgerRefused) as refused:
        await ledger.anchor(chain(1, tag="b", previous="0" * 64))
    assert refused.value.code == "fork"
    assert clock.monotonic() == begun


async def test_a_gap_that_one_would_take_is_refused_all_the_same(
    network: Network, clock: Clock, ledger: FabricLedger, anchored: list[Anchor]
) -> None:
    network.peers[MARKET].lies["Anchor"] = json.dumps([anchored[2].to_json()]).encode()
    begun = clock.monotonic()
    with pytest.raises(LedgerRefused) as refused:
        await ledger.anchor(anchored[2:])
    assert refused.value.code == "wrong_sequence"
    assert 5 < clock.monotonic() - begun < 10
