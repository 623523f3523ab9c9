import datetime as dt
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from bal import fabric
from tests.unit.fabric.fake import FakeGateway, FakeNetwork

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def pem_of(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def certificate_of(key: PrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bal")])
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=3650))
    )
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="session")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="session")
def identity(key: ec.EllipticCurvePrivateKey) -> fabric.Identity:
    return fabric.Identity.from_pem("DsoMSP", certificate_of(key))


@pytest.fixture
async def network() -> FakeNetwork:
    return FakeNetwork()


@pytest.fixture
async def peers(network: FakeNetwork) -> AsyncIterator[list[FakeGateway]]:
    """Three gateways of one network."""
    started = [await FakeGateway(network).start() for _ in range(3)]
    yield started
    for peer in started:
        await peer.stop()


Connect = Callable[..., fabric.Gateway]


@pytest.fixture
async def connect(identity: fabric.Identity, key: ec.EllipticCurvePrivateKey) -> AsyncIterator[Connect]:
    """Connect to fakes; closed at the end."""
    opened: list[fabric.Gateway] = []

    def make(*peers: FakeGateway, **options: Any) -> fabric.Gateway:
        options.setdefault("signer", fabric.private_key_signer(pem_of(key)))
        options.setdefault("identity", identity)
        msps = options.pop("msps", [""] * len(peers))
        endpoints = [
            fabric.Endpoint(peer.address, msp_id=msp_id) for peer, msp_id in zip(peers, msps, strict=True)
        ]
        opened.append(fabric.connect(endpoints=endpoints, **options))
        return opened[-1]

    yield make
    for gateway in opened:
        await gateway.close()
