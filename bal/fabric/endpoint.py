"""Where a gateway is, and how its TLS is checked."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from bal.fabric.errors import IdentityError

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The gateway of one peer.

    `address` is host:port. `tls_roots` are the PEM certificates of the CA its TLS certificate comes from (empty: no TLS); `server_name` the name that certificate carries
    where it is not the host; `certificate` and `key` (PEM) are for servers that ask clients for one. `largest_message` bounds what is received and sent, in bytes.
    `msp_id` is the peer's organisation: with it, a
    gateway that hangs or is gone puts its own peers in doubt as endorsers. `options` are further gRPC channel arguments.
    """

    address: str
    tls_roots: bytes = field(default=b"", repr=False)
    server_name: str = ""
    msp_id: str = ""
    certificate: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)
    largest_message: int = 100 * MIB
    keepalive_seconds: float = 120.0
    options: Mapping[str, int | str] = field(default_factory=dict)

    def certificate_hash(self) -> bytes:
        """Return the SHA-256 of the client certificate (DER), which ties requests for blocks to the connection.

        Raises IdentityError where it is no certificate.
        """
        try:
            certificate = x509.load_pem_x509_certificate(self.certificate)
        except ValueError as error:
            raise IdentityError("the TLS client certificate is not PEM") from error
        return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest()
