"""How Kafka is reached, and under which certificates."""

import importlib
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from bal.core.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class KafkaAccess:
    """Kafka as one BAL reaches it. Files are PEM; keys are PKCS#8 without a password."""

    servers: tuple[str, ...]
    """Bootstrap servers, host:port."""
    ca: Path
    certificate: Path
    key: Path
    admin_certificate: Path | None = None
    """Of an identity that may make topics and rights; None where somebody else makes them."""
    admin_key: Path | None = None
    topics: Path | None = None
    """Topics file; None takes the one that comes along."""

    @property
    def principal(self) -> str:
        """The name Kafka knows this BAL by: the common name of its certificate. `Misconfigured`."""
        return principal_of(self.certificate)

    def tls(self) -> ssl.SSLContext:
        """Return the TLS context of the BAL's own certificate. `Misconfigured`."""
        try:
            context = ssl.create_default_context(cafile=str(self.ca))
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ValueError) as error:
            raise _unreadable(self.certificate) from error
        return context

    def administrator(self) -> dict[str, Any] | None:
        """Return the librdkafka settings of the administrator, None where there is none."""
        if self.admin_certificate is None or self.admin_key is None:
            return None
        return librdkafka(self.servers, self.ca, self.admin_certificate, self.admin_key)


def principal_of(certificate: Path) -> str:
    """Return the name a broker knows the bearer of a certificate by: its common name. `Misconfigured`."""
    try:
        subject = x509.load_pem_x509_certificate(certificate.read_bytes()).subject
    except (OSError, ValueError) as error:
        raise _unreadable(certificate) from error
    (name,) = subject.get_attributes_for_oid(NameOID.COMMON_NAME)[:1] or (None,)
    if name is None:
        raise _unreadable(certificate)
    return str(name.value)


def librdkafka(servers: tuple[str, ...], ca: Path, certificate: Path, key: Path) -> dict[str, Any]:
    """Return the connection settings of a librdkafka client. Source: librdkafka, CONFIGURATION.md."""
    return {
        "bootstrap.servers": ",".join(servers),
        "security.protocol": "SSL",
        "ssl.ca.location": str(ca),
        "ssl.certificate.location": str(certificate),
        "ssl.key.location": str(key),
        "socket.timeout.ms": 10_000,
        "log_level": 0,  # what is wrong comes as an error; its own lines would go to standard error
    }


def client_properties(ca: Path | str, keystore: Path | str, group: str = "") -> str:
    """Return a properties file for Kafka's own tools and other Java clients. `keystore` holds key and certificate.

    Source: Kafka documentation, 7.2, Configuring Kafka Clients; KIP-651 for PEM.
    """
    return (
        "security.protocol=SSL\n"
        f"ssl.truststore.type=PEM\nssl.truststore.location={ca}\n"
        f"ssl.keystore.type=PEM\nssl.keystore.location={keystore}\n"
    ) + (f"group.id={group}\n" if group else "")


def library(name: str) -> Any:
    """Return an optional library. `Misconfigured` where it is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        message = "Kafka needs a library that is not installed"
        raise Misconfigured(message, subject=name, remedy="pip install 'bal[kafka]'") from error


def _unreadable(path: Path) -> Misconfigured:
    message = "this certificate of Kafka, or its key or CA, cannot be read"
    return Misconfigured(
        message, subject=path.name, remedy="correct the files named under `kafka` in bal.toml"
    )
