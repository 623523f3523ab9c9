"""The certification contract as the library calls it: what of Fabric's transaction the contract sees, what goes back."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Protocol

from cryptography import x509
from cryptography.x509.oid import NameOID
from fabric_protos.peer.proposal_response_pb2 import Response

from chaincode.certification import invoke
from chaincode.errors import ContractError

#: Statuses of Fabric's shim: from 400 on a peer does not endorse.
OK: Final = 200
REFUSED: Final = 400
FAILED: Final = 500
#: Roles that a membership service provider knows (NodeOUs); other units of a certificate mean nothing here.
ROLES: Final = frozenset(("admin", "client", "peer", "orderer"))
#: Clients and administrators whose certificate need not be read again.
_CERTIFICATES: Final = 1024

log = logging.getLogger("chaincode_service")


class Ledger(Protocol):
    """What a transaction of the library offers; `chaincode_service.library.Transaction` is one."""

    @property
    def tx_id(self) -> str:
        """Id of the transaction."""

    @property
    def creator(self) -> dict[str, Any]:
        """Who signed the proposal: `mspid` and `idBytes`, a certificate as PEM."""

    @property
    def tx_timestamp(self) -> Any:
        """Time of the proposal's header, a protobuf timestamp."""

    @property
    def cc_input(self) -> Any:
        """The arguments, a protobuf ChaincodeInput."""

    async def get_state(self, key: str) -> bytes:
        """Return the value of a key, empty when there is none."""

    async def put_state(self, key: str, value: bytes) -> None:
        """Write a key."""

    def range(self, start: str, end: str, limit: int) -> AsyncIterator[tuple[str, bytes]]:
        """Yield keys and values."""

    def set_event(self, name: str, payload: bytes) -> None:
        """Announce something."""


class PeerStub:
    """A transaction on a peer as the contract sees it (`chaincode.stub.Stub`)."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @property
    def tx_id(self) -> str:
        """Id of the transaction."""
        return self._ledger.tx_id

    @property
    def tx_time(self) -> str:
        """Time of the proposal's header, cut to microseconds."""
        stamp = self._ledger.tx_timestamp
        moment = datetime.fromtimestamp(stamp.seconds, UTC).replace(microsecond=stamp.nanos // 1000)
        return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"

    @property
    def creator_organisation(self) -> str:
        """MSP id of who signed the proposal."""
        return str(self._ledger.creator["mspid"])

    @property
    def creator_roles(self) -> frozenset[str]:
        """Roles in the certificate of who signed; that the organisation's CA gave them, the peer has checked."""
        return _roles(self._ledger.creator["idBytes"])

    async def get_state(self, key: str) -> bytes | None:
        """Return the committed value of a key; Fabric knows no empty values."""
        return await self._ledger.get_state(key) or None

    async def put_state(self, key: str, value: bytes) -> None:
        """Write a key when the transaction commits."""
        await self._ledger.put_state(key, value)

    def get_state_by_range(self, start: str, end: str, limit: int) -> AsyncIterator[tuple[str, bytes]]:
        """Yield keys and values in order."""
        return self._ledger.range(start, end, limit)

    def set_event(self, name: str, payload: bytes) -> None:
        """Announce the transaction's effect."""
        self._ledger.set_event(name, payload)


class Certification:
    """The contract behind the library's two calls. Neither raises: a peer would wait for its answer in vain."""

    async def init(self, ledger: Ledger) -> Response:
        """Answer a peer that asks to initialise: there is nothing to."""
        del ledger
        return Response(status=OK)

    async def invoke(self, ledger: Ledger) -> Response:
        """Run one transaction: 200 with its answer, 400 with the contract's refusal as JSON, 500 when it failed."""
        try:
            return Response(status=OK, payload=await self._invoke(PeerStub(ledger), ledger.cc_input.args))
        except ContractError as refusal:
            return Response(status=REFUSED, message=refusal_json(refusal))
        except Exception as error:  # noqa: BLE001 - whatever it is, the peer gets an answer
            log.error("transaction %s failed: %s at %s", ledger.tx_id, type(error).__name__, _place(error))  # noqa: TRY400
            return Response(status=FAILED, message=f"the contract failed: {type(error).__name__}")

    async def _invoke(self, stub: PeerStub, arguments: Sequence[bytes]) -> bytes:
        if not arguments:
            raise ContractError("malformed", "the first argument is the name of a function")
        return await invoke(stub, arguments[0].decode(errors="replace"), arguments[1:])


def refusal_json(refusal: ContractError) -> str:
    """Return a refusal as it goes over the wire: {"code", "message"}, sorted, ASCII."""
    return json.dumps(refusal.to_json(), sort_keys=True, separators=(",", ":"))


@lru_cache(_CERTIFICATES)
def _roles(certificate: bytes) -> frozenset[str]:
    units = x509.load_pem_x509_certificate(certificate).subject.get_attributes_for_oid(
        NameOID.ORGANIZATIONAL_UNIT_NAME
    )
    return ROLES & {str(unit.value) for unit in units}


def _place(error: BaseException) -> str:
    """Return where an error arose, without its words, which may quote an argument."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames[-3:]))
