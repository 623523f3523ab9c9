"""fabric-chaincode-python 2.5.4 made sound: the one place that goes around the library.

What is wrong in it and what is done instead stands in docs/adr/0027-chaincode-library.md. Taken from it are the states of
the conversation, the form of every request and the reading of a proposal; who writes to the stream, who waits for which
answer, what becomes of an exception or of an event, and what is logged, is ours.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Final

import grpc

from chaincode_service.contract import FAILED
from chaincode_service.errors import PeerRefused

# The library configures the root logger for debugging and moves handlers to a thread, all while it is imported: with a
# handler there the first is not done; its own lines, which quote payloads, are dropped where they arise.
logging.getLogger().addHandler(logging.NullHandler())

from fabric_chaincode_python.fabric_shim import logging as library_logging  # noqa: E402
from fabric_chaincode_python.fabric_shim.handler import STATES, Handler  # noqa: E402
from fabric_chaincode_python.fabric_shim.interfaces import Chaincode  # noqa: E402
from fabric_chaincode_python.fabric_shim.stub import ChaincodeStub  # noqa: E402
from fabric_protos.ledger.queryresult.kv_query_result_pb2 import KV  # noqa: E402
from fabric_protos.peer.chaincode_pb2 import ChaincodeInput  # noqa: E402
from fabric_protos.peer.chaincode_shim_pb2 import (  # noqa: E402
    ChaincodeMessage,
    QueryMetadata,
    QueryResponse,
)
from fabric_protos.peer.proposal_response_pb2 import Response  # noqa: E402

LIBRARY: Final = "fabric_chaincode_python"
#: How long the peer may take to answer one read or write: it gives up a whole transaction after less.
ANSWER_SECONDS: Final = 30.0
_ASKS: Final = frozenset((ChaincodeMessage.RESPONSE, ChaincodeMessage.ERROR))
_CALLS: Final = frozenset((ChaincodeMessage.TRANSACTION, ChaincodeMessage.INIT))

log = logging.getLogger("chaincode_service")


def _is_not_of_the_library(record: logging.LogRecord) -> bool:
    return LIBRARY not in record.pathname


library_logging.LOGGER.handlers.clear()
library_logging._QUEUE_LISTENER.stop()  # noqa: SLF001 - its thread has nothing to do any more
library_logging.LOGGER.addFilter(_is_not_of_the_library)


class Transaction(ChaincodeStub):  # type: ignore[misc]
    """One transaction as the library sees it, reading and writing without telling a log what."""

    async def get_state(self, key: str) -> bytes:
        """Return the value of a key; empty when there is none."""
        answer: bytes = await self.client.handle_get_state("", key, self.channel_id, self.tx_id)
        return answer

    async def put_state(self, key: str, value: bytes) -> None:
        """Write a key when the transaction commits."""
        await self.client.handle_put_state("", key, value, self.channel_id, self.tx_id)

    async def range(self, start: str, end: str, limit: int) -> AsyncIterator[tuple[str, bytes]]:
        """Yield keys from `start` up to but without `end`, at most `limit`: one page, as the peer counts.

        A paged query enters no read set: it is for queries, as the contract's `Stub` says.
        """
        place = (self.channel_id, self.tx_id)
        metadata = QueryMetadata(pageSize=limit).SerializeToString()
        answer = await self.client.handle_get_state_by_range("", start, end, *place, metadata=metadata)
        for packed in QueryResponse.FromString(answer.payload).results:
            found = KV.FromString(packed.resultBytes)
            yield found.key, found.value


class Conversation(Handler):  # type: ignore[misc]
    """The stream between one peer and this service: many transactions at a time, each asking one thing at a time."""

    def __init__(self, package_id: str, chaincode: Chaincode) -> None:
        super().__init__(package_id, chaincode)
        self._writing = asyncio.Lock()
        self._waiting: dict[tuple[str, str], asyncio.Future[ChaincodeMessage]] = {}

    @property
    def work(self) -> set[asyncio.Task[None]]:
        """Return the transactions that are being worked on."""
        return set(self._pending_tasks)

    async def converse(
        self, messages: AsyncIterable[ChaincodeMessage], context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        """Register with the peer and answer it until the stream ends; then end what is not finished: nobody waits for it."""
        self.state = STATES.CREATED
        self.context = context
        register = ChaincodeMessage.REGISTER
        await self._write(ChaincodeMessage(type=register, payload=self.chaincode_id.SerializeToString()))
        try:
            async for message in messages:
                await self._take(message)
        finally:
            for task in tuple(self._pending_tasks):
                task.cancel()

    async def _take(self, message: ChaincodeMessage) -> None:
        if self.state == STATES.READY and message.type in _ASKS:
            future = self._waiting.get((message.channel_id, message.txid))
            if future is not None and not future.done():
                future.set_result(message)
        elif self.state == STATES.READY and message.type in _CALLS:
            task = asyncio.create_task(self._call(message))
            self._pending_tasks.add(task)
            task.add_done_callback(self._pending_tasks.discard)
        else:
            await self.handle_message(message)

    async def _call(self, message: ChaincodeMessage) -> None:
        """Run one transaction and answer it, whatever happens in it."""
        event = None
        try:
            arguments = ChaincodeInput.FromString(message.payload)
            transaction = Transaction(self, message.channel_id, message.txid, arguments, message.proposal)
            call = self.chaincode.init if message.type == ChaincodeMessage.INIT else self.chaincode.invoke
            answer = await call(transaction)
            event = next(reversed(transaction.get_events()), None)
        except Exception as error:  # noqa: BLE001 - the library's own words on a proposal, which may quote it
            log.error("transaction %s failed: %s", message.txid, type(error).__name__)  # noqa: TRY400
            answer = Response(
                status=FAILED, message=f"the transaction cannot be read: {type(error).__name__}"
            )
        completed = ChaincodeMessage(
            type=ChaincodeMessage.COMPLETED,
            payload=answer.SerializeToString(deterministic=True),
            txid=message.txid,
            channel_id=message.channel_id,
            chaincode_event=event,
        )
        await self._write(completed)

    async def _write(self, message: ChaincodeMessage) -> None:
        """Write one message; gRPC loses some when two are written at once."""
        async with self._writing:
            await self.context.write(message)

    async def _Handler__ask_peer_and_listen(  # noqa: N802 - the library's own name for it
        self, message: ChaincodeMessage, action: str
    ) -> ChaincodeMessage:
        """Ask the peer for one thing of a transaction and return its answer. Raises `PeerRefused`."""
        place = (message.channel_id, message.txid)
        assert place not in self._waiting, "a transaction asks one thing at a time"
        future = asyncio.get_running_loop().create_future()
        self._waiting[place] = future
        try:
            await self._write(message)
            async with asyncio.timeout(ANSWER_SECONDS):
                answer: ChaincodeMessage = await future
        finally:
            del self._waiting[place]
        if answer.type == ChaincodeMessage.ERROR:
            raise PeerRefused(action)
        return answer
