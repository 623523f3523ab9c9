"""A peer as the service sees it: it opens the stream, hands in transactions, answers reads and writes from a dictionary."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
from fabric_protos.common.common_pb2 import ChannelHeader, Header, SignatureHeader
from fabric_protos.ledger.queryresult.kv_query_result_pb2 import KV
from fabric_protos.msp.identities_pb2 import SerializedIdentity
from fabric_protos.peer.chaincode_pb2 import ChaincodeID, ChaincodeInput
from fabric_protos.peer.chaincode_shim_pb2 import (
    ChaincodeMessage,
    GetState,
    GetStateByRange,
    PutState,
    QueryMetadata,
    QueryResponse,
    QueryResultBytes,
)
from fabric_protos.peer.chaincode_shim_pb2_grpc import ChaincodeStub
from fabric_protos.peer.proposal_pb2 import ChaincodeProposalPayload, Proposal, SignedProposal
from fabric_protos.peer.proposal_response_pb2 import Response
from google.protobuf.timestamp_pb2 import Timestamp

CHANNEL = "certification"
TIME = Timestamp(seconds=1_767_225_600, nanos=123_456_789)  # 2026-01-01T00:00:00


def proposal(msp: str, certificate: bytes) -> SignedProposal:
    """Return a proposal of somebody; its payload is only there."""
    creator = SerializedIdentity(mspid=msp, id_bytes=certificate).SerializeToString()
    header = Header(
        channel_header=ChannelHeader(timestamp=TIME, channel_id=CHANNEL).SerializeToString(),
        signature_header=SignatureHeader(creator=creator, nonce=b"n").SerializeToString(),
    )
    payload = ChaincodeProposalPayload(input=b"x").SerializeToString()
    return SignedProposal(
        proposal_bytes=Proposal(header=header.SerializeToString(), payload=payload).SerializeToString()
    )


@dataclass
class Peer:
    """One stream to a service."""

    address: str
    credentials: grpc.ChannelCredentials
    state: dict[str, bytes] = field(default_factory=dict)
    refuses: set[str] = field(default_factory=set)
    """Transactions whose reads are answered with an error."""
    silent: set[str] = field(default_factory=set)
    """Transactions whose reads are never answered."""
    asked: list[ChaincodeMessage] = field(default_factory=list)
    package_id: str = ""

    def __post_init__(self) -> None:
        self._out: asyncio.Queue[ChaincodeMessage | None] = asyncio.Queue()
        self._completed: dict[str, asyncio.Future[ChaincodeMessage]] = {}
        self._ready = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._channel = grpc.aio.secure_channel(self.address, self.credentials)
        self._call = ChaincodeStub(self._channel).Connect(self._requests())
        self._reader = asyncio.create_task(self._read())
        waiting = asyncio.create_task(self._ready.wait())
        done, _ = await asyncio.wait({self._reader, waiting}, return_when=asyncio.FIRST_COMPLETED, timeout=20)
        waiting.cancel()
        if self._reader in done:
            await self._channel.close()
            self._reader.result()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._call.cancel()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self._channel.close()

    async def transact(self, tx_id: str, *arguments: bytes, proposed: SignedProposal) -> ChaincodeMessage:
        """Hand in a transaction and return how it was completed."""
        self.begin(tx_id, *arguments, proposed=proposed)
        async with asyncio.timeout(30):
            return await self._completed[tx_id]

    def begin(self, tx_id: str, *arguments: bytes, proposed: SignedProposal) -> None:
        """Hand in a transaction."""
        self._completed[tx_id] = asyncio.get_running_loop().create_future()
        payload = ChaincodeInput(args=list(arguments)).SerializeToString()
        self._send(ChaincodeMessage.TRANSACTION, tx_id, payload, proposed)

    async def answer(self, tx_id: str, *arguments: bytes, proposed: SignedProposal) -> Response:
        """Hand in a transaction and return the contract's answer."""
        done = await self.transact(tx_id, *arguments, proposed=proposed)
        assert done.type == ChaincodeMessage.COMPLETED
        return Response.FromString(done.payload)

    async def asks(self, number: int) -> None:
        """Return once the service has asked this many things."""
        async with asyncio.timeout(30):
            while len(self.asked) < number:  # noqa: ASYNC110 - a test's patience
                await asyncio.sleep(0.01)

    async def _requests(self) -> AsyncIterator[ChaincodeMessage]:
        while (message := await self._out.get()) is not None:
            yield message

    def _send(self, kind: int, tx_id: str, payload: bytes = b"", proposed: Any = None) -> None:
        self._out.put_nowait(
            ChaincodeMessage(type=kind, txid=tx_id, channel_id=CHANNEL, payload=payload, proposal=proposed)
        )

    async def _read(self) -> None:
        async for message in self._call:
            if message.type == ChaincodeMessage.REGISTER:
                self.package_id = ChaincodeID.FromString(message.payload).name
                self._send(ChaincodeMessage.REGISTERED, "")
                self._send(ChaincodeMessage.READY, "")
                self._ready.set()
            elif message.type == ChaincodeMessage.COMPLETED:
                self._completed[message.txid].set_result(message)
            else:
                self.asked.append(message)
                self._serve(message)

    def _serve(self, message: ChaincodeMessage) -> None:
        if message.txid in self.silent:
            return
        if message.txid in self.refuses:
            self._send(ChaincodeMessage.ERROR, message.txid, b"secret: the ledger is away")
            return
        answer = b""
        if message.type == ChaincodeMessage.GET_STATE:
            answer = self.state.get(GetState.FromString(message.payload).key, b"")
        elif message.type == ChaincodeMessage.PUT_STATE:
            put = PutState.FromString(message.payload)
            self.state[put.key] = put.value
        elif message.type == ChaincodeMessage.GET_STATE_BY_RANGE:
            asked = GetStateByRange.FromString(message.payload)
            page = QueryMetadata.FromString(asked.metadata).pageSize
            keys = sorted(key for key in self.state if asked.startKey <= key < asked.endKey)[:page]
            found = [KV(key=key, value=self.state[key]).SerializeToString() for key in keys]
            answer = QueryResponse(
                results=[QueryResultBytes(resultBytes=each) for each in found]
            ).SerializeToString()
        self._send(ChaincodeMessage.RESPONSE, message.txid, answer)
