"""What became of a submitted transaction."""

from dataclasses import dataclass
from typing import Any

from bal.fabric import wire
from bal.fabric.errors import CommitError
from bal.fabric.session import Session


@dataclass(frozen=True, slots=True)
class Status:
    """The place of a transaction in the ledger, and whether it was valid there."""

    transaction_id: str
    code: int
    """Validation code, as in peer.TxValidationCode."""
    block_number: int
    gateway: str
    """Address of the gateway that told."""

    @property
    def name(self) -> str:
        """Return the name of the validation code, such as "VALID" or "MVCC_READ_CONFLICT"."""
        return wire.validation_name(self.code)

    @property
    def successful(self) -> bool:
        """Tell whether the transaction took effect."""
        return self.code == wire.VALID

    def check(self) -> None:
        """Raise CommitError where the transaction is in its block as invalid."""
        if not self.successful:
            raise CommitError(
                transaction_id=self.transaction_id,
                code=self.code,
                name=self.name,
                block_number=self.block_number,
            )


class Commit:
    """The wait for a transaction's commit."""

    def __init__(
        self,
        session: Session,
        signed: Any,
        transaction_id: str,
    ) -> None:
        self._session = session
        self._signed = signed
        self.transaction_id = transaction_id

    @property
    def digest(self) -> bytes:
        """Return what is to be signed off-line."""
        return self._session.signing.hash(self._signed.request)

    def to_bytes(self) -> bytes:
        """Return the request as gateway.SignedCommitStatusRequest, for `Gateway.new_commit`."""
        return bytes(self._signed.SerializeToString())

    async def status(self, seconds: float | None = None) -> Status:
        """Wait until the transaction is in a block, valid or not, and tell where.

        Raises CommitStatusError where no gateway tells in time, NotSigned.
        """
        if not self._signed.signature:
            self._signed.signature = await self._session.signing.sign(self._signed.request)
        code, block_number, gateway = await self._session.failover.commit_status(
            self._signed,
            self.transaction_id,
            self._session.deadlines.commit_status if seconds is None else seconds,
        )
        return Status(self.transaction_id, code, block_number, gateway)


class SubmittedTransaction(Commit):
    """A transaction handed to an orderer; `result` is what the contract answered, true only if it is committed."""

    def __init__(
        self,
        session: Session,
        signed: Any,
        transaction_id: str,
        result: bytes,
    ) -> None:
        super().__init__(session, signed, transaction_id)
        self.result = result
