"""A channel."""

from bal.fabric import wire
from bal.fabric.block_events import FILTERED, FULL, WITH_PRIVATE_DATA, Block, BlockEventsFeed
from bal.fabric.chaincode_event import ChaincodeEvent
from bal.fabric.chaincode_events import ChaincodeEventsFeed
from bal.fabric.checkpoint import Checkpoint
from bal.fabric.commit import Commit
from bal.fabric.contract import Contract
from bal.fabric.events import Events
from bal.fabric.events_request import EventsRequest
from bal.fabric.session import Session
from bal.fabric.start import Start


class Network:
    """A channel of the peers behind a gateway."""

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self.name = name

    def contract(self, chaincode: str, contract_name: str | None = None) -> Contract:
        """Return a chaincode on this channel, or one contract in it."""
        return Contract(self._session, self.name, chaincode, contract_name)

    def new_commit(self, transaction_id: str) -> Commit:
        """Return what waits for the commit of any transaction, also one submitted elsewhere or before a crash."""
        signed = wire.commit_request(self.name, transaction_id, self._session.signing.creator)
        return Commit(self._session, signed, transaction_id)

    def chaincode_events(
        self, chaincode: str, start_block: int | None = None, checkpoint: Checkpoint | None = None
    ) -> Events[ChaincodeEvent]:
        """Follow the events of a chaincode: from the checkpoint, else the start block, else the next commit on."""
        return self.new_chaincode_events_request(chaincode, start_block, checkpoint).events()

    def new_chaincode_events_request(
        self, chaincode: str, start_block: int | None = None, checkpoint: Checkpoint | None = None
    ) -> EventsRequest[ChaincodeEvent]:
        """Make the request for `chaincode_events`, to be signed off-line."""
        start = Start.of(start_block, checkpoint)
        feed = ChaincodeEventsFeed.new(self.name, chaincode, self._session.signing.creator, start)
        return EventsRequest(self._session, feed)

    def block_events(
        self, start_block: int | None = None, checkpoint: Checkpoint | None = None
    ) -> Events[Block]:
        """Follow blocks (common.Block): from the checkpoint, else the start block, else the next commit on."""
        return self.new_block_events_request(start_block, checkpoint).events()

    def new_block_events_request(
        self, start_block: int | None = None, checkpoint: Checkpoint | None = None
    ) -> EventsRequest[Block]:
        """Make the request for `block_events`, to be signed off-line."""
        return self._blocks(FULL, Start.of(start_block, checkpoint))

    def filtered_block_events(
        self, start_block: int | None = None, checkpoint: Checkpoint | None = None
    ) -> Events[Block]:
        """Follow blocks without their contents (peer.FilteredBlock): from the checkpoint, else the start block, else the next commit on."""
        return self.new_filtered_block_events_request(start_block, checkpoint).events()

    def new_filtered_block_events_request(
        self, start_block: int | None = None, checkpoint: Checkpoint | None = None
    ) -> EventsRequest[Block]:
        """Make the request for `filtered_block_events`, to be signed off-line."""
        return self._blocks(FILTERED, Start.of(start_block, checkpoint))

    def block_and_private_data_events(
        self, start_block: int | None = None, checkpoint: Checkpoint | None = None
    ) -> Events[Block]:
        """Follow blocks and the private data this organisation may see (peer.BlockAndPrivateData): from the checkpoint, else the start block, else the next commit on."""
        return self.new_block_and_private_data_events_request(start_block, checkpoint).events()

    def new_block_and_private_data_events_request(
        self, start_block: int | None = None, checkpoint: Checkpoint | None = None
    ) -> EventsRequest[Block]:
        """Make the request for `block_and_private_data_events`, to be signed off-line."""
        return self._blocks(WITH_PRIVATE_DATA, Start.of(start_block, checkpoint))

    def _blocks(self, method: str, start: Start) -> EventsRequest[Block]:
        feed = BlockEventsFeed.new(
            method, self.name, self._session.signing.creator, start, self._session.tls_hash
        )
        return EventsRequest(self._session, feed)
