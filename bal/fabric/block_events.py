"""Blocks as they are committed: the peers' Deliver service, protos.DeliverResponse of fabric-protos."""

from collections.abc import Iterable
from typing import Any, Final

from fabric_protos.common import common_pb2 as common
from fabric_protos.orderer import ab_pb2 as orderer
from google.protobuf.timestamp_pb2 import Timestamp

from bal.fabric import wire
from bal.fabric.errors import GatewayError
from bal.fabric.link import CallFailed
from bal.fabric.start import Start, position

Block = Any
"""common.Block, peer.FilteredBlock or peer.BlockAndPrivateData of fabric_protos, which bring no types."""

FULL: Final = "Deliver"
FILTERED: Final = "DeliverFiltered"
WITH_PRIVATE_DATA: Final = "DeliverWithPrivateData"

_LAST: Final = orderer.SeekPosition(specified=orderer.SeekSpecified(number=2**63 - 1))
"""A block that never comes: go on for ever."""
_PASSING: Final = frozenset({common.SERVICE_UNAVAILABLE, common.INTERNAL_SERVER_ERROR})


class BlockEventsFeed:
    """The blocks of a channel, of one kind."""

    def __init__(self, method: str, envelope_payload: Any) -> None:
        self.method = method
        self._payload = envelope_payload

    @classmethod
    def new(
        cls, method: str, channel: str, creator: bytes, start: Start, tls_hash: bytes
    ) -> "BlockEventsFeed":
        """Ask for blocks from a place on. `tls_hash`: SHA-256 of the TLS client certificate (DER), where peers ask for one."""
        channel_header = common.ChannelHeader(
            type=common.DELIVER_SEEK_INFO, timestamp=_now(), channel_id=channel, tls_cert_hash=tls_hash
        )
        head = common.Header(
            channel_header=channel_header.SerializeToString(),
            signature_header=common.SignatureHeader(creator=creator).SerializeToString(),
        )
        seek = orderer.SeekInfo(start=position(start.block), stop=_LAST)
        return cls(method, common.Payload(header=head, data=seek.SerializeToString()))

    @classmethod
    def parse(cls, method: str, data: bytes) -> tuple["BlockEventsFeed", bytes]:
        """Read a request (common.Envelope) and its signature, empty if it has none.

        Raises ValueError.
        """
        envelope = wire.parse(common.Envelope, data)
        return cls(method, wire.parse(common.Payload, envelope.payload)), bytes(envelope.signature)

    @property
    def message(self) -> bytes:
        """Return what is signed."""
        return bytes(self._payload.SerializeToString(deterministic=True))

    @property
    def pinned(self) -> bool:
        """Tell whether it says where to start."""
        return bool(self._seek().start.WhichOneof("Type") == "specified")

    def signed(self, signature: bytes) -> Any:
        """Return common.Envelope."""
        return common.Envelope(payload=self.message, signature=signature)

    def read(self, response: Any) -> Iterable[tuple[Block, tuple[int, str]]]:
        """Return the block of a protos.DeliverResponse.

        Raises GatewayError for a status, such as FORBIDDEN, instead of a block.
        """
        kind = response.WhichOneof("Type")
        if kind == "block":
            yield response.block, (response.block.header.number + 1, "")
        elif kind == "filtered_block":
            yield response.filtered_block, (response.filtered_block.number + 1, "")
        elif kind == "block_and_private_data":
            both = response.block_and_private_data
            yield both, (both.block.header.number + 1, "")
        elif response.status in _PASSING:
            raise CallFailed("UNAVAILABLE", "blocks can't be delivered now", answered=True, sent=True)
        else:
            name = common.Status.Name(response.status)
            raise GatewayError("blocks are not delivered", code=str(name))

    def move(self, block: int, transaction_id: str) -> None:  # noqa: ARG002 - blocks come whole
        """Start at this block, asked for now: peers refuse requests of long ago (peer.authentication.timewindow)."""
        seek = self._seek()
        seek.start.CopyFrom(position(block))
        self._payload.data = seek.SerializeToString()
        channel_header = wire.parse(common.ChannelHeader, self._payload.header.channel_header)
        channel_header.timestamp.CopyFrom(_now())
        self._payload.header.channel_header = channel_header.SerializeToString()

    def _seek(self) -> Any:
        return wire.parse(orderer.SeekInfo, self._payload.data)


def _now() -> Timestamp:
    now = Timestamp()
    now.GetCurrentTime()
    return now
