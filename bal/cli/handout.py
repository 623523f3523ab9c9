"""What a subscriber is handed: a folder with its certificate, to be given to it by a safe way."""

from datetime import UTC, datetime
from pathlib import Path

from bal.durable import PUBLIC, SECRET, make_directory, write_file
from bal.pki import Authority, Issued
from bal.publish.kafka.access import client_properties


class Handout:
    """`ca.crt NAME.crt NAME.key NAME.pem kafka.properties` of the subscriber that `folder` is called after."""

    def __init__(self, folder: Path, ca: Authority) -> None:
        self.folder = folder
        self.name = folder.name
        self._ca = ca
        self._certificate, self._key = (folder / f"{self.name}.{kind}" for kind in ("crt", "key"))

    def certificate(self) -> Issued | None:
        """Return the certificate in it; None where there is none that the CA has issued.

        No other is the subscriber's: the CA may have given one of its name to somebody else since.
        """
        return self._ca.known(self._certificate.read_bytes()) if self._certificate.exists() else None

    @property
    def is_valid(self) -> bool:
        """Tell whether the certificate in it is within its time and not revoked."""
        own = self.certificate()
        return own is not None and own.valid(datetime.now(UTC))

    def others(self) -> list[Issued]:
        """Return the certificates of its name that are somebody else's: valid ones, or any before it has its own."""
        own, now = self.certificate(), datetime.now(UTC)
        found = [each for each in self._ca.list() if each.name == self.name and each != own]
        return [each for each in found if own is None or each.valid(now)]

    def write(self) -> None:
        """Write it, with the certificate that is in it while that is valid, else with a new one. Raises `Conflict`."""
        if self.is_valid:
            certificate, key = self._certificate, self._key
        else:
            certificate, key = self._ca.issue_client(self.name)
        pair = self._ca.keystore((certificate, key))
        make_directory(self.folder)
        for path, content, mode in (
            (self._key, key.read_bytes(), SECRET),
            (
                self._certificate,
                certificate.read_bytes(),
                PUBLIC,
            ),  # at once: by it the pair is known as its own
            (self.folder / "ca.crt", self._ca.certificate_path.read_bytes(), PUBLIC),
            (self.folder / f"{self.name}.pem", pair, SECRET),
            (
                self.folder / "kafka.properties",
                client_properties("ca.crt", f"{self.name}.pem", self.name).encode(),
                PUBLIC,
            ),
        ):
            write_file(path, content, mode, replace=True)

    def revoke(self) -> list[Issued]:
        """Revoke the certificate in it, while it is valid; return it."""
        own = self.certificate()
        assert own is not None, "it is valid"
        return self._ca.revoke(own.serial, own.kind)
