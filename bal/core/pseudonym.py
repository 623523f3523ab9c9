"""Pseudonyms: what stands in for the identifier of a usage point, meter or device."""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Literal

IdentifierKind = Literal["usage-point", "meter", "device"]
PSEUDONYM_CHARACTERS = 26
_PSEUDONYM = re.compile(r"[a-z2-7]{26}")


def is_pseudonym(text: str) -> bool:
    """Tell whether `text` has the form of a pseudonym."""
    return _PSEUDONYM.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class PseudonymKey:
    """One numbered key; a rotation brings in the next number and starts new pseudonyms at a recorded time."""

    number: int
    secret: bytes = field(repr=False)
    since: int = 0
    """From when it is used, microseconds UTC."""

    def pseudonym(self, source: str, kind: IdentifierKind, identifier: str) -> str:
        """Return the 26 lower-case base32 characters of the first 128 bits of HMAC-SHA-256 (RFC 2104, RFC 4648).

        The message is `source 0x00 kind 0x00 identifier`. Only who holds the key can go from a guess to a pseudonym.
        """
        message = f"{source}\0{kind}\0{identifier}".encode()
        digest = hmac.digest(self.secret, message, hashlib.sha256)
        return base64.b32encode(digest[:16]).decode().rstrip("=").lower()

    def digest(self, data: bytes) -> bytes:
        """Return HMAC-SHA-256 of `data` under a key derived from this one, for look-ups that must not be guessable."""
        return hmac.digest(self.secret, b"look-up\0" + data, hashlib.sha256)
