import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from fabric_protos.common import common_pb2 as common
from fabric_protos.gateway import gateway_pb2 as gateway_messages
from fabric_protos.orderer import ab_pb2 as orderer
from fabric_protos.peer import events_pb2 as peer_events

from bal import fabric
from tests.unit.fabric.conftest import Connect
from tests.unit.fabric.fake import FakeGateway, block, chaincode_events, sends, until

LOST = grpc.StatusCode.UNAVAILABLE


def asked(peer: FakeGateway, index: int = -1) -> tuple[int | None, str]:
    """Return the start block and transaction of a request for chaincode events."""
    request = gateway_messages.ChaincodeEventsRequest.FromString(peer.seen[index][1].request)
    return seek(request.start_position), request.after_transaction_id


def asked_block(peer: FakeGateway, index: int = -1) -> int | None:
    payload = common.Payload.FromString(peer.seen[index][1].payload)
    return seek(orderer.SeekInfo.FromString(payload.data).start)


def seek(position: object) -> int | None:
    assert isinstance(position, orderer.SeekPosition)
    return position.specified.number if position.WhichOneof("Type") == "specified" else None


async def test_chaincode_events_come_in_order(connect: Connect, peers: list[FakeGateway]) -> None:
    peers[0].streams = [sends(chaincode_events(3, "a", "b"), chaincode_events(5, "c"))]
    async with connect(peers[0]).network("c").chaincode_events("basic") as stream:
        got = [await anext(stream) for _ in range(3)]
    assert [(event.block_number, event.transaction_id) for event in got] == [(3, "a"), (3, "b"), (5, "c")]
    assert (got[0].chaincode, got[0].name, got[0].payload) == ("basic", "e", b"p")
    assert asked(peers[0]) == (None, "")


async def test_events_are_replayed_from_a_block(connect: Connect, peers: list[FakeGateway]) -> None:
    peers[0].streams = [sends(chaincode_events(0, "a")), sends(block(0))]
    channel = connect(peers[0]).network("c")
    await anext(channel.chaincode_events("basic", start_block=0))
    assert asked(peers[0]) == (0, "")
    await anext(channel.block_events(start_block=0))
    assert asked_block(peers[0]) == 0


async def test_blocks_of_each_kind(connect: Connect, peers: list[FakeGateway]) -> None:
    header = common.BlockHeader(number=7)
    both = peer_events.BlockAndPrivateData(block=common.Block(header=header))
    peers[0].streams = [
        sends(block(7)),
        sends(peer_events.DeliverResponse(filtered_block=peer_events.FilteredBlock(number=7))),
        sends(peer_events.DeliverResponse(block_and_private_data=both)),
    ]
    channel = connect(peers[0]).network("c")
    assert (await anext(channel.block_events())).header.number == 7
    assert (await anext(channel.filtered_block_events())).number == 7
    assert (await anext(channel.block_and_private_data_events())).block.header.number == 7
    assert [name for name, _ in peers[0].seen] == ["Deliver", "DeliverFiltered", "DeliverWithPrivateData"]


async def test_a_status_in_place_of_a_block_is_an_error(connect: Connect, peers: list[FakeGateway]) -> None:
    peers[0].streams = [sends(peer_events.DeliverResponse(status=common.FORBIDDEN))]
    with pytest.raises(fabric.GatewayError) as caught:
        await anext(connect(*peers).network("c").block_events(start_block=1))
    assert caught.value.code == "FORBIDDEN"


async def test_closing_one_stream_leaves_the_other(connect: Connect, peers: list[FakeGateway]) -> None:
    peers[0].streams = [sends(block(1)), sends(block(1), block(2))]
    channel = connect(peers[0]).network("c")
    first, second = channel.block_events(), channel.block_events()
    await anext(first)
    await anext(second)
    await first.close()
    assert [item async for item in first] == []
    assert (await anext(second)).header.number == 2
    await until(lambda: peers[0].open_streams == 1)


async def test_closing_ends_an_iteration_that_waits(connect: Connect, peers: list[FakeGateway]) -> None:
    stream = connect(peers[0]).network("c").block_events()
    waiting = asyncio.create_task(_all(stream))
    await until(lambda: peers[0].open_streams == 1)
    await stream.close()
    assert await waiting == []
    await until(lambda: peers[0].open_streams == 0)


async def test_closing_the_gateway_ends_its_streams(connect: Connect, peers: list[FakeGateway]) -> None:
    gateway = connect(peers[0])
    waiting = asyncio.create_task(_all(gateway.network("c").chaincode_events("basic")))
    await until(lambda: peers[0].open_streams == 1)
    await gateway.close()
    assert await waiting == []


