"""One organisation's certificate authorities: one says who belongs to it, the other proves its servers (TLS)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bal.core.errors import Misconfigured
from bal.durable import PUBLIC, SECRET, make_directory, write_file
from bal.pki.certificates import certificate_pem, key_pem, new_key, now
from bal.stack.authority import RENEW_BEFORE
from bal.stack.fabric.certificates import authority_certificate, member_certificate, server_certificate

ROLES: Final = ("client", "peer", "admin", "orderer")

_NODE_OUS: Final = "NodeOUs:\n  Enable: true\n" + "".join(
    f"  {role.capitalize()}OUIdentifier:\n"
    "    Certificate: cacerts/ca.pem\n"
    f"    OrganizationalUnitIdentifier: {role}\n"
    for role in ROLES
)


@dataclass(frozen=True, slots=True)
class Authority:
    """The two CAs of an organisation, and its members and servers, in one folder. Made on first use, then kept."""

    path: Path
    msp: str

    def prepare(self) -> None:
        """Make the CAs, the folder that describes the organisation, its own members and servers; renew what ends soon."""
        self._keep(self.path / "ca", lambda key: authority_certificate(key, self.msp, "ca"))
        self._keep(self.path / "tlsca", lambda key: authority_certificate(key, self.msp, "tlsca"))
        self._describe(self.path / "msp")
        for role in ("peer", "orderer", "admin"):
            self._member_folder(self.path / role / "msp", role)
        for folder in self.guests.glob("*/*"):
            self.guest(folder.parent.name, folder.name)
        for name in ("peer", "orderer", "chaincode"):
            self._server_folder(self.path / name / "tls", name)
        # The peer as a client of its chaincode: it alone may ask, and this is what it shows.
        self._server_folder(self.path / "peer" / "chaincode", "peer-of-chaincode")

    @property
    def ca(self) -> Path:
        """Return the certificate of the CA of members."""
        return self.path / "ca" / "cert.pem"

    @property
    def tls_ca(self) -> Path:
        """Return the certificate of the CA of servers."""
        return self.path / "tlsca" / "cert.pem"

    @property
    def guests(self) -> Path:
        """Return the folder of identities issued to those who use the network."""
        return self.path / "guests"

    @property
    def revocations(self) -> Path:
        """Return the revocation list of the CA of members; there is none before the first revocation."""
        return self.path / "ca" / "crl.pem"

    @property
    def published(self) -> Path:
        """Return the revocation list as the channel's configuration has it, copied once all peers had it."""
        return self.path / "ca" / "crl.published.pem"

    def member(self, role: str) -> tuple[Path, Path]:
        """Return certificate and key of the organisation's own `peer`, `orderer` or `admin`."""
        return self._identity(self.path / "members" / role, role, role)

    def guest(self, name: str, role: str) -> tuple[Path, Path]:
        """Return certificate and key of a guest as `client` or `admin`, issued when there are none yet or they end soon."""
        return self._identity(self.guests / name / role, name, role)

    def certificates(self, name: str) -> list[x509.Certificate]:
        """Return the certificates of a guest: those it has, and those they replaced that may count still."""
        found = sorted((self.guests / name).glob("*/cert.pem*"))
        return [x509.load_pem_x509_certificate(each.read_bytes()) for each in found]

    def signer(self, name: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """Return certificate and key of a CA: `ca` or `tlsca`. Raises `Misconfigured`."""
        folder = self.path / name
        try:
            key = load_pem_private_key((folder / "key.pem").read_bytes(), None)
            certificate = x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes())
        except (OSError, ValueError) as error:
            message = "the organisation's CA cannot be read"
            raise Misconfigured(message, subject=self.msp, remedy="restore its folder") from error
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return certificate, key

    def _identity(self, folder: Path, name: str, role: str) -> tuple[Path, Path]:
        ca, ca_key = self.signer("ca")

        def certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
            return member_certificate(ca, ca_key, key.public_key(), name, role)

        self._keep(folder, certificate)
        if role in {"client", "admin"}:  # servers' outlast the CA
            _renew(folder, certificate)
        return folder / "cert.pem", folder / "key.pem"

    def _describe(self, folder: Path) -> None:
        """Write what says who belongs to the organisation (Fabric docs, `msp`): CAs and roles, no key."""
        for name, content in (
            ("cacerts/ca.pem", self.ca.read_bytes()),
            ("tlscacerts/tlsca.pem", self.tls_ca.read_bytes()),
            ("config.yaml", _NODE_OUS.encode()),
        ):
            _write(folder / name, content, PUBLIC)

    def _member_folder(self, folder: Path, role: str) -> None:
        """Write the folder by which a server or the stock commands are a member."""
        self._describe(folder)
        certificate, key = self.member(role)
        _write(folder / "keystore" / "key.pem", key.read_bytes(), SECRET)
        _write(folder / "signcerts" / "cert.pem", certificate.read_bytes(), PUBLIC)

    def _server_folder(self, folder: Path, name: str) -> None:
        ca, ca_key = self.signer("tlsca")
        make_directory(folder)
        if not (folder / "server.crt").exists():
            key = new_key()
            _write(folder / "server.key", key_pem(key), SECRET)
            content = certificate_pem(server_certificate(ca, ca_key, key.public_key(), name))
            _write(folder / "server.crt", content, PUBLIC)
        _write(folder / "ca.crt", self.tls_ca.read_bytes(), PUBLIC)

    def _keep(self, folder: Path, make: Callable[[ec.EllipticCurvePrivateKey], x509.Certificate]) -> None:
        """Make key and certificate unless both are there: the certificate is written last."""
        if (folder / "cert.pem").exists():
            return
        key = new_key()
        _write(folder / "key.pem", key_pem(key), SECRET)
        _write(folder / "cert.pem", certificate_pem(make(key)), PUBLIC)


def _renew(folder: Path, make: Callable[[ec.EllipticCurvePrivateKey], x509.Certificate]) -> None:
    """Issue a certificate that ends soon anew, for the same key: at no moment do the two not fit.

    The one before is kept beside it: until it ends it is to be revoked as well.
    """
    path = folder / "cert.pem"
    before = path.read_bytes()
    if x509.load_pem_x509_certificate(before).not_valid_after_utc > now() + RENEW_BEFORE:
        return
    key = load_pem_private_key((folder / "key.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    _write(folder / "cert.pem.old", before, PUBLIC)
    _write(path, certificate_pem(make(key)), PUBLIC)


def _write(path: Path, content: bytes, mode: int) -> None:
    make_directory(path.parent)
    if not path.exists() or path.read_bytes() != content:
        write_file(path, content, mode, replace=True)
