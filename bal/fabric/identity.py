"""Who acts: an organisation's MSP id and the certificate it gave."""

from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519

from bal.fabric import hashes
from bal.fabric.errors import IdentityError


@dataclass(frozen=True, slots=True)
class Identity:
    """An MSP id and credentials: for Fabric's own MSP the X.509 certificate as PEM."""

    msp_id: str
    credentials: bytes = field(repr=False)

    @classmethod
    def from_pem(cls, msp_id: str, certificate: bytes) -> "Identity":
        """Make an identity of a PEM certificate.

        Raises IdentityError where the bytes are no certificate.
        """
        _certificate(certificate)
        return cls(msp_id, certificate)

    def default_hash(self) -> hashes.Hash:
        """Return the hash that fits the certificate: none for Ed25519 (Fabric 3.0), else SHA-256."""
        try:
            key = _certificate(self.credentials).public_key()
        except IdentityError:  # credentials of an MSP of another kind
            return hashes.sha256
        return hashes.none if isinstance(key, ed25519.Ed25519PublicKey) else hashes.sha256


def _certificate(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise IdentityError("not a PEM certificate") from error
