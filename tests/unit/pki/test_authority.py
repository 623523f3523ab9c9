import os
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from bal.core.errors import Conflict, Malformed, Misconfigured, NotFound
from bal.durable import write_file
from bal.pki import RESERVED, Authority, RevocationList, certificates


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "pki")


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_keys_are_for_their_owner_only(authority: Authority) -> None:
    authority.issue_server()
    authority.issue_client("dso-a")
    for path in [authority.directory, *authority.directory.rglob("*")]:
        mode = path.stat().st_mode & 0o777
        assert mode == (0o700 if path.is_dir() else 0o600 if path.suffix == ".key" else 0o644), path


def test_certificates_say_who_and_what_for(authority: Authority) -> None:
    server = load(authority.issue_server(["bal.example.org", "192.0.2.7"])[0])
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "bal.example.org"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1", "192.0.2.7"]
    client = load(authority.issue_client("dso-a")[0])
    assert certificates.common_name(client) == "dso-a"
    usage = client.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    ca = load(authority.certificate_path)
    for certificate in (server, client):
        certificate.verify_directly_issued_by(ca)
        assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_certificates_say_where_the_revocation_list_is(tmp_path: Path) -> None:
    """In DER, at a URL: a file of the folder as it stands now, another place, or none."""

    def places(authority: Authority, name: str) -> list[str]:
        extensions = load(authority.issue_client(name)[0]).extensions
        try:
            points = extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        except x509.ExtensionNotFound:
            return []
        return [str(name.value) for point in points for name in point.full_name or []]

    here = Authority.create(tmp_path / "here")
    assert places(here, "one") == [(tmp_path / "here" / "crl.der").as_uri()]
    here.revoke("one")
    crl = x509.load_der_x509_crl(here.crl_der_path.read_bytes())
    assert crl == x509.load_pem_x509_crl(here.crl_path.read_bytes())
    assert len(list(crl)) == 1
    (tmp_path / "here").rename(tmp_path / "there")
    moved = Authority.open(tmp_path / "there")
    assert places(moved, "two") == [(tmp_path / "there" / "crl.der").as_uri()]
    Authority.create(tmp_path / "web", crl_url="http://pki.example.org/crl")
    assert places(Authority.open(tmp_path / "web"), "one") == ["http://pki.example.org/crl"]
    assert places(Authority.create(tmp_path / "silent", crl_url=""), "one") == []
    (tmp_path / "there" / "crl.url").unlink()  # an authority made before there was this setting
    assert places(Authority.open(tmp_path / "there"), "three") == []
    for wrong in ("crl", "ldap://x/y", "http://example.org", "http://bäl/x"):
        with pytest.raises(Malformed):
            Authority.create(tmp_path / "wrong", crl_url=wrong)


