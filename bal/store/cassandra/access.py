"""What it takes to be let in at Cassandra."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from bal.core.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class CassandraAccess:
    """Where Cassandra is, who asks and how much at a time; the fields of `bal.config.CassandraSettings`."""

    hosts: tuple[str, ...] = ("127.0.0.1",)
    port: int = 9042
    datacentre: str = "datacenter1"
    keyspace: str = "bal"
    """Empty for one who works on no keyspace, or makes it."""
    role: str = ""
    password_file: Path | None = None
    ca: Path | None = None
    """CA of the servers, PEM; none connects without TLS."""
    certificate: Path | None = None
    key: Path | None = None
    server_name: str = "localhost"
    request_seconds: float = 10.0
    in_flight: int = 128

    def password(self) -> str:
        """Return the role's password. `Misconfigured` when its file cannot be read."""
        if self.password_file is None:
            message = "there is no file with the role's password"
            raise Misconfigured(message, subject="cassandra.password_file", remedy="set it in bal.toml")
        try:
            return self.password_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            message = f"the file with the role's password cannot be read ({error.strerror})"
            raise Misconfigured(
                message, subject="cassandra.password_file", remedy="correct the path, or who may read it"
            ) from error

    def tls(self) -> ssl.SSLContext | None:
        """Return the TLS of the connections, None for none. `Misconfigured` when a file is no good."""
        if self.ca is None:
            return None
        try:
            context = ssl.create_default_context(cafile=str(self.ca))
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            message = "the CA, the certificate or its key cannot be read"
            raise Misconfigured(
                message, subject="cassandra.ca, certificate, key", remedy="give PEM files that fit together"
            ) from error
        return context
