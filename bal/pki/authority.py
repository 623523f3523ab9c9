"""The development CA: a folder with its key, what it issued and what it revoked."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from bal.core.errors import BalError, Conflict, Malformed, Misconfigured, NotFound
from bal.core.names import check_name
from bal.durable import PUBLIC, SECRET, make_directory, write_file
from bal.pki import certificates as make
from bal.pki.reserved import RESERVED

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
SERVER = "server"
_CRL_URL, _HERE = "crl.url", "file:"
_WARN = timedelta(days=30)


class Issued(NamedTuple):
    """A certificate the authority issued."""

    name: str
    kind: str
    """`server` or `client`."""
    serial: str
    """Lower-case hex."""
    not_before: datetime
    not_after: datetime
    revoked_at: datetime | None

    def valid(self, moment: datetime) -> bool:
        """Tell whether it is within its time and not revoked."""
        return self.revoked_at is None and self.not_before <= moment <= self.not_after


class Authority:
    """A development CA in `directory`: `ca.crt ca.key crl.pem crl.der crl.url server.crt server.key servers/ clients/ issued/`.

    Keys are ECDSA P-256, readable by their owner only. Nothing valid is overwritten. One process at a time writes.
    """

    def __init__(
        self, directory: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> None:
        self.directory = directory
        self._certificate = certificate
        self._key = key

    @property
    def crl_url(self) -> str:
        """Where certificates say that the revocation list is, DER (RFC 5280, 4.2.1.13); empty when they do not say.

        Java servers look there, and nowhere else, for what is revoked.
        """
        try:
            kept = (self.directory / _CRL_URL).read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return ""  # made before there was this setting
        except (OSError, ValueError) as error:
            raise _broken("address of the revocation list") from error
        return self.crl_der_path.resolve().as_uri() if kept == _HERE else kept

    @property
    def certificate_path(self) -> Path:
        """The CA certificate, to be given to every peer."""
        return self.directory / "ca.crt"

    @property
    def crl_path(self) -> Path:
        """The revocation list, PEM."""
        return self.directory / "crl.pem"

    @property
    def crl_der_path(self) -> Path:
        """The same list, DER, as RFC 5280 wants it at a distribution point."""
        return self.directory / "crl.der"

    @property
    def server_paths(self) -> tuple[Path, Path]:
        """The certificate and key of the server that is called `server`."""
        return self.paths_of_server(SERVER)

    def paths_of_server(self, server: str) -> tuple[Path, Path]:
        """Return where the certificate and the key of `server` are."""
        folder = self.directory if server == SERVER else self.directory / "servers"
        return folder / f"{check_name(server)}.crt", folder / f"{server}.key"

    def client_paths(self, name: str) -> tuple[Path, Path]:
        """Return where the certificate and the key of client `name` are."""
        clients = self.directory / "clients"
        return clients / f"{check_name(name)}.crt", clients / f"{name}.key"

    @classmethod
    def exists(cls, directory: Path) -> bool:
        """Tell whether there is an authority in `directory`."""
        return (directory / "ca.crt").exists()

    @classmethod
    def create(cls, directory: Path, name: str = "BAL development CA", *, crl_url: str | None = None) -> Self:
        """Make a new authority with an empty revocation list; raise `Conflict` where there is one.

        Certificates name `crl_url` as the place of the revocation list: None is the file in this folder, wherever
        that stands when one is issued (for servers on this machine), an empty text is no place.
        """
        if cls.exists(directory) or (directory / "ca.key").exists():
            message = "there is a certificate authority already"
            raise Conflict(message, subject=directory.name, remedy="use it, or choose another folder")
        place = _HERE if crl_url is None else make.check_url(crl_url)
        for folder in (directory, directory / "clients", directory / "issued"):
            make_directory(folder)
        key = make.new_key()
        authority = cls(directory, make.authority_certificate(key, name), key)
        write_file(directory / "ca.key", make.key_pem(key), SECRET)
        write_file(directory / _CRL_URL, f"{place}\n".encode(), PUBLIC)
        authority._write_crl([], 1)
        # Last: its presence says that the rest is there.
        write_file(authority.certificate_path, make.certificate_pem(authority._certificate), PUBLIC)
        return authority

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open an authority; raise `NotFound` or `Misconfigured`."""
        if not cls.exists(directory):
            message = "there is no certificate authority"
            raise NotFound(message, subject=directory.name, remedy="make one with `bal pki init`")
        try:
            certificate = x509.load_pem_x509_certificate((directory / "ca.crt").read_bytes())
            key = serialization.load_pem_private_key((directory / "ca.key").read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise _broken("ca") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise _broken("ca")
        return cls(directory, certificate, key)

    def issue_server(
        self, names: Sequence[str] = (), *, server: str = SERVER, peer: bool = False, replace: bool = False
    ) -> tuple[Path, Path]:
        """Issue the certificate of `server` for this machine's local names and `names`; return (certificate, key) paths.

        `server` is its common name and the stem of its files. With `peer` it may also be shown as a client, as
        servers do that call one another. Raises `Conflict` when there is a valid one and `replace` was not asked for,
        `Malformed` for a wrong host name.
        """
        hosts = list(dict.fromkeys([*LOCAL_NAMES, *names]))
        paths = self.paths_of_server(server)
        make_directory(paths[0].parent)
        return self._issue(paths, make.Leaf(server, hosts, client=peer), replace=replace)

    def issue_client(self, name: str, *, replace: bool = False, service: bool = False) -> tuple[Path, Path]:
        """Issue a certificate whose common name is the identity `name`; return (certificate, key) paths.

        `service` is for the stack's own: nobody else gets a name of a server or an administrator. Raises `Conflict` for
        those, and when there is a valid one and `replace` was not asked for. One that is replaced stays valid until revoked.
        """
        if not service and (
            name in RESERVED or any(i.kind == "server" and i.name == name for i in self.list())
        ):
            message = "this is the name of a server or of who administers it"
            raise Conflict(message, subject=name, remedy="choose another name")
        return self._issue(self.client_paths(name), make.Leaf(name), replace=replace)

    def keystore(self, paths: tuple[Path, Path]) -> bytes:
        """Return key, certificate and CA certificate of (certificate, key) paths in one PEM, as Java servers take it.

        The key is PKCS#8, not encrypted (Kafka's KIP-651): write it to a file that its owner alone can read.
        """
        certificate, key = (path.read_bytes() for path in paths)
        return key + certificate + make.certificate_pem(self._certificate)

    def revoke(self, name_or_serial: str, kind: str | None = None) -> list[Issued]:
        """Revoke every certificate of a name, or the one of a serial number (hex), of one kind or both; return them.

        Raises `NotFound` when there is none that was not revoked before.
        """
        wanted = [
            issued
            for issued in self.list()
            if issued.revoked_at is None
            and name_or_serial in {issued.name, issued.serial}
            and kind in {None, issued.kind}
        ]
        if not wanted:
            message = "there is no such certificate to revoke"
            raise NotFound(message, remedy="see `bal pki list` for names and serial numbers")
        entries = [*self._crl(), *(make.revoked_entry(int(issued.serial, 16)) for issued in wanted)]
        self._write_crl(entries, self._crl_number() + 1)
        serials = {issued.serial for issued in wanted}
        return [issued for issued in self.list() if issued.serial in serials]

    def list(self) -> list[Issued]:
        """Return everything issued, by name, then by age."""
        revoked = {entry.serial_number: entry.revocation_date_utc for entry in self._crl()}
        found = []
        for path in (self.directory / "issued").glob("*.crt"):
            try:
                certificate = x509.load_pem_x509_certificate(path.read_bytes())
                usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
            except (ValueError, x509.ExtensionNotFound) as error:
                raise _broken("issued") from error
            found.append(
                Issued(
                    make.common_name(certificate),
                    "server" if ExtendedKeyUsageOID.SERVER_AUTH in usage else "client",
                    f"{certificate.serial_number:x}",
                    certificate.not_valid_before_utc,
                    certificate.not_valid_after_utc,
                    revoked.get(certificate.serial_number),
                )
            )
        return sorted(found, key=lambda issued: (issued.name, issued.not_before, issued.serial))

    def known(self, certificate: bytes) -> Issued | None:
        """Return what there is to say of a certificate (PEM); None of one that is not, byte for byte, one it has issued."""
        try:
            serial = f"{x509.load_pem_x509_certificate(certificate).serial_number:x}"
        except ValueError:
            return None
        path = self.directory / "issued" / f"{serial}.crt"
        if not path.exists() or path.read_bytes() != certificate:
            return None
        return next(issued for issued in self.list() if issued.serial == serial)

    def withdrawn(self) -> frozenset[str]:
        """Return the clients that have revoked certificates and no valid one: who is to be denied everything."""
        moment = datetime.now(UTC)
        clients = [issued for issued in self.list() if issued.kind == "client"]
        revoked = {issued.name for issued in clients if issued.revoked_at is not None}
        return frozenset(revoked - {issued.name for issued in clients if issued.valid(moment)})

    def renew_crl(self) -> datetime:
        """Sign the revocation list anew; return until when it counts (`nextUpdate`)."""
        return self._write_crl(list(self._crl()), self._crl_number() + 1)

    def warnings(self) -> Sequence[str]:
        """Return what will expire within 30 days, in words; empty when all is well."""
        horizon = datetime.now(UTC) + _WARN
        found = []
        if self._certificate.not_valid_after_utc <= horizon:
            found.append(f"the CA certificate expires on {self._certificate.not_valid_after_utc:%Y-%m-%d}")
        next_update = self._crl().next_update_utc
        if next_update is None or next_update <= horizon:
            found.append("the revocation list has to be signed anew: `bal pki renew-crl`")
        now = datetime.now(UTC)
        valid = sorted(
            (issued for issued in self.list() if issued.valid(now)), key=lambda issued: issued.not_after
        )
        newest = {(issued.kind, issued.name): issued for issued in valid}
        found += [
            f"the certificate of {issued.name} expires on {issued.not_after:%Y-%m-%d}"
            for issued in newest.values()
            if issued.not_after <= horizon
        ]
        return found

    def _issue(self, paths: tuple[Path, Path], leaf: make.Leaf, *, replace: bool) -> tuple[Path, Path]:
        moment, kind = datetime.now(UTC), "client" if leaf.hosts is None else "server"
        valid = [i for i in self.list() if i.kind == kind and i.name == leaf.name and i.valid(moment)]
        if valid and not replace:
            message = "there is a valid certificate of that name"
            raise Conflict(message, subject=leaf.name, remedy="revoke it first, or ask for a replacement")
        key = make.new_key()
        try:
            certificate = make.leaf_certificate(
                self._certificate, self._key, key.public_key(), leaf, self.crl_url
            )
        except ValueError as error:
            message = "a host name is not allowed"
            raise Malformed(
                message, remedy="give DNS names in ASCII (IDNA A-labels) or IP addresses"
            ) from error
        pem = make.certificate_pem(certificate)
        write_file(self.directory / "issued" / f"{certificate.serial_number:x}.crt", pem, PUBLIC)
        # Between the two a reader sees a pair that does not fit and fails; it never gets a wrong identity.
        write_file(paths[1], make.key_pem(key), SECRET, replace=True)
        write_file(paths[0], pem, PUBLIC, replace=True)
        return paths

    def _crl(self) -> x509.CertificateRevocationList:
        try:
            return x509.load_pem_x509_crl(self.crl_path.read_bytes())
        except (OSError, ValueError) as error:
            raise _broken("revocation list") from error

    def _crl_number(self) -> int:
        return int(self._crl().extensions.get_extension_for_class(x509.CRLNumber).value.crl_number)

    def _write_crl(self, entries: Sequence[x509.RevokedCertificate], number: int) -> datetime:
        crl = make.revocation_list(self._certificate, self._key, entries, number)
        write_file(self.crl_der_path, crl.public_bytes(serialization.Encoding.DER), PUBLIC, replace=True)
        write_file(self.crl_path, crl.public_bytes(serialization.Encoding.PEM), PUBLIC, replace=True)
        assert crl.next_update_utc is not None, "every list of ours has one"
        return crl.next_update_utc


def _broken(part: str) -> BalError:
    message = f"the certificate authority's {part} cannot be read"
    return Misconfigured(message, remedy="restore the folder `pki` from a backup, or make a new authority")
