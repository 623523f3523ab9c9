"""An endorsed transaction."""

from typing import Any

from fabric_protos.gateway import gateway_pb2 as gateway

from bal.fabric import wire
from bal.fabric.commit import SubmittedTransaction
from bal.fabric.session import Session


class Transaction:
    """What the endorsers agreed on, to be handed to an orderer. It may be submitted again: its id is committed once."""

    def __init__(self, session: Session, prepared: Any) -> None:
        self._session = session
        self._prepared = prepared
        self._channel, self.result = wire.read_transaction(prepared.envelope.payload)

    @property
    def transaction_id(self) -> str:
        """Return the id, in hexadecimal."""
        return str(self._prepared.transaction_id)

    @property
    def digest(self) -> bytes:
        """Return what is to be signed off-line."""
        return self._session.signing.hash(self._prepared.envelope.payload)

    def to_bytes(self) -> bytes:
        """Return the transaction as gateway.PreparedTransaction, for `Gateway.new_transaction`."""
        return bytes(self._prepared.SerializeToString())

    async def submit(self, seconds: float | None = None) -> SubmittedTransaction:
        """Hand it to an orderer; returns before it is in a block.

        Raises SubmitError, NotSigned.
        """
        envelope = self._prepared.envelope
        if not envelope.signature:
            envelope.signature = await self._session.signing.sign(envelope.payload)
        request = gateway.SubmitRequest(
            transaction_id=self.transaction_id, channel_id=self._channel, prepared_transaction=envelope
        )
        await self._session.failover.submit(
            request, self._session.deadlines.submit if seconds is None else seconds
        )
        return self.submitted()

    def submitted(self) -> SubmittedTransaction:
        """Return what can be asked for the commit status, without submitting: after an error that left it unknown."""
        signed = wire.commit_request(self._channel, self.transaction_id, self._session.signing.creator)
        return SubmittedTransaction(self._session, signed, self.transaction_id, self.result)
