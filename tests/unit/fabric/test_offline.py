import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bal import fabric
from tests.unit.fabric.conftest import Connect, pem_of
from tests.unit.fabric.fake import FakeGateway, FakeNetwork, block, chaincode_events, sends


class Elsewhere:
    """Holds the key on another machine; gets digests, gives signatures."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._sign = fabric.private_key_signer(pem_of(key))

    def sign(self, digest: bytes) -> bytes:
        signature = self._sign(digest)
        assert isinstance(signature, bytes)
        return signature


@pytest.fixture
def elsewhere(key: ec.EllipticCurvePrivateKey) -> Elsewhere:
    return Elsewhere(key)


async def test_without_a_signature_nothing_is_sent(connect: Connect, peers: list[FakeGateway]) -> None:
    channel = connect(peers[0], signer=None).network("c")
    with pytest.raises(fabric.NotSigned):
        await channel.contract("basic").evaluate("get")
    with pytest.raises(fabric.NotSigned):
        await channel.contract("basic").submit("put")
    with pytest.raises(fabric.NotSigned):
        await anext(channel.block_events())
    with pytest.raises(fabric.NotSigned):
        await channel.new_commit("ab12").status()
    assert peers[0].seen == []


async def test_a_query_signed_off_line(
    connect: Connect, peers: list[FakeGateway], elsewhere: Elsewhere
) -> None:
    gateway = connect(peers[0], signer=None)
    unsigned = gateway.network("c").contract("basic").new_proposal("get", "a", organisations=["DsoMSP"])
    proposal = gateway.new_proposal(unsigned.to_bytes(), elsewhere.sign(unsigned.digest))
    assert await proposal.evaluate() == b"get a"
    assert list(peers[0].seen[0][1].target_organizations) == ["DsoMSP"]
    assert peers[0].seen[0][1].channel_id == "c"


async def test_a_transaction_signed_off_line_step_by_step(
    connect: Connect, peers: list[FakeGateway], network: FakeNetwork, elsewhere: Elsewhere
) -> None:
    """Each step on a gateway of its own: all that is carried over is bytes and signatures."""

    def fresh() -> fabric.Gateway:
        return connect(peers[0], signer=None)

    unsigned = fresh().network("c").contract("basic").new_proposal("put", "a")
    proposal = fresh().new_proposal(unsigned.to_bytes(), elsewhere.sign(unsigned.digest))
    endorsed = await proposal.endorse()
    transaction = fresh().new_transaction(endorsed.to_bytes(), elsewhere.sign(endorsed.digest))
    assert transaction.result == b"put a"
    submitted = await transaction.submit()
    assert submitted.result == b"put a"
    commit = fresh().new_commit(submitted.to_bytes(), elsewhere.sign(submitted.digest))
    assert (await commit.status()).successful
    assert network.submitted == [unsigned.transaction_id]
    assert commit.transaction_id == unsigned.transaction_id


async def test_signatures_made_off_line_are_those_sent(
    connect: Connect, peers: list[FakeGateway], elsewhere: Elsewhere, key: ec.EllipticCurvePrivateKey
) -> None:
    gateway = connect(peers[0], signer=None)
    unsigned = gateway.network("c").contract("basic").new_proposal("get")
    signature = elsewhere.sign(unsigned.digest)
    await gateway.new_proposal(unsigned.to_bytes(), signature).evaluate()
    assert peers[0].seen[0][1].proposed_transaction.signature == signature


async def test_signed_objects_survive_being_bytes(
    connect: Connect, peers: list[FakeGateway], elsewhere: Elsewhere
) -> None:
    gateway = connect(peers[0], signer=None)
    unsigned = gateway.network("c").contract("basic").new_proposal("get")
    signed = gateway.new_proposal(unsigned.to_bytes(), elsewhere.sign(unsigned.digest))
    assert await gateway.new_proposal(signed.to_bytes()).evaluate() == b"get"


async def test_chaincode_events_signed_off_line(
    connect: Connect, peers: list[FakeGateway], elsewhere: Elsewhere
) -> None:
    peers[0].streams = [sends(chaincode_events(5, "t1"))]
    gateway = connect(peers[0], signer=None)
    unsigned = gateway.network("c").new_chaincode_events_request("basic", start_block=5)
    request = gateway.new_chaincode_events_request(unsigned.to_bytes(), elsewhere.sign(unsigned.digest))
    assert (await anext(request.events())).transaction_id == "t1"


@pytest.mark.parametrize("kind", ["block", "filtered_block", "block_and_private_data"])
async def test_block_events_signed_off_line(
    connect: Connect, peers: list[FakeGateway], elsewhere: Elsewhere, kind: str
) -> None:
    peers[0].streams = [sends(block(5))]
    gateway = connect(peers[0], signer=None)
    unsigned = getattr(gateway.network("c"), f"new_{kind}_events_request")(start_block=5)
    again = getattr(gateway, f"new_{kind}_events_request")
    signature = elsewhere.sign(unsigned.digest)
    request = again(unsigned.to_bytes(), signature)
    assert (await anext(request.events())).header.number == 5
    assert peers[0].seen[0][1].signature == signature


async def test_a_stream_signed_off_line_can_not_go_on_elsewhere(
    connect: Connect, peers: list[FakeGateway], elsewhere: Elsewhere
) -> None:
    peers[0].streams = [sends(chaincode_events(5, "t1"), then_silence=False)]
    gateway = connect(*peers, signer=None)
    unsigned = gateway.network("c").new_chaincode_events_request("basic", start_block=5)
    request = gateway.new_chaincode_events_request(unsigned.to_bytes(), elsewhere.sign(unsigned.digest))
    stream = request.events()
    await anext(stream)
    with pytest.raises(fabric.GatewayError):
        await anext(stream)


@pytest.mark.parametrize(
    "make",
    [
        "new_proposal",
        "new_transaction",
        "new_commit",
        "new_chaincode_events_request",
        "new_block_events_request",
        "new_filtered_block_events_request",
        "new_block_and_private_data_events_request",
    ],
)
async def test_other_bytes_are_refused(connect: Connect, peers: list[FakeGateway], make: str) -> None:
    with pytest.raises(ValueError):
        getattr(connect(peers[0]), make)(b"\xff\xff\xff")
