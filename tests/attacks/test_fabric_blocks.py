"""A peer that lies: in its blocks, or in what it answers. Every block is read, and what does not fit is named."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import pytest
from fabric_protos.common import common_pb2

from bal.anchor.embedded.block import Transaction, Write
from bal.anchor.fabric import verification
from bal.anchor.fabric.ledger import FabricLedger
from bal.core.errors import LedgerAltered, LedgerUnavailable
from bal.system import SystemClock
from chaincode import canonical
from tests.unit.anchor.embedded.home import begin_with, chain
from tests.unit.anchor.fabric.network import Authority, Network, Peer, block_hash, make_block

LATER: Final = "2026-01-01T00:00:01.000000Z"


@pytest.fixture
async def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    """Return a network of blocks 0 (configuration), 1 and 2 (registrations), 3 to 6 (anchors)."""
    monkeypatch.setattr(verification, "_PAUSE", 0.0)
    made = Network()
    operator = ledger(made)
    await begin_with(operator)
    for anchor in chain(4):
        await operator.anchor([anchor])
    await operator.verify()
    return made


def ledger(network: Network) -> FabricLedger:
    return FabricLedger(network.channel("DsoMSP"), SystemClock())


async def altered(network: Network) -> int:
    """Return which block is named."""
    with pytest.raises(LedgerAltered) as error:
        await ledger(network).verify()
    return error.value.block


def change(peer: Peer, number: int, work: Callable[[Any], None]) -> None:
    block = common_pb2.Block.FromString(peer.blocks[number])
    work(block)
    peer.blocks[number] = block.SerializeToString()


def rebuild(peer: Peer, first: int) -> None:
    """Make the hashes fit again from a block on, as who rewrites a file of blocks would."""
    for number in range(first, len(peer.blocks)):
        block = common_pb2.Block.FromString(peer.blocks[number])
        peer.blocks[number] = make_block(
            number,
            block_hash(peer.blocks[number - 1]),
            list(block.data.data),
            block.metadata.metadata[common_pb2.TRANSACTIONS_FILTER],
        )


async def test_every_flipped_byte_of_a_block_is_found(network: Network) -> None:
    peer = network.peers[0]
    raw = peer.blocks[4]
    for place in range(0, len(raw), 7):
        peer.blocks[4] = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        assert await altered(network) in {4, 5}, place
    peer.blocks[4] = raw
    await ledger(network).verify()


async def test_blocks_cut_swapped_repeated_and_missing_are_found(network: Network) -> None:
    peer = network.peers[0]
    whole = list(peer.blocks)
    peer.blocks[:] = [*whole[:4], whole[5], whole[4], whole[6]]
    assert await altered(network) == 4
    peer.blocks[:] = [*whole[:5], whole[4], *whole[5:]]
    assert await altered(network) == 5
    peer.blocks[:] = [*whole[:4], *whole[5:]]
    assert await altered(network) == 4
    peer.blocks[:] = whole[:6]  # a shorter chain, well-formed: the state still has the last anchor
    assert await altered(network) == 5
    peer.blocks[:] = whole
    await ledger(network).verify()


async def test_a_peer_that_says_it_has_more_than_it_gives(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = ledger(network)

    async def height() -> int:
        return len(network.peers[0].blocks) + 1

    monkeypatch.setattr(operator._channel, "height", height)
    with pytest.raises(LedgerAltered) as error:
        await operator.verify()
    assert error.value.block == 7


async def test_a_validity_flag_turned_is_found(network: Network) -> None:
    peer = network.peers[0]

    def refuse(block: Any) -> None:
        block.metadata.metadata[common_pb2.TRANSACTIONS_FILTER] = b"\x0b"

    change(peer, 4, refuse)
    assert await altered(network) == 5  # its anchors follow on none
    change(peer, 6, refuse)
    peer.blocks[4] = network.order[4][0]
    assert await altered(network) == 5  # the last that wrote the head: the peer has another now
    peer.blocks[6] = network.order[6][0]

    def none(block: Any) -> None:
        block.metadata.metadata[common_pb2.TRANSACTIONS_FILTER] = b""

    change(peer, 4, none)
    assert await altered(network) == 4


@pytest.mark.parametrize("who", ["one", "twice", "stranger", "signature"])
async def test_an_anchor_too_few_endorsed_is_found(network: Network, who: str) -> None:
    """Its hashes fit, its state fits; only the signatures say that the organisations did not agree."""
    if who == "stranger":  # calls itself the market operator, by a CA of its own
        network.authorities["MarketMSP"] = Authority("MarketMSP")
    if who == "signature":
        network.authorities["MarketMSP"].peer_key = Authority("MarketMSP").peer_key
    endorsers = {"one": ["DsoMSP"], "twice": ["DsoMSP", "DsoMSP"]}.get(who, ["DsoMSP", "MarketMSP"])
    forged = chain(5)[4]
    members = {**forged.to_json(), "tx_id": "ab" * 32, "time": "2026-01-01T00:00:00.000000Z"}
    record = canonical.encode({**members, "organisation": "DsoMSP", "suspended": []}).decode()
    head = canonical.encode({"log": "bal-1", "next": 5, "hash": forged.hash}).decode()
    transaction = Transaction(
        tx_id="ab" * 32,
        time="2026-01-01T00:00:00.000000Z",
        function="Anchor",
        args=(),
        organisation="DsoMSP",
        roles=(),
        reads=(),
        writes=(Write(f"anchor/bal-1/{4:020d}", record), Write("head/bal-1", head)),
        result="",
    )
    assert network.commit(transaction, endorsers) == 7
    assert await altered(network) == 7


@pytest.mark.parametrize("function", ["ListAllAnchors", "ListEnds", "ListSources", "ListLogs"])
async def test_an_answer_that_no_block_wrote_is_found(network: Network, function: str) -> None:
    peer, operator = network.peers[0], ledger(network)
    args = ["", "0", "256"] if function == "ListAllAnchors" else ["", "256"]
    said = json.loads(await operator._channel.evaluate(function, args))
    said[0] |= {
        "ListAllAnchors": {"root": "ab" * 32},
        "ListLogs": {"organisation": "MarketMSP"},
        "ListEnds": {"next": 3},
        "ListSources": {"suspended_by": {"RegulatorMSP": "made up"}},
    }[function]
    peer.lies[function] = json.dumps(said).encode()
    plain = operator._channel.evaluate

    async def evaluate(name: str, call: Any, *rest: Any, **more: Any) -> Any:  # the page after it is empty
        behind = call[:2] == [said[-1].get("log"), str(len(said))] if name == "ListAllAnchors" else call[0]
        return b"[]" if name == function and behind else await plain(name, call, *rest, **more)

    operator._channel.evaluate = evaluate  # type: ignore[method-assign,assignment]
    with pytest.raises(LedgerAltered):
        await operator.verify()


async def test_a_log_and_an_anchor_that_are_in_no_block_are_found(network: Network) -> None:
    peer = network.peers[0]
    found = peer.state.get("anchor/bal-1/" + f"{3:020d}")
    assert found is not None
    record = json.loads(found.value)
    record["seq"] = 4
    peer.state.write("anchor/bal-1/" + f"{4:020d}", canonical.encode(record), (6, 0))
    assert await altered(network) == 6


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("change", [{"time": LATER}, {"seq": 9}, {"log": "zzz"}, {"log": "aaa"}, {"root": 5}])
async def test_the_block_of_an_anchor_that_the_state_has_otherwise_is_named(
    network: Network, number: int, change: dict[str, object]
) -> None:
    put(network.peers[0], f"anchor/bal-1/{number:020d}", **change)
    assert await altered(network) == 3 + number


def put(peer: Peer, key: str, **change: object) -> None:
    found = peer.state.get(key)
    assert found is not None
    peer.state.write(key, canonical.encode({**json.loads(found.value), **change}), found.version)


@pytest.mark.parametrize("second", ["none", "{}", "[]", "null", '{"log": ["x"], "seq": 0}'])
async def test_a_lie_is_told_though_the_blocks_are_others_the_second_time(
    network: Network, second: str
) -> None:
    put(network.peers[0], f"anchor/bal-1/{1:020d}", time=LATER)
    operator = ledger(network)
    plain = operator._channel.blocks
    writes = (Write("anchor/x", second),)
    transaction = Transaction("ab" * 32, LATER, "Anchor", (), "DsoMSP", (), (), writes, "")
    forged = make_block(0, b"", [network.envelope(transaction, ["DsoMSP"])], b"\0")
    readings: list[int] = []

    async def blocks(first: int, end: int) -> AsyncIterator[bytes]:
        readings.append(first)
        if readings.count(0) == 1:
            async for block in plain(first, end):
                yield block
        elif second == "none":
            message = "no more blocks"
            raise LedgerUnavailable(message)
        else:
            yield forged

    operator._channel.blocks = blocks  # type: ignore[method-assign]
    with pytest.raises(LedgerAltered):
        await operator.verify()


@pytest.mark.parametrize("change", [{}, {"suspended": ["dso-a"]}, {"time": LATER}, {"root": "ab" * 32}])
async def test_anchors_are_read_as_the_blocks_have_them(network: Network, change: dict[str, object]) -> None:
    """A peer that answers one list as its blocks are and another one otherwise."""
    reader = FabricLedger(network.channel("DsoMSP"), SystemClock(), own=True)
    said = json.loads(await reader._channel.evaluate("ListAnchors", ["bal-1", "0", "4"]))
    said[1] |= change
    network.peers[0].lies["ListAnchors"] = json.dumps(said).encode()
    await reader.verify()
    if not change:
        assert [each.anchor.seq async for each in reader.anchors("bal-1")] == [0, 1, 2, 3]
        return
    with pytest.raises(LedgerAltered):
        assert [each async for each in reader.anchors("bal-1")] == []


async def test_a_log_does_not_end_before_its_blocks(network: Network) -> None:
    reader = FabricLedger(network.channel("DsoMSP"), SystemClock(), own=True)
    await reader.verify()
    for peer in network.peers:
        peer.lies["GetHead"] = json.dumps({"log": "bal-1", "next": 2, "hash": chain(2)[1].hash}).encode()
    with pytest.raises(LedgerAltered):
        assert [each async for each in reader.anchors("bal-1")] == []


@pytest.mark.parametrize(
    "change", [None, "first", "last", "without first", "without last", "in the other's stead"]
)
async def test_ends_of_logs_are_those_of_the_blocks(network: Network, change: str | None) -> None:
    peer, operator = network.peers[0], ledger(network)
    (said,) = json.loads(await operator._channel.evaluate("ListEnds", ["", "64"]))
    if change is None:
        peer.lies["ListEnds"] = b"[]"
    elif change.startswith("without"):
        del said[change.split()[1]]
    elif change == "in the other's stead":
        said["first"] = said["last"]
    else:
        said[change]["counts"] = {"dso-b": 2}
        said[change]["rules"] = {"dso-b": "5a" * 32}
    plain = operator._channel.evaluate

    async def evaluate(name: str, call: Any, *rest: Any, **more: Any) -> Any:
        if name != "ListEnds" or change is None:
            return await plain(name, call, *rest, **more)
        return b"[]" if call[0] else json.dumps([said]).encode()

    operator._channel.evaluate = evaluate  # type: ignore[method-assign,assignment]
    with pytest.raises(LedgerAltered):
        await operator.verify()


@pytest.mark.parametrize("said", [b"[{}]", b'[{"log": ["bal-1"], "source": 5}]'])
@pytest.mark.parametrize("function", ["ListLogs", "ListEnds", "ListSources"])
async def test_a_list_without_names_is_found(network: Network, function: str, said: bytes) -> None:
    network.peers[0].lies[function] = said
    assert await altered(network) == 6


async def test_a_peer_that_makes_anchors_up_without_end_is_stopped(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = ledger(network)
    (last,) = json.loads(await operator._channel.evaluate("ListAnchors", ["bal-1", "3", "1"]))
    monkeypatch.setattr(verification, "_STRANGERS", 1000)
    plain = operator._channel.evaluate

    async def evaluate(name: str, call: Any, *rest: Any, **more: Any) -> Any:
        if name != "ListAllAnchors" or not call[0]:
            return await plain(name, call, *rest, **more)
        return json.dumps([{**last, "seq": int(call[1]) + each} for each in range(256)]).encode()

    operator._channel.evaluate = evaluate  # type: ignore[method-assign,assignment]
    with pytest.raises(LedgerAltered):
        await operator.verify()


async def test_a_source_that_no_block_registered_and_one_that_is_not_answered_are_found(
    network: Network,
) -> None:
    peer = network.peers[0]
    version = peer.state.get("source/dso-a")
    assert version is not None
    peer.state.write("source/made-up", version.value.replace(b"dso-a", b"made-up"), (6, 0))
    assert await altered(network) == 6
    peer.lies["ListSources"] = b"[]"
    assert await altered(network) == 2


async def test_what_stands_is_asked_for_in_lists(network: Network) -> None:
    """A channel of many logs and sources is verified with few questions."""
    operator = ledger(network)
    for number in range(40):
        await operator.register_source(f"dso-{number}")
        await operator.register_log(f"bal-of-{number}")
        await operator.anchor(chain(2, log=f"bal-of-{number}"))
    asked: list[str] = []
    plain = operator._channel.evaluate

    async def evaluate(name: str, *rest: Any, **more: Any) -> Any:
        asked.append(name)
        return await plain(name, *rest, **more)

    operator._channel.evaluate = evaluate  # type: ignore[method-assign,assignment]
    await operator.verify()
    assert len(asked) <= 8


async def test_an_anchor_taken_out_of_a_rewritten_chain_is_found(network: Network) -> None:
    """All blocks after it are made anew: state, heads and hashes agree, but one anchor is gone from the blocks."""
    peer = network.peers[0]
    del peer.blocks[4]
    rebuild(peer, 4)
    assert await altered(network) == 4


async def test_reading_goes_on_while_anchors_come(network: Network) -> None:
    operator, writer = ledger(network), ledger(network)
    channel = operator._channel
    height = channel.height
    more = iter(chain(8)[4:])

    async def growing() -> int:
        found = await height()
        anchor = next(more, None)
        if anchor is not None:
            await writer.anchor([anchor])
        return found

    channel.height = growing  # type: ignore[method-assign]
    await operator.verify()
