"""Signing with a private key held in memory."""

from collections.abc import Awaitable, Callable

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

from bal.fabric.errors import IdentityError

Signer = Callable[[bytes], bytes | Awaitable[bytes]]
"""Takes a digest (or, with the hash `none`, a message), returns its signature, at once or awaited: a key in a hardware module or a remote service fits as well."""

# Group orders (SEC 2, 2.4.2 and 2.5.1). A signature (r, s) has a twin (r, n - s); Fabric takes the one with s <= n / 2.
_ORDERS = {
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "secp384r1": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
}
_DIGESTS: dict[int, hashes.HashAlgorithm] = {32: hashes.SHA256(), 48: hashes.SHA384()}


def private_key_signer(pem: bytes, password: bytes | None = None) -> Signer:
    """Make a signer of a PEM private key: ECDSA on P-256 or P-384 (low S, DER), or Ed25519.

    Raises IdentityError for any other key, or bytes that are none.
    """
    try:
        key = serialization.load_pem_private_key(pem, password)
    except (ValueError, TypeError) as error:
        raise IdentityError("not a PEM private key, or not with this password") from error
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _ORDERS:
        return _ecdsa(key, _ORDERS[key.curve.name])
    raise IdentityError("Fabric takes ECDSA keys on P-256 or P-384, and Ed25519")


def low_s(signature: bytes, order: int) -> bytes:
    """Return the one of the two equivalent DER signatures that has s <= order / 2."""
    r, s = utils.decode_dss_signature(signature)
    return utils.encode_dss_signature(r, min(s, order - s))


def _ecdsa(key: ec.EllipticCurvePrivateKey, order: int) -> Signer:
    def sign(digest: bytes) -> bytes:
        if len(digest) not in _DIGESTS:
            raise IdentityError(f"a digest has 32 or 48 bytes, not {len(digest)}")
        # The name of the hash only tells the length: what comes in is hashed already.
        algorithm = ec.ECDSA(utils.Prehashed(_DIGESTS[len(digest)]))
        return low_s(key.sign(digest, algorithm), order)

    return sign
