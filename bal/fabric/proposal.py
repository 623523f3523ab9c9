"""A transaction proposal."""

from typing import Any

from fabric_protos.gateway import gateway_pb2 as gateway

from bal.fabric import wire
from bal.fabric.session import Session
from bal.fabric.transaction import Transaction


class Proposal:
    """A call of a contract, to be evaluated at one peer or endorsed by as many as the policy needs."""

    def __init__(
        self,
        session: Session,
        proposed: Any,
    ) -> None:
        self._session = session
        self._proposed = proposed

    @property
    def transaction_id(self) -> str:
        """Return the id, in hexadecimal."""
        return str(self._proposed.transaction_id)

    @property
    def digest(self) -> bytes:
        """Return what is to be signed off-line."""
        return self._session.signing.hash(self._proposed.proposal.proposal_bytes)

    def to_bytes(self) -> bytes:
        """Return the proposal as gateway.ProposedTransaction, for `Gateway.new_proposal`."""
        return bytes(self._proposed.SerializeToString())

    async def evaluate(self, seconds: float | None = None) -> bytes:
        """Run it at one peer and return its result; nothing is written.

        Raises EvaluateError, NotSigned.
        """
        await self._sign()
        request = gateway.EvaluateRequest(
            transaction_id=self.transaction_id,
            channel_id=self._channel,
            proposed_transaction=self._proposed.proposal,
            target_organizations=self._proposed.endorsing_organizations,
        )
        return await self._session.failover.evaluate(
            request, self._session.deadlines.evaluate if seconds is None else seconds
        )

    async def endorse(self, seconds: float | None = None) -> Transaction:
        """Have it endorsed.

        Raises EndorseError (ContractError, MismatchError), NotSigned.
        """
        await self._sign()
        request = gateway.EndorseRequest(
            transaction_id=self.transaction_id,
            channel_id=self._channel,
            proposed_transaction=self._proposed.proposal,
            endorsing_organizations=self._proposed.endorsing_organizations,
        )
        envelope = await self._session.failover.endorse(
            request, self._session.deadlines.endorse if seconds is None else seconds
        )
        prepared = gateway.PreparedTransaction(transaction_id=self.transaction_id, envelope=envelope)
        return Transaction(self._session, prepared)

    @property
    def _channel(self) -> str:
        return wire.channel_of_proposal(self._proposed.proposal.proposal_bytes)

    async def _sign(self) -> None:
        signed = self._proposed.proposal
        if not signed.signature:
            signed.signature = await self._session.signing.sign(signed.proposal_bytes)
