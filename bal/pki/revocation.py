"""Revocation as servers ask for it: read again whenever the list's file has changed."""

from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from bal.core.errors import Misconfigured


class RevocationList:
    """The certificates a CA has revoked, from its signed list in a file (RFC 5280, section 5).

    A list past its `nextUpdate` still counts: refusing everybody because nobody signed it anew would be an outage
    without gain, as what it revokes stays revoked (`stale` says so, for warnings). Raises `Misconfigured` when the file
    is missing, no list, or not signed by the CA; a service that runs goes on with the last good one.
    """

    def __init__(self, ca_path: Path, crl_path: Path) -> None:
        self._ca_path = ca_path
        self._path = crl_path
        self._stamp: tuple[int, int, int] | None = None
        self._serials: frozenset[int] = frozenset()
        self._next_update: datetime | None = None
        self.broken = False
        """True while the file cannot be read and an older list is used."""
        self._load()

    @property
    def stale(self) -> bool:
        """True when the list should have been signed anew by now."""
        return self._next_update is None or self._next_update < datetime.now(UTC)

    def is_revoked(self, serial: int) -> bool:
        """Tell whether the certificate with this serial number is revoked, by the newest good list."""
        try:
            self._load()
            self.broken = False
        except Misconfigured:
            self.broken = True
        return serial in self._serials

    def _load(self) -> None:
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
            if stamp == self._stamp:
                return
            crl = x509.load_pem_x509_crl(self._path.read_bytes())
            key = x509.load_pem_x509_certificate(self._ca_path.read_bytes()).public_key()
        except (OSError, ValueError) as error:
            message = "the revocation list cannot be read"
            raise Misconfigured(message, remedy="sign it anew with `bal pki renew-crl`") from error
        if not isinstance(key, ec.EllipticCurvePublicKey) or not crl.is_signature_valid(key):
            message = "the revocation list is not signed by the certificate authority"
            raise Misconfigured(message, remedy="sign it anew with `bal pki renew-crl`")
        self._serials = frozenset(entry.serial_number for entry in crl)
        self._next_update = crl.next_update_utc
        self._stamp = stamp
