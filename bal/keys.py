"""The operator's keys: made on first use, readable by their owner only, never anywhere but in the home."""

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bal.core.errors import Conflict, Misconfigured
from bal.core.pseudonym import PseudonymKey
from bal.durable import SECRET, write_file

KEY_BYTES = 32
IRREPLACEABLE = ("operator.pem", "quarantine.key", "lookup.key", "pseudonyms.json")
"""Keys that data were written under: with others the data would not fit together."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Every secret of a home."""

    operator: Ed25519PrivateKey = field(repr=False)
    """Signs the blocks of the embedded ledger."""
    quarantine: bytes = field(repr=False)
    """AES-256 key of the quarantine."""
    lookup: bytes = field(repr=False)
    """HMAC key under which erased natural keys are remembered."""
    pseudonyms: tuple[PseudonymKey, ...] = field(repr=False)
    """Pseudonym keys by number; each is used from its time on."""
    token: Ed25519PrivateKey = field(repr=False)
    """Signs access tokens."""

    @classmethod
    def open(cls, directory: Path, *, in_use: bool = False) -> Self:
        """Return the keys in `directory`, making those that are not there yet.

        Where they are `in_use` already, raise `Misconfigured` for one that is lost.
        """
        lost = [name for name in IRREPLACEABLE if in_use and not (directory / name).exists()]
        if lost:
            message = "this key is missing"
            raise Misconfigured(message, subject=f"keys/{lost[0]}", remedy="restore it from a backup")
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        operator = _signing_key(directory / "operator.pem")
        public = operator.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        _write_new(directory / "operator.pub", public)
        return cls(
            operator=operator,
            quarantine=_symmetric_key(directory / "quarantine.key"),
            lookup=_symmetric_key(directory / "lookup.key"),
            pseudonyms=_pseudonym_keys(directory / "pseudonyms.json"),
            token=_signing_key(directory / "token.pem"),
        )

    def pseudonym_key(self, instant: int) -> PseudonymKey:
        """Return the key in use at `instant` (microseconds)."""
        return next(
            key for key in reversed(self.pseudonyms) if key.since <= instant or key is self.pseudonyms[0]
        )


def rotate_pseudonyms(directory: Path, since: int) -> PseudonymKey:
    """Add the next pseudonym key, in use from `since` (microseconds) on, and return it.

    `Conflict` when that is not after the beginning of the key before.
    """
    path = directory / "pseudonyms.json"
    known = _pseudonym_keys(path)
    if since <= known[-1].since:
        message = "a key is used already from that time on, or from a later one"
        raise Conflict(message, subject=f"pseudonym key {known[-1].number}", remedy="name a later time")
    new = PseudonymKey(known[-1].number + 1, secrets.token_bytes(KEY_BYTES), since)
    write_file(path, _pseudonym_text((*known, new)), SECRET, replace=True)
    return new


def operator_public_key(directory: Path) -> Ed25519PublicKey:
    """Return the key that checks the embedded ledger's blocks; no secret is read. `Misconfigured`."""
    try:
        key = serialization.load_pem_public_key((directory / "operator.pub").read_bytes())
    except (OSError, ValueError):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        message = "the public key of the ledger's operator is missing"
        raise Misconfigured(message, subject="keys/operator.pub", remedy="name an existing home with --home")
    return key


def _signing_key(path: Path) -> Ed25519PrivateKey:
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        key = serialization.load_pem_private_key(_write_new(path, pem), None)
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable(path)
    return key


def _symmetric_key(path: Path) -> bytes:
    try:
        key = bytes.fromhex(_write_new(path, secrets.token_hex(KEY_BYTES).encode()).decode())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise _unusable(path)
    return key


def _pseudonym_keys(path: Path) -> tuple[PseudonymKey, ...]:
    first = PseudonymKey(1, secrets.token_bytes(KEY_BYTES), 0)
    try:
        rows = json.loads(_write_new(path, _pseudonym_text((first,))))
        return tuple(PseudonymKey(row["number"], bytes.fromhex(row["secret"]), row["since"]) for row in rows)
    except (ValueError, KeyError, TypeError):
        raise _unusable(path) from None


def _pseudonym_text(keys: tuple[PseudonymKey, ...]) -> bytes:
    rows = [{"number": key.number, "secret": key.secret.hex(), "since": key.since} for key in keys]
    return json.dumps(rows, indent=1).encode()


def _unusable(path: Path) -> Misconfigured:
    message = "this key file cannot be used"
    return Misconfigured(
        message, subject=path.name, remedy="restore it from a backup; a new one would not fit the data"
    )


def _write_new(path: Path, content: bytes) -> bytes:
    """Write `content` to `path` unless it exists; return what stands there. Made whole or not at all."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        write_file(path, content, SECRET, replace=True)
        return content
