"""Hash functions for messages before they are signed: what the channel's MSP definition asks for."""

import hashlib
from collections.abc import Callable

Hash = Callable[[bytes], bytes]
"""Takes a message, returns what is handed to the signer."""


def sha256(message: bytes) -> bytes:
    """Return the SHA-256 digest; what every Fabric network takes unless set up otherwise."""
    return hashlib.sha256(message).digest()


def sha384(message: bytes) -> bytes:
    """Return the SHA-384 digest."""
    return hashlib.sha384(message).digest()


def sha3_256(message: bytes) -> bytes:
    """Return the SHA3-256 digest."""
    return hashlib.sha3_256(message).digest()


def sha3_384(message: bytes) -> bytes:
    """Return the SHA3-384 digest."""
    return hashlib.sha3_384(message).digest()


def none(message: bytes) -> bytes:
    """Return the message itself, for signers that hash on their own (Ed25519, some hardware modules)."""
    return message