async def test_leaving_the_iteration_ends_the_call(connect: Connect, peers: list[FakeGateway]) -> None:
    peers[0].streams = [sends(block(1))]
    async with connect(peers[0]).network("c").block_events() as stream:
        async for _ in stream:
            break
    await until(lambda: peers[0].open_streams == 0)


async def test_a_cancelled_listener_is_cancelled(connect: Connect, peers: list[FakeGateway]) -> None:
    waiting = asyncio.create_task(_all(connect(peers[0]).network("c").block_events()))
    await until(lambda: peers[0].open_streams == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_chaincode_events_go_on_at_another_gateway(connect: Connect, peers: list[FakeGateway]) -> None:
    peers[0].streams = [sends(chaincode_events(3, "a", "b"), LOST)]
    peers[1].streams = [sends(chaincode_events(3, "c"), chaincode_events(4, "d"))]
    stream = connect(*peers).network("c").chaincode_events("basic")
    got = [(await anext(stream)).transaction_id for _ in range(4)]
    assert got == ["a", "b", "c", "d"]
    assert asked(peers[1]) == (3, "b")


async def test_blocks_go_on_at_another_gateway(connect: Connect, peers: list[FakeGateway]) -> None:
    peers[0].streams = [sends(block(3), then_silence=False)]
    peers[1].streams = [sends(LOST)]
    peers[2].streams = [sends(block(4))]
    stream = connect(*peers).network("c").block_events()
    got = [(await anext(stream)).header.number for _ in range(2)]
    assert got == [3, 4]
    assert asked_block(peers[1]) == asked_block(peers[2]) == 4


async def test_a_request_for_blocks_sent_anew_is_signed_anew(
    connect: Connect, peers: list[FakeGateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Peers refuse a request whose time is long ago."""
    peers[0].streams = [sends(block(3), then_silence=False)]
    peers[1].streams = [sends(block(4))]
    stream = connect(*peers[:2]).network("c").block_events()
    await anext(stream)
    await anext(stream)
    (_, first), (_, second) = peers[0].seen[0], peers[1].seen[0]
    assert first.signature != second.signature
    assert _time(second) > _time(first)


async def test_from_the_next_commit_on_nothing_is_left_out_silently(
    connect: Connect, peers: list[FakeGateway]
) -> None:
    peers[0].streams = [sends(LOST)]
    with pytest.raises(fabric.GatewayError, match="UNAVAILABLE"):
        await anext(connect(*peers).network("c").block_events())
    assert peers[1].seen == []


async def test_what_a_gateway_refuses_for_good_ends_the_stream(
    connect: Connect, peers: list[FakeGateway]
) -> None:
    peers[0].streams = [sends(grpc.StatusCode.PERMISSION_DENIED)]
    with pytest.raises(fabric.GatewayError, match="PERMISSION_DENIED"):
        await anext(connect(*peers).network("c").chaincode_events("basic", start_block=1))


async def test_trying_ends_when_no_gateway_answers(connect: Connect, peers: list[FakeGateway]) -> None:
    await peers[0].stop()
    short = fabric.Deadlines(events=0.3)
    with pytest.raises(fabric.GatewayError, match="UNAVAILABLE"):
        await anext(connect(peers[0], deadlines=short).network("c").block_events(start_block=1))


async def test_events_are_resumed_from_a_checkpoint(
    connect: Connect, peers: list[FakeGateway], tmp_path: Path
) -> None:
    for checkpointer in (fabric.Checkpointer(), fabric.FileCheckpointer(tmp_path / "checkpoint.json")):
        peers[0].streams = [sends(chaincode_events(3, "a")), sends(chaincode_events(3, "b"))]
        channel = connect(peers[0]).network("c")
        stream = channel.chaincode_events("basic", start_block=1, checkpoint=checkpointer)
        await checkpointer.checkpoint_chaincode_event(await anext(stream))
        assert asked(peers[0]) == (1, "")
        await anext(channel.chaincode_events("basic", start_block=1, checkpoint=checkpointer))
        assert asked(peers[0]) == (3, "a")


async def test_blocks_are_resumed_from_a_checkpoint(connect: Connect, peers: list[FakeGateway]) -> None:
    checkpointer = fabric.Checkpointer()
    await checkpointer.checkpoint_block(8)
    peers[0].streams = [sends(block(9))]
    await anext(connect(peers[0]).network("c").block_events(start_block=1, checkpoint=checkpointer))
    assert asked_block(peers[0]) == 9


async def _all(stream: AsyncIterator[object]) -> list[object]:
    return [item async for item in stream]


def _time(envelope: object) -> tuple[int, int]:
    assert isinstance(envelope, common.Envelope)
    payload = common.Payload.FromString(envelope.payload)
    timestamp = common.ChannelHeader.FromString(payload.header.channel_header).timestamp
    return timestamp.seconds, timestamp.nanos
