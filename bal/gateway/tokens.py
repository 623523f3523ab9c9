"""Access tokens: JWTs of RFC 9068, signed with Ed25519 (RFC 8037, RFC 9864), of one issuer for itself."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from bal.core.errors import Unauthenticated
from bal.gateway.clients import Client
from bal.ports import Clock

ALGORITHM: Final = "Ed25519"
"""The one algorithm: what a token's header says never chooses another."""
TOKEN_CHARACTERS: Final = 2048
"""Longest token looked at; ours stay under 1,000."""
LIFETIME_SECONDS: Final = 600
LEEWAY_SECONDS: Final = 0
"""The issuer is the one that checks: there is one clock."""
_TYPE: Final = "at+jwt"
_MICROSECONDS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Grant:
    """What a valid token says."""

    client: str
    registration: str
    """`Client.key` at the time of issue."""
    scopes: frozenset[str]
    expires_at: int
    """Seconds since 1970."""


class Tokens:
    """Issues and checks the access tokens of one issuer (an https URL without a trailing slash)."""

    def __init__(
        self, key: Ed25519PrivateKey, issuer: str, clock: Clock, lifetime_seconds: int = LIFETIME_SECONDS
    ) -> None:
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        raw = key.private_bytes_raw()
        self._key = OKPKey.import_key(pem)
        self._root = raw
        self._clock = clock
        self.issuer = issuer.rstrip("/")
        self.audience = f"{self.issuer}/v1"
        self.lifetime_seconds = lifetime_seconds
        self._header = {"alg": ALGORITHM, "typ": _TYPE, "kid": self._key.thumbprint()}
        self._claims = jwt.JWTClaimsRegistry(
            now=self._now,
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self.audience},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            jti={"essential": True},
            client_id={"essential": True},
            scope={"essential": True},
            registration={"essential": True},
        )

    def _now(self) -> int:
        return self._clock.now() // _MICROSECONDS

    def issue(self, client: Client, scopes: Iterable[str]) -> str:
        """Return a token for `client` with `scopes`, which the caller has checked."""
        now = self._now()
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": client.name,
            "client_id": client.name,
            "scope": " ".join(scopes),
            "iat": now,
            "exp": now + self.lifetime_seconds,
            "jti": secrets.token_urlsafe(16),
            "registration": client.key,
        }
        return jwt.encode(self._header, claims, self._key, algorithms=[ALGORITHM])

    def read(self, token: str) -> Grant:
        """Return what a token grants; raise `Unauthenticated` for any that is not exactly one of ours, in its time.

        The header must be ours to the letter: no `crit`, `jku`, `x5u` or `jwk` is looked at, no other `kid` or `alg`.
        """
        if len(token) > TOKEN_CHARACTERS or not token.isascii():
            raise _not_valid()
        try:
            decoded = jwt.decode(token, self._key, algorithms=[ALGORITHM])
            self._claims.validate(decoded.claims)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise _not_valid() from error
        claims = decoded.claims
        texts = [claims[name] for name in ("client_id", "sub", "scope", "registration", "jti")]
        if decoded.header != self._header or not all(isinstance(text, str) for text in texts):
            raise _not_valid()
        if claims["sub"] != claims["client_id"] or claims["aud"] != self.audience:
            raise _not_valid()
        return Grant(
            claims["client_id"],
            claims["registration"],
            frozenset(claims["scope"].split()),
            int(claims["exp"]),
        )

    def expired(self, grant: Grant) -> bool:
        """Tell whether the time of a token is over."""
        return grant.expires_at <= self._now()

    def jwks(self) -> dict[str, Any]:
        """Return the public key as a JWK Set (RFC 7517)."""
        key = self._key.as_dict(private=False)
        return {"keys": [{**key, "use": "sig", "alg": ALGORITHM, "kid": self._header["kid"]}]}

    def derive(self, purpose: str) -> bytes:
        """Return 32 secret bytes for one purpose beside tokens (HKDF, RFC 5869)."""
        return HKDF(hashes.SHA256(), 32, None, b"bal " + purpose.encode()).derive(self._root)


def _not_valid() -> Unauthenticated:
    return Unauthenticated("this access token is not valid", remedy="get a new one at /oauth/token")
