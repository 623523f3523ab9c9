import grpc
import pytest
import trustme

from bal import fabric
from tests.unit.fabric.conftest import Connect
from tests.unit.fabric.fake import FakeGateway


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_credentials(authority: trustme.CA, *, clients: bool) -> grpc.ServerCredentials:
    issued = authority.issue_cert("peer0.dso.example")
    pair = (issued.private_key_pem.bytes(), issued.cert_chain_pems[0].bytes())
    return grpc.ssl_server_credentials(
        [pair], authority.cert_pem.bytes() if clients else None, require_client_auth=clients
    )


async def evaluate(gateway: fabric.Gateway) -> bytes:
    async with gateway:
        short = fabric.Deadlines(evaluate=2)
        return await gateway.network("c").contract("basic").evaluate("get", deadlines=short)


@pytest.mark.parametrize("clients", [False, True])
async def test_tls_with_a_name_of_its_own_and_with_client_certificates(
    identity: fabric.Identity, key: object, authority: trustme.CA, clients: bool
) -> None:
    peer = await FakeGateway().start(server_credentials(authority, clients=clients))
    client = authority.issue_cert("client.example")
    endpoint = fabric.Endpoint(
        peer.address,
        tls_roots=authority.cert_pem.bytes(),
        server_name="peer0.dso.example",
        certificate=client.cert_chain_pems[0].bytes() if clients else b"",
        key=client.private_key_pem.bytes() if clients else b"",
    )

    def to(one: fabric.Endpoint) -> fabric.Gateway:
        return fabric.connect(identity=identity, signer=lambda digest: digest, endpoints=[one])

    try:
        assert await evaluate(to(endpoint)) == b"get"
        wrong_name = fabric.Endpoint(peer.address, tls_roots=endpoint.tls_roots)
        wrong_roots = fabric.Endpoint(
            peer.address, tls_roots=trustme.CA().cert_pem.bytes(), server_name=endpoint.server_name
        )
        no_certificate = fabric.Endpoint(
            peer.address, tls_roots=endpoint.tls_roots, server_name=endpoint.server_name
        )
        for refused in [wrong_name, wrong_roots, *([no_certificate] if clients else [])]:
            with pytest.raises(fabric.EvaluateError):
                await evaluate(to(refused))
        assert peer.count("Evaluate") == 1
    finally:
        await peer.stop()


async def test_requests_for_blocks_carry_the_hash_of_the_client_certificate(
    identity: fabric.Identity, authority: trustme.CA
) -> None:
    client = authority.issue_cert("client.example")
    endpoint = fabric.Endpoint("127.0.0.1:1", certificate=client.cert_chain_pems[0].bytes())
    async with fabric.connect(identity=identity, endpoints=[endpoint]) as gateway:
        request = gateway.network("c").new_block_events_request()
        assert endpoint.certificate_hash() in request.to_bytes()
    with pytest.raises(fabric.IdentityError):
        fabric.Endpoint("a:1", certificate=b"none").certificate_hash()


async def test_messages_larger_than_allowed_are_refused(connect: Connect, peers: list[FakeGateway]) -> None:
    identity = connect(peers[0]).identity
    small = fabric.Endpoint(peers[0].address, largest_message=1000)
    gateway = fabric.connect(identity=identity, signer=lambda digest: b"s", endpoints=[small])
    async with gateway:
        with pytest.raises(fabric.EvaluateError, match="RESOURCE_EXHAUSTED"):
            await gateway.network("c").contract("basic").evaluate("get", bytes(1000))
