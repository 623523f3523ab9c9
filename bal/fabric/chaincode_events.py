"""Events contracts emit: gateway.ChaincodeEventsRequest of fabric-protos."""

from collections.abc import Iterable
from typing import Any

from fabric_protos.gateway import gateway_pb2 as gateway

from bal.fabric import wire
from bal.fabric.chaincode_event import ChaincodeEvent
from bal.fabric.start import Start, position


class ChaincodeEventsFeed:
    """The events of one chaincode."""

    method = "ChaincodeEvents"

    def __init__(self, request: Any) -> None:
        self._request = request

    @classmethod
    def new(cls, channel: str, chaincode: str, creator: bytes, start: Start) -> "ChaincodeEventsFeed":
        """Ask for events of a chaincode from a place on."""
        return cls(
            gateway.ChaincodeEventsRequest(
                channel_id=channel,
                chaincode_id=chaincode,
                identity=creator,
                start_position=position(start.block),
                after_transaction_id=start.transaction_id,
            )
        )

    @classmethod
    def parse(cls, data: bytes) -> tuple["ChaincodeEventsFeed", bytes]:
        """Read a request (gateway.SignedChaincodeEventsRequest) and its signature, empty if it has none.

        Raises ValueError.
        """
        signed = wire.parse(gateway.SignedChaincodeEventsRequest, data)
        return cls(wire.parse(gateway.ChaincodeEventsRequest, signed.request)), bytes(signed.signature)

    @property
    def message(self) -> bytes:
        """Return what is signed."""
        return bytes(self._request.SerializeToString(deterministic=True))

    @property
    def pinned(self) -> bool:
        """Tell whether it says where to start."""
        return bool(self._request.start_position.WhichOneof("Type") == "specified")

    def signed(self, signature: bytes) -> Any:
        """Return gateway.SignedChaincodeEventsRequest."""
        return gateway.SignedChaincodeEventsRequest(request=self.message, signature=signature)

    def read(self, response: Any) -> Iterable[tuple[ChaincodeEvent, tuple[int, str]]]:
        """Return the events of a gateway.ChaincodeEventsResponse: those of one block, in its order."""
        block = int(response.block_number)
        for event in response.events:
            yield (
                ChaincodeEvent(block, event.tx_id, event.chaincode_id, event.event_name, event.payload),
                (block, event.tx_id),
            )

    def move(self, block: int, transaction_id: str) -> None:
        """Start at this block, after this transaction."""
        self._request.start_position.CopyFrom(position(block))
        self._request.after_transaction_id = transaction_id
