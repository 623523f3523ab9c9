"""Identities of an organisation: what its certificates say, and who may read its keys."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bal.core.errors import Misconfigured
from bal.pki.certificates import LEAF_DAYS, new_key
from bal.stack.fabric.authority import ROLES, Authority
from bal.stack.fabric.certificates import HOSTS, member_certificate
from tests.counts import counts

HALF_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551 // 2


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return an organisation's CAs."""
    made = Authority(tmp_path_factory.mktemp("dso") / "dso", "DsoMSP")
    made.prepare()
    return made


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def named(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(each.value) for each in certificate.subject.get_attributes_for_oid(oid)]


@pytest.mark.parametrize("role", ["peer", "orderer", "admin"])
def test_a_member_has_its_role_as_unit(authority: Authority, role: str) -> None:
    certificate = read(authority.path / role / "msp" / "signcerts" / "cert.pem")
    assert named(certificate, NameOID.ORGANIZATIONAL_UNIT_NAME) == [role]
    certificate.verify_directly_issued_by(read(authority.ca))
    roles = yaml.safe_load((authority.path / role / "msp" / "config.yaml").read_text())["NodeOUs"]
    assert roles.pop("Enable") is True
    assert {each["OrganizationalUnitIdentifier"] for each in roles.values()} == set(ROLES)
    assert {each["Certificate"] for each in roles.values()} == {"cacerts/ca.pem"}


def test_a_guest_is_issued_once(authority: Authority) -> None:
    certificate, key = authority.guest("bal-1", "client")
    before = certificate.read_bytes()
    assert authority.guest("bal-1", "client") == (certificate, key)
    assert certificate.read_bytes() == before
    assert named(read(certificate), NameOID.COMMON_NAME) == ["bal-1"]
    assert named(read(certificate), NameOID.ORGANIZATIONAL_UNIT_NAME) == ["client"]
    admin, _ = authority.guest("bal-1", "admin")
    assert named(read(admin), NameOID.ORGANIZATIONAL_UNIT_NAME) == ["admin"]


def test_a_guest_called_as_a_member_is_another(authority: Authority) -> None:
    certificate, _ = authority.guest("admin", "client")
    assert certificate.read_bytes() != authority.member("admin")[0].read_bytes()
    assert named(read(certificate), NameOID.ORGANIZATIONAL_UNIT_NAME) == ["client"]


@pytest.mark.parametrize("folder", ["peer/tls", "orderer/tls", "chaincode/tls", "peer/chaincode"])
def test_a_server_certificate_is_for_this_machine_and_of_the_other_ca(
    authority: Authority, folder: str
) -> None:
    certificate = read(authority.path / folder / "server.crt")
    certificate.verify_directly_issued_by(read(authority.tls_ca))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(each.value) for each in names} == set(HOSTS)
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usage) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


def test_a_cas_constraints_keep_others_from_issuing(authority: Authority) -> None:
    for path, is_ca in (
        (authority.ca, True),
        (authority.tls_ca, True),
        (authority.member("admin")[0], False),
    ):
        constraints = read(path).extensions.get_extension_for_class(x509.BasicConstraints)
        assert constraints.critical
        assert constraints.value.ca is is_ca


def test_signatures_have_low_s(authority: Authority) -> None:
    ca, key = authority.signer("ca")
    public = new_key().public_key()
    for _ in range(counts(400)):
        made = member_certificate(ca, key, public, "x", "client")
        assert utils.decode_dss_signature(made.signature)[1] <= HALF_ORDER


def test_keys_are_their_owners_alone_and_stay(authority: Authority) -> None:
    keys = {path: path.read_bytes() for path in authority.path.rglob("*") if path.suffix == ".key"}
    keys |= {path: path.read_bytes() for path in authority.path.rglob("key.pem")}
    assert len(keys) >= 12
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}
    assert {stat.S_IMODE(path.parent.stat().st_mode) for path in keys} == {0o700}
    authority.prepare()
    assert all(path.read_bytes() == content for path, content in keys.items())


def test_a_key_without_its_certificate_is_made_anew(tmp_path: Path) -> None:
    made = Authority(tmp_path / "dso", "DsoMSP")
    made.prepare()
    certificate, key = made.guest("bal-1", "client")
    certificate.unlink()
    before = key.read_bytes()
    made.guest("bal-1", "client")
    assert key.read_bytes() != before
    public = read(certificate).public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)


def test_a_ca_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    made = Authority(tmp_path / "dso", "DsoMSP")
    made.prepare()
    (made.path / "ca" / "key.pem").write_bytes(b"nothing")
    with pytest.raises(Misconfigured, match="CA cannot be read"):
        made.guest("bal-1", "client")


class TestRenewal:
    """Certificates of clients and administrators that end soon."""

    @pytest.fixture
    def made(self, tmp_path: Path) -> Authority:
        made = Authority(tmp_path / "dso", "DsoMSP")
        made.prepare()
        return made

    def test_it_is_for_the_same_key_and_the_one_before_is_known(
        self, made: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        certificate, key = made.guest("bal-1", "client")
        before, secret = read(certificate), key.read_bytes()
        later(monkeypatch, LEAF_DAYS - 31)
        made.prepare()
        assert read(certificate) == before
        later(monkeypatch, LEAF_DAYS - 29)
        made.prepare()  # as `bal stack up` does
        after = read(certificate)
        assert after.not_valid_after_utc > before.not_valid_after_utc
        assert after.public_key() == before.public_key()
        assert key.read_bytes() == secret
        assert made.certificates("bal-1") == [after, before]

    def test_the_organisations_administrator_too_and_no_server(
        self, made: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        roles = ("admin", "peer", "orderer")
        shown = {role: made.path / role / "msp" / "signcerts" / "cert.pem" for role in roles}
        before = {role: read(path) for role, path in shown.items()}
        later(monkeypatch, LEAF_DAYS - 29)
        made.prepare()
        assert [role for role in roles if read(shown[role]) != before[role]] == ["admin"]


def later(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """Let it be so many days later."""
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    for module in ("authority", "certificates"):
        monkeypatch.setattr(f"bal.stack.fabric.{module}.now", lambda: moment)
