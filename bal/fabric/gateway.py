"""The entry: a connection to Fabric through the gateways of one peer or several."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from fabric_protos.gateway import gateway_pb2 as gateway_messages

from bal.fabric import wire
from bal.fabric.commit import Commit
from bal.fabric.deadlines import Deadlines
from bal.fabric.endorsers import Endorsers
from bal.fabric.endpoint import Endpoint
from bal.fabric.failover import Failover
from bal.fabric.hashes import Hash
from bal.fabric.identity import Identity
from bal.fabric.link import Link
from bal.fabric.network import Network
from bal.fabric.proposal import Proposal
from bal.fabric.signers import Signer
from bal.fabric.signing import SigningIdentity
from bal.fabric.transaction import Transaction


def connect(
    *,
    identity: Identity,
    endpoints: Sequence[Endpoint],
    signer: Signer | None = None,
    digest: Hash | None = None,
    deadlines: Deadlines | None = None,
    endorsers: Endorsers | None = None,
) -> "Gateway":
    """Return a gateway for one identity; connections are made when first used.

    `endpoints`: the preferred gateway first, then those to turn to when it fails. `signer`: none for off-line signing. `digest`: another hash than the identity's own.
    `endorsers`: who can endorse, so that other organisations can be named when a peer's own choice fails.
    """
    if not endpoints:
        raise ValueError("no endpoint to connect to")
    signing = SigningIdentity(identity, signer, digest)
    return Gateway(Failover([Link(endpoint) for endpoint in endpoints], endorsers), signing, deadlines)


class Gateway:
    """Networks and contracts as one identity; an asynchronous context manager that closes its connections."""

    def __init__(self, failover: Failover, signing: SigningIdentity, deadlines: Deadlines | None) -> None:
        self._failover = failover
        self._signing = signing
        self._deadlines = deadlines or Deadlines()

    @property
    def identity(self) -> Identity:
        """Return who acts."""
        return self._signing.identity

    def network(self, name: str) -> Network:
        """Return a channel."""
        return Network(self._failover, self._signing, self._deadlines, name)

    def new_proposal(self, data: bytes, signature: bytes = b"") -> Proposal:
        """Make a proposal again from its bytes, with a signature made off-line.

        Raises ValueError where the bytes are no proposal.
        """
        proposed: Any = wire.parse(gateway_messages.ProposedTransaction, data)
        if signature:
            proposed.proposal.signature = signature
        return Proposal(self._failover, self._signing, self._deadlines, proposed)

    def new_transaction(self, data: bytes, signature: bytes = b"") -> Transaction:
        """Make an endorsed transaction again from its bytes, with a signature made off-line.

        Raises ValueError where the bytes are no endorsed transaction.
        """
        prepared: Any = wire.parse(gateway_messages.PreparedTransaction, data)
        if signature:
            prepared.envelope.signature = signature
        return Transaction(self._failover, self._signing, self._deadlines, prepared)

    def new_commit(self, data: bytes, signature: bytes = b"") -> Commit:
        """Make the request for a commit status again from its bytes, with a signature made off-line.

        Raises ValueError where the bytes are no such request.
        """
        signed: Any = wire.parse(gateway_messages.SignedCommitStatusRequest, data)
        if signature:
            signed.signature = signature
        request = wire.parse(gateway_messages.CommitStatusRequest, signed.request)
        return Commit(self._failover, self._signing, self._deadlines, signed, request.transaction_id)

    async def close(self) -> None:
        """Close all connections; calls and streams of events under way end."""
        await self._failover.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
