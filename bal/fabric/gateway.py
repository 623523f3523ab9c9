"""The entry: a connection to Fabric through the gateways of one peer or several."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from fabric_protos.gateway import gateway_pb2 as gateway_messages

from bal.fabric import wire
from bal.fabric.block_events import FILTERED, FULL, WITH_PRIVATE_DATA, Block, BlockEventsFeed
from bal.fabric.chaincode_event import ChaincodeEvent
from bal.fabric.chaincode_events import ChaincodeEventsFeed
from bal.fabric.commit import Commit
from bal.fabric.deadlines import Deadlines
from bal.fabric.endorsers import Endorsers
from bal.fabric.endpoint import Endpoint
from bal.fabric.events_request import EventsRequest
from bal.fabric.failover import Failover
from bal.fabric.hashes import Hash
from bal.fabric.identity import Identity
from bal.fabric.link import Link
from bal.fabric.network import Network
from bal.fabric.proposal import Proposal
from bal.fabric.session import Session
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
    session = Session(
        Failover([Link(endpoint) for endpoint in endpoints], endorsers),
        SigningIdentity(identity, signer, digest),
        deadlines or Deadlines(),
        next((endpoint.certificate_hash() for endpoint in endpoints if endpoint.certificate), b""),
    )
    return Gateway(session)


class Gateway:
    """Networks and contracts as one identity; an asynchronous context manager that closes its connections."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def identity(self) -> Identity:
        """Return who acts."""
        return self._session.signing.identity

    def network(self, name: str) -> Network:
        """Return a channel."""
        return Network(self._session, name)

    def new_proposal(self, data: bytes, signature: bytes = b"") -> Proposal:
        """Make a proposal again from its bytes, with a signature made off-line.

        Raises ValueError where the bytes are no proposal.
        """
        proposed: Any = wire.parse(gateway_messages.ProposedTransaction, data)
        if signature:
            proposed.proposal.signature = signature
        return Proposal(self._session, proposed)

    def new_transaction(self, data: bytes, signature: bytes = b"") -> Transaction:
        """Make an endorsed transaction again from its bytes, with a signature made off-line.

        Raises ValueError where the bytes are no endorsed transaction.
        """
        prepared: Any = wire.parse(gateway_messages.PreparedTransaction, data)
        if signature:
            prepared.envelope.signature = signature
        return Transaction(self._session, prepared)

    def new_commit(self, data: bytes, signature: bytes = b"") -> Commit:
        """Make the request for a commit status again from its bytes, with a signature made off-line.

        Raises ValueError where the bytes are no such request.
        """
        signed: Any = wire.parse(gateway_messages.SignedCommitStatusRequest, data)
        if signature:
            signed.signature = signature
        request = wire.parse(gateway_messages.CommitStatusRequest, signed.request)
        return Commit(self._session, signed, request.transaction_id)

    def new_chaincode_events_request(
        self, data: bytes, signature: bytes = b""
    ) -> EventsRequest[ChaincodeEvent]:
        """Make a request for chaincode events again from its bytes, with a signature made off-line.

        Raises ValueError where the bytes are no such request.
        """
        feed, present = ChaincodeEventsFeed.parse(data)
        return EventsRequest(self._session, feed, signature or present)

    def new_block_events_request(self, data: bytes, signature: bytes = b"") -> EventsRequest[Block]:
        """Make a request for blocks again from its bytes, with a signature made off-line.

        Raises ValueError where the bytes are no such request.
        """
        return self._blocks(FULL, data, signature)

    def new_filtered_block_events_request(self, data: bytes, signature: bytes = b"") -> EventsRequest[Block]:
        """Make a request for filtered blocks again, as `new_block_events_request`."""
        return self._blocks(FILTERED, data, signature)

    def new_block_and_private_data_events_request(
        self, data: bytes, signature: bytes = b""
    ) -> EventsRequest[Block]:
        """Make a request for blocks with private data again, as `new_block_events_request`."""
        return self._blocks(WITH_PRIVATE_DATA, data, signature)

    def _blocks(self, method: str, data: bytes, signature: bytes) -> EventsRequest[Block]:
        feed, present = BlockEventsFeed.parse(method, data)
        return EventsRequest(self._session, feed, signature or present)

    async def close(self) -> None:
        """Close all connections; calls and streams of events under way end."""
        await self._session.failover.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
