"""A transaction proposal."""

from typing import Any

from fabric_protos.gateway import gateway_pb2 as gateway

from bal.fabric import wire
from bal.fabric.deadlines import Deadlines
from bal.fabric.failover import Failover
from bal.fabric.signing import SigningIdentity
from bal.fabric.transaction import Transaction


class Proposal:
    """A call of a contract, to be evaluated at one peer or endorsed by as many as the policy needs."""

    def __init__(
        self,
        failover: Failover,
        signing: SigningIdentity,
        deadlines: Deadlines,
        proposed: Any,
    ) -> None:
        self._failover = failover
        self._signing = signing
        self._deadlines = deadlines
        self._proposed = proposed

    @property
    def transaction_id(self) -> str:
        """Return the id, in hexadecimal."""
        return str(self._proposed.transaction_id)

    @property
    def digest(self) -> bytes:
        """Return what is to be signed off-line."""
        return self._signing.hash(self._proposed.proposal.proposal_bytes)

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
        return await self._failover.evaluate(request, seconds or self._deadlines.evaluate)

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
        envelope = await self._failover.endorse(request, seconds or self._deadlines.endorse)
        prepared = gateway.PreparedTransaction(transaction_id=self.transaction_id, envelope=envelope)
        return Transaction(self._failover, self._signing, self._deadlines, prepared)

    @property
    def _channel(self) -> str:
        return wire.channel_of_proposal(self._proposed.proposal.proposal_bytes)

    async def _sign(self) -> None:
        signed = self._proposed.proposal
        if not signed.signature:
            signed.signature = await self._signing.sign(signed.proposal_bytes)
