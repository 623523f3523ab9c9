import asyncio
import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, utils
from hypothesis import given
from hypothesis import strategies as st

from bal import fabric
from bal.fabric.signers import low_s
from bal.fabric.signing import SigningIdentity
from tests.unit.fabric.conftest import certificate_of, pem_of

P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
ORDERS = {
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "secp384r1": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
}


def sign(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, digest: bytes) -> bytes:
    signature = fabric.private_key_signer(pem_of(key))(digest)
    assert isinstance(signature, bytes)
    return signature


@pytest.mark.parametrize("key", [P256, P384], ids=["P-256", "P-384"])
@given(message=st.binary(max_size=100))
def test_signatures_are_valid_and_low(key: ec.EllipticCurvePrivateKey, message: bytes) -> None:
    signature = sign(key, hashlib.sha256(message).digest())
    key.public_key().verify(signature, message, ec.ECDSA(hashes.SHA256()))
    _, s = utils.decode_dss_signature(signature)
    assert s <= ORDERS[key.curve.name] // 2


@given(
    r=st.integers(1, ORDERS["secp256r1"] - 1),
    s=st.integers(1, ORDERS["secp256r1"] - 1),
)
def test_the_lower_of_the_two_is_taken(r: int, s: int) -> None:
    order = ORDERS["secp256r1"]
    low = low_s(utils.encode_dss_signature(r, s), order)
    kept, lower = utils.decode_dss_signature(low)
    assert kept == r
    assert lower in (s, order - s)
    assert lower <= order // 2
    assert low_s(low, order) == low


def test_a_longer_digest_is_signed_too() -> None:
    signature = sign(P384, hashlib.sha384(b"m").digest())
    P384.public_key().verify(signature, b"m", ec.ECDSA(hashes.SHA384()))


@pytest.mark.parametrize("length", [0, 20, 64])
def test_no_other_length_is_taken_for_a_digest(length: int) -> None:
    with pytest.raises(fabric.IdentityError):
        sign(P256, bytes(length))


def test_ed25519_signs_the_message_itself() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    identity = fabric.Identity.from_pem("M", certificate_of(key))
    signing = SigningIdentity(identity, fabric.private_key_signer(pem_of(key)))
    key.public_key().verify(asyncio.run(signing.sign(b"message")), b"message")


def test_an_encrypted_key_takes_its_password() -> None:
    pem = P256.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"pw"),
    )
    assert fabric.private_key_signer(pem, b"pw")(bytes(32))
    for wrong in (None, b"other"):
        with pytest.raises(fabric.IdentityError):
            fabric.private_key_signer(pem, wrong)


def test_keys_fabric_does_not_take_are_refused() -> None:
    other = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for pem in (b"", b"no key", other, pem_of(ec.generate_private_key(ec.SECP256K1()))):
        with pytest.raises(fabric.IdentityError):
            fabric.private_key_signer(pem)


def test_a_certificate_is_looked_at() -> None:
    with pytest.raises(fabric.IdentityError):
        fabric.Identity.from_pem("M", b"no certificate")


@pytest.mark.parametrize(
    ("name", "length"), [("sha256", 32), ("sha384", 48), ("sha3_256", 32), ("sha3_384", 48), ("none", 3)]
)
def test_hashes(name: str, length: int) -> None:
    digest = getattr(fabric.hashes, name)(b"abc")
    assert len(digest) == length
    assert digest == (b"abc" if name == "none" else hashlib.new(name, b"abc").digest())


def test_another_hash_can_be_chosen() -> None:
    identity = fabric.Identity.from_pem("M", certificate_of(P256))
    signing = SigningIdentity(identity, fabric.private_key_signer(pem_of(P256)), fabric.hashes.sha3_256)
    signature = asyncio.run(signing.sign(b"m"))
    P256.public_key().verify(signature, b"m", ec.ECDSA(hashes.SHA3_256()))
    with pytest.raises(InvalidSignature):
        P256.public_key().verify(signature, b"m", ec.ECDSA(hashes.SHA256()))


def test_a_signer_may_be_awaited() -> None:
    async def remote(digest: bytes) -> bytes:
        await asyncio.sleep(0)
        return b"signed " + digest

    identity = fabric.Identity.from_pem("M", certificate_of(P256))
    signing = SigningIdentity(identity, remote, fabric.hashes.none)
    assert asyncio.run(signing.sign(b"m")) == b"signed m"


def test_credentials_of_another_kind_of_msp_are_passed_on() -> None:
    assert SigningIdentity(fabric.Identity("M", b"idemix")).hash(b"m") == hashlib.sha256(b"m").digest()