def test_servers_have_certificates_of_their_own(authority: Authority) -> None:
    """Each with its name; one that calls its like may also be shown as a client."""
    usages = {}
    for server, peer in (("kafka", True), ("mosquitto", False)):
        paths = authority.issue_server(["bus.example.org"], server=server, peer=peer)
        assert paths == authority.paths_of_server(server)
        certificate = load(paths[0])
        assert certificates.common_name(certificate) == server
        usages[server] = list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert usages["kafka"] == [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    assert usages["mosquitto"] == [ExtendedKeyUsageOID.SERVER_AUTH]
    with pytest.raises(Conflict):
        authority.issue_server(server="kafka")
    assert not authority.server_paths[0].exists()
    assert [(i.name, i.kind) for i in authority.list()] == [("kafka", "server"), ("mosquitto", "server")]
    for name in ("", "../x", "A"):
        with pytest.raises(Malformed):
            authority.issue_server(server=name)


def test_a_keystore_holds_key_and_chain(authority: Authority) -> None:
    paths = authority.issue_server(server="kafka")
    keystore = authority.keystore(paths)
    assert x509.load_pem_x509_certificates(keystore) == [load(paths[0]), load(authority.certificate_path)]
    assert keystore.startswith(b"-----BEGIN PRIVATE KEY-----")  # PKCS#8
    key = serialization.load_pem_private_key(keystore, None)
    assert key.public_key() == load(paths[0]).public_key()


def test_python_takes_the_chain_strictly(authority: Authority) -> None:
    """A handshake in memory with RFC 5280 checked to the letter."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.certificate_path))
    server.load_cert_chain(*authority.issue_server())
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.create_default_context(cafile=str(authority.certificate_path))
    client.load_cert_chain(*authority.issue_client("dso-a"))
    for context in (server, client):
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    two = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (one, two):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    certificate = two.getpeercert()
    assert certificate is not None
    assert certificate["subject"] == ((("commonName", "dso-a"),),)


def test_nothing_valid_is_overwritten(authority: Authority) -> None:
    path, key = authority.issue_client("dso-a")
    before = path.read_bytes(), key.read_bytes()
    with pytest.raises(Conflict):
        authority.issue_client("dso-a")
    with pytest.raises(Conflict):
        Authority.create(authority.directory)
    assert (path.read_bytes(), key.read_bytes()) == before
    authority.issue_client("dso-a", replace=True)
    assert path.read_bytes() != before[0]
    authority.issue_server()
    with pytest.raises(Conflict):
        authority.issue_server()
    assert len(authority.list()) == 3


def test_revoking_by_name_and_by_serial_number(authority: Authority) -> None:
    for name in ("dso-a", "dso-b"):
        authority.issue_client(name)
    authority.issue_client("dso-b", replace=True)
    revocations = RevocationList(authority.certificate_path, authority.crl_path)
    (a,) = authority.revoke("dso-a")
    older, newer = (issued for issued in authority.list() if issued.name == "dso-b")
    authority.revoke(newer.serial)
    assert [revocations.is_revoked(int(i.serial, 16)) for i in (a, older, newer)] == [True, False, True]
    assert [i.revoked_at is not None for i in authority.list()] == [
        i.serial in {a.serial, newer.serial} for i in authority.list()
    ]
    for again in (a.name, a.serial, "dso-c"):
        with pytest.raises(NotFound):
            authority.revoke(again)
    authority.issue_client("dso-a")
    assert Authority.open(authority.directory).list() == authority.list()


def test_what_will_expire_is_told(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    assert authority.warnings() == []
    monkeypatch.setattr(certificates, "LEAF_DAYS", 20)
    monkeypatch.setattr(certificates, "CRL_DAYS", 20)
    authority.issue_client("dso-a")
    authority.renew_crl()
    told = " ".join(authority.warnings())
    assert "dso-a" in told
    assert "revocation list" in told
    monkeypatch.undo()
    authority.renew_crl()
    authority.issue_client("dso-a", replace=True)
    assert authority.warnings() == []


def test_the_revocation_list_is_far_from_its_end_and_counts(authority: Authority) -> None:
    authority.issue_client("dso-a")
    authority.revoke("dso-a")
    crl = x509.load_pem_x509_crl(authority.crl_path.read_bytes())
    assert crl.next_update_utc is not None
    assert crl.next_update_utc > datetime.now(UTC) + timedelta(days=300)
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 2


def test_a_stale_list_still_revokes_and_says_so(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.issue_client("dso-a")
    monkeypatch.setattr(certificates, "CRL_DAYS", 0)
    (revoked,) = authority.revoke("dso-a")
    time.sleep(0.01)
    revocations = RevocationList(authority.certificate_path, authority.crl_path)
    assert revocations.stale
    assert revocations.is_revoked(int(revoked.serial, 16))


def test_a_broken_or_forged_list_does_not_replace_a_good_one(authority: Authority, tmp_path: Path) -> None:
    authority.issue_client("dso-a")
    (revoked,) = authority.revoke("dso-a")
    serial = int(revoked.serial, 16)
    revocations = RevocationList(authority.certificate_path, authority.crl_path)
    forged = Authority.create(tmp_path / "forger").crl_path.read_bytes()
    for content in (forged, b"no list"):
        write_file(authority.crl_path, content, 0o644, replace=True)
        assert revocations.is_revoked(serial)
        assert revocations.broken
        with pytest.raises(Misconfigured):
            RevocationList(authority.certificate_path, authority.crl_path)


@pytest.mark.parametrize("name", ["", "DSO", "a/b", "../x", "a" * 49, "ä"])
def test_names_that_are_not_allowed(authority: Authority, name: str) -> None:
    with pytest.raises(Malformed):
        authority.issue_client(name)
    assert authority.list() == []


def test_host_names_that_are_not_allowed(authority: Authority) -> None:
    with pytest.raises(Malformed):
        authority.issue_server(["bäl.example.org"])


def test_opening_what_is_not_there_or_broken(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        Authority.open(tmp_path / "nowhere")
    (authority.directory / "ca.key").write_bytes(b"broken")
    with pytest.raises(Misconfigured):
        Authority.open(authority.directory)


def test_a_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_file(path, b"one", 0o600)
    with pytest.raises(FileExistsError):
        write_file(path, b"two", 0o600)

    def fails(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="Input/output"):
        write_file(path, b"three", 0o600, replace=True)
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_no_client_bears_the_name_of_a_server_or_an_administrator(tmp_path: Path) -> None:
    """Whoever bears one may do everything at that server."""
    authority = Authority.create(tmp_path / "pki")
    authority.issue_server(server="dso-gateway")
    for name in (*RESERVED, "dso-gateway"):
        with pytest.raises(Conflict, match="server"):
            authority.issue_client(name)
    assert [each.name for each in authority.list()] == ["dso-gateway"]
    authority.issue_client("kafka-admin", service=True)


def test_a_revocation_of_one_kind_leaves_the_other(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "pki")
    authority.issue_client("both")
    authority.issue_server(server="both")
    assert [each.kind for each in authority.revoke("both", "client")] == ["client"]
    with pytest.raises(NotFound):
        authority.revoke("both", "client")
    assert [each.kind for each in authority.revoke("both")] == ["server"]
