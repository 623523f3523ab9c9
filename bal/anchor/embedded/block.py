"""Blocks: what one line of the ledger's file holds, its hash and its signature.

A line is the RFC 8785 form of `{hash, number, previous, signature, time, transactions}`. `hash` is
SHA-256(0x03 || RFC 8785 form of the other members without `signature`), `signature` Ed25519 (RFC 8032) by the operator's
key over a fixed prefix and that hash; `previous` is the hash of the block before, 64 zeros in block 0.
"""

from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bal.core.errors import LedgerAltered
from chaincode import canonical
from chaincode.anchor import GENESIS, check_hash, check_time
from chaincode.errors import ContractError

VALID: Final = "VALID"
MVCC_READ_CONFLICT: Final = "MVCC_READ_CONFLICT"
"""A key was written between the transaction's reading and its turn: nothing of it counts (Fabric's own word)."""
LINE_BYTES: Final = 32 * 1024 * 1024
"""Longest line: the committer fills blocks up to half of it."""
_SIGNED: Final = b"bal embedded ledger block 1\n"
_MEMBERS: Final = {"hash", "number", "previous", "signature", "time", "transactions"}

Version = tuple[int, int]
"""(block, transaction in it) that wrote a key."""


@dataclass(frozen=True, slots=True)
class Read:
    """A key a transaction read, and the version it saw; None: there was no such key."""

    key: str
    version: Version | None


@dataclass(frozen=True, slots=True)
class Write:
    """A key a transaction writes and its value, canonical JSON as text."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Transaction:
    """One call of the contract with what it read and wrote. `result` is the hex SHA-256 of its answer."""

    tx_id: str
    time: str
    function: str
    args: tuple[str, ...]
    organisation: str
    roles: tuple[str, ...]
    reads: tuple[Read, ...]
    writes: tuple[Write, ...]
    result: str
    code: str = VALID

    def to_json(self) -> dict[str, object]:
        """Return the transaction as it stands in its block."""
        return {
            "tx_id": self.tx_id,
            "time": self.time,
            "function": self.function,
            "args": list(self.args),
            "organisation": self.organisation,
            "roles": list(self.roles),
            "reads": [{"key": read.key, "version": list(read.version or ())} for read in self.reads],
            "writes": [asdict(write) for write in self.writes],
            "result": self.result,
            "code": self.code,
        }

    @classmethod
    def from_json(cls, value: Any) -> "Transaction":
        """Return the transaction of a JSON object; raises KeyError, TypeError or ValueError for another form."""
        transaction = cls(
            **value
            | {
                "args": tuple(value["args"]),
                "roles": tuple(value["roles"]),
                "reads": tuple(Read(read["key"], _version(read["version"])) for read in value["reads"]),
                "writes": tuple(Write(**write) for write in value["writes"]),
            }
        )
        if transaction.code not in (VALID, MVCC_READ_CONFLICT):
            message = "no such validation code"
            raise ValueError(message)
        return transaction

    def coded(self, code: str) -> "Transaction":
        """Return the transaction with its validation code."""
        return replace(self, code=code)


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive transactions that became durable together."""

    number: int
    previous: str
    time: str
    transactions: tuple[Transaction, ...]

    def _content(self) -> dict[str, object]:
        return {
            "number": self.number,
            "previous": self.previous,
            "time": self.time,
            "transactions": [transaction.to_json() for transaction in self.transactions],
        }

    def seal(self, key: Ed25519PrivateKey) -> tuple[str, bytes]:
        """Return the block's hash and its signed line, newline included."""
        content = self._content()
        digest = _digest(content)
        signature = key.sign(_SIGNED + digest).hex()
        return digest.hex(), canonical.encode(
            content | {"hash": digest.hex(), "signature": signature}
        ) + b"\n"


def read_block(line: bytes, number: int, previous: str, key: Ed25519PublicKey) -> tuple[Block, str]:
    """Return the block that `line` (without newline) holds, and its hash.

    It must be byte for byte what `Block.seal` made as block `number` after `previous`, else `LedgerAltered`.
    """
    try:
        value = canonical.decode(line)
        if not isinstance(value, dict) or value.keys() != _MEMBERS or canonical.encode(value) != line:
            raise altered(number, "its line is not a block in canonical form")
        content = {name: value[name] for name in value if name not in ("hash", "signature")}
        digest = _digest(content)
        if value["hash"] != digest.hex():
            raise altered(number, "its content does not have its hash")
        if type(value["number"]) is not int or value["number"] != number:
            raise altered(number, f"another block stands in its place: {value['number']}")
        if value["previous"] != previous:
            raise altered(number, "it does not follow on the block before")
        key.verify(bytes.fromhex(check_hash_pair(value["signature"])), _SIGNED + digest)
        check_time(value["time"], "time")
        transactions = tuple(Transaction.from_json(item) for item in value["transactions"])
    except InvalidSignature:
        raise altered(number, "its signature is not the operator's") from None
    except (ContractError, KeyError, TypeError, ValueError):
        raise altered(number, "its line is not a block in canonical form") from None
    return Block(number, previous, value["time"], transactions), digest.hex()


def altered(number: int, what: str) -> LedgerAltered:
    """Return the error that block `number` is not what was written."""
    return LedgerAltered(
        f"the ledger's file was altered: {what}",
        block=number,
        subject=f"block {number}",
        remedy="restore the file from a copy; what anchors say beyond this block is not proven",
    )


def check_hash_pair(value: object) -> str:
    """Return the 128 hex digits of a signature, else raise ContractError."""
    text = value if isinstance(value, str) else ""
    return check_hash(text[:64], "signature") + check_hash(text[64:], "signature")


def _version(value: list[int]) -> Version | None:
    if not value:
        return None
    block, place = value
    return block, place


def _digest(content: dict[str, object]) -> bytes:
    return sha256(b"\x03" + canonical.encode(content)).digest()


FIRST_PREVIOUS: Final = GENESIS
"""`previous` of block 0."""
