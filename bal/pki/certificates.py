"""X.509 certificates and revocation lists (RFC 5280) as the development CA builds them."""

import ipaddress
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bal.core.errors import Malformed

CA_DAYS = 3650
LEAF_DAYS = 825
"""Longest life of a leaf that common TLS clients take."""
CRL_DAYS = 365
"""Far enough that a laptop left alone does not lock itself out; the authority warns long before."""
_BACKDATE = timedelta(minutes=5)  # a peer's clock may be a little behind


class Leaf(NamedTuple):
    """What a certificate is to say."""

    name: str
    """Common name."""
    hosts: Sequence[str] | None = None
    """Names and IP addresses a server is reached as; None for a client."""
    client: bool = True
    """Whether it may be shown as a client."""


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new ECDSA P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as unencrypted PKCS#8 PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def common_name(certificate: x509.Certificate) -> str:
    """Return the subject's common name, empty when there is not exactly one."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else ""


def now() -> datetime:
    """Return the time of day in whole seconds, as certificates write it."""
    return datetime.now(UTC).replace(microsecond=0)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    moment = now()
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - _BACKDATE)
        .not_valid_after(moment + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def authority_certificate(key: ec.EllipticCurvePrivateKey, name: str) -> x509.Certificate:
    """Return a self-signed CA certificate that may sign leaves and revocation lists, no further CA."""
    return (
        _builder(name, _name(name), key.public_key(), CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def check_url(url: str) -> str:
    """Return `url` when a certificate may name it as the place of a revocation list, or empty; raise `Malformed`."""
    parts = urlsplit(url)
    if url and (not url.isascii() or parts.scheme not in {"http", "https", "file"} or not parts.path):
        message = "this is no address of a revocation list"
        raise Malformed(message, remedy="give a URL of http, https or file, in ASCII")
    return url


def leaf_certificate(
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePublicKey,
    leaf: Leaf,
    crl_url: str = "",
) -> x509.Certificate:
    """Return a certificate that names `crl_url`, unless empty, as the place of the revocation list."""
    usages = [ExtendedKeyUsageOID.SERVER_AUTH] if leaf.hosts is not None else []
    usages += [ExtendedKeyUsageOID.CLIENT_AUTH] if leaf.client else []
    builder = (
        _builder(leaf.name, ca.subject, key, LEAF_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    )
    if leaf.hosts is not None:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_host(host) for host in leaf.hosts]), critical=False
        )
    if crl_url:
        place = x509.DistributionPoint([x509.UniformResourceIdentifier(crl_url)], None, None, None)
        builder = builder.add_extension(x509.CRLDistributionPoints([place]), critical=False)
    return builder.sign(ca_key, hashes.SHA256())


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def revocation_list(
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    revoked: Iterable[x509.RevokedCertificate],
    number: int,
) -> x509.CertificateRevocationList:
    """Return a signed revocation list."""
    moment = now()
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.subject)
        .last_update(moment - _BACKDATE)
        .next_update(moment + timedelta(days=CRL_DAYS))
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for certificate in revoked:
        builder = builder.add_revoked_certificate(certificate)
    return builder.sign(ca_key, hashes.SHA256())


def revoked_entry(serial: int) -> x509.RevokedCertificate:
    """Return the entry of a certificate revoked now."""
    return x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now()).build()
