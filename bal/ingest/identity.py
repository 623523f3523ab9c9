"""Who is at the other end of a connection: a client certificate's common name, or a user name with its password."""

import ssl
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from bal.ingest.accounts import Accounts
from bal.ingest.wire import BAD_CREDENTIALS, NOT_AUTHORISED, Connect

IDENTITY_CHARACTERS = 64
"""Longest common name (ub-common-name, RFC 5280)."""


class Identity(NamedTuple):
    """Somebody who proved who it is, and by what."""

    name: str
    serial: int | None = None
    """The certificate's serial number; None for a password."""
    expires: float = float("inf")
    """When the certificate expires, seconds since 1970."""


class Gatekeeper:
    """Tells who a client is, and whether it still may be."""

    def __init__(
        self, *, is_revoked: Callable[[int], bool], accounts: Accounts | None, now: Callable[[], float]
    ) -> None:
        self._is_revoked = is_revoked
        self._accounts = accounts
        self._now = now

    async def identify(self, tls: ssl.SSLObject, connect: Connect) -> Identity | int:
        """Return the identity, or the CONNACK code that refuses. A certificate counts alone; a password beside it is not read.

        The TLS layer has checked the certificate against the CA, its times and its purpose.
        """
        certificate = tls.getpeercert()
        if certificate:
            identity = _of_certificate(certificate)
            return identity if identity is not None and self.still(identity) else NOT_AUTHORISED
        if self._accounts is None or connect.username is None or connect.password is None:
            return NOT_AUTHORISED
        if await self._accounts.verify(connect.username, connect.password):
            return Identity(connect.username)
        return BAD_CREDENTIALS

    def still(self, identity: Identity) -> bool:
        """Tell whether an identity is still good: not revoked, not expired, account not removed."""
        if identity.serial is not None:
            return not self._is_revoked(identity.serial) and self._now() < identity.expires
        return self._accounts is not None and self._accounts.has(identity.name)


def _of_certificate(certificate: Mapping[str, Any]) -> Identity | None:
    subject = certificate.get("subject", ())
    names = [value for part in subject for key, value in part if key == "commonName"]
    if len(names) != 1 or not 0 < len(names[0]) <= IDENTITY_CHARACTERS or not names[0].isprintable():
        return None
    expires = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    return Identity(names[0], int(str(certificate["serialNumber"]), 16), expires)
