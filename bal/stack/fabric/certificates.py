"""X.509 certificates as Fabric's membership service providers want them (RFC 5280; Fabric docs, `msp`)."""

import ipaddress
from datetime import timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bal.pki.certificates import CA_DAYS, LEAF_DAYS, now

HOSTS: Final = ("localhost", "127.0.0.1")
NODE_DAYS: Final = CA_DAYS
"""A server's certificate is named in the channel's configuration: another one takes a vote of the organisations."""
_BACKDATE: Final = timedelta(minutes=5)
_HALF_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551 // 2


def authority_certificate(key: ec.EllipticCurvePrivateKey, organisation: str, name: str) -> x509.Certificate:
    """Return the self-signed certificate of an organisation's CA."""
    subject = _name(organisation, name, "")
    builder = (
        _builder(subject, subject, key.public_key(), CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
    )
    return _signed(builder, key)


def member_certificate(
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePublicKey,
    name: str,
    role: str,
) -> x509.Certificate:
    """Return the certificate of a member; its organisational unit is its role: admin, client, peer or orderer.

    Source of roles in units: Fabric docs, `msp`, section Node OU Roles.
    """
    organisation = str(ca.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value)
    days = NODE_DAYS if role in {"peer", "orderer"} else LEAF_DAYS
    return _signed(_leaf(ca, ca_key, key, _name(organisation, name, role), days), ca_key)


def server_certificate(
    ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey, key: ec.EllipticCurvePublicKey, name: str
) -> x509.Certificate:
    """Return a TLS certificate of a server of this machine, which is a client of other servers as well."""
    organisation = str(ca.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value)
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = (
        _leaf(ca, ca_key, key, _name(organisation, name, ""), NODE_DAYS)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName([_host(host) for host in HOSTS]), critical=False)
    )
    return _signed(builder, ca_key)


def _leaf(
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePublicKey,
    subject: x509.Name,
    days: int,
) -> x509.CertificateBuilder:
    return (
        _builder(subject, ca.subject, key, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    moment = now()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - _BACKDATE)
        .not_valid_after(moment + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Sign until s is in the lower half, as Fabric wants signatures: it would rewrite a certificate that has it not."""
    while True:
        certificate = builder.sign(key, hashes.SHA256())
        if utils.decode_dss_signature(certificate.signature)[1] <= _HALF_ORDER:
            return certificate


def _name(organisation: str, name: str, unit: str) -> x509.Name:
    parts = [(NameOID.ORGANIZATION_NAME, organisation), (NameOID.COMMON_NAME, name)]
    if unit:
        parts.insert(1, (NameOID.ORGANIZATIONAL_UNIT_NAME, unit))
    return x509.Name([x509.NameAttribute(*part) for part in parts])


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
