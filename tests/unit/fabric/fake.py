"""A gateway in this process: it speaks gateway.Gateway and protos.Deliver, and answers by default as a network that endorses and commits everything."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self

import grpc
from fabric_protos.common import common_pb2 as common
from fabric_protos.gateway import gateway_pb2 as gateway
from fabric_protos.gateway import gateway_pb2_grpc as gateway_grpc
from fabric_protos.peer import chaincode_pb2 as chaincodes
from fabric_protos.peer import events_pb2 as events
from fabric_protos.peer import events_pb2_grpc as events_grpc
from fabric_protos.peer import proposal_pb2 as proposals
from fabric_protos.peer import proposal_response_pb2 as responses
from fabric_protos.peer import transaction_pb2 as transactions

from bal.fabric.errors import ErrorDetail
from bal.fabric.rpcstatus import pack_details

Answer = Callable[[Any, Any], Awaitable[Any]]


class FakeNetwork:
    """What several gateways share: which transactions were submitted, and in which block they are."""

    def __init__(self) -> None:
        self.submitted: list[str] = []
        self.codes: list[int] = []
        """Validation codes of the transactions to come; VALID when there are none left."""
        self._commits: dict[str, tuple[int, int]] = {}
        self._changed = asyncio.Condition()

    async def commit(self, transaction_id: str) -> None:
        async with self._changed:
            self.submitted.append(transaction_id)
            if transaction_id not in self._commits:
                code = self.codes.pop(0) if self.codes else transactions.VALID
                self._commits[transaction_id] = (code, len(self._commits) + 1)
            self._changed.notify_all()

    async def status(self, transaction_id: str) -> tuple[int, int]:
        async with self._changed:
            await self._changed.wait_for(lambda: transaction_id in self._commits)
            return self._commits[transaction_id]


class FakeGateway(gateway_grpc.GatewayServicer, events_grpc.DeliverServicer):  # type: ignore[misc]
    """One peer. `answers[method]` are taken first, in order; `seen` are all requests."""

    def __init__(self, network: FakeNetwork | None = None) -> None:
        self.network = network or FakeNetwork()
        self.answers: dict[str, list[Answer]] = defaultdict(list)
        self.seen: list[tuple[str, Any]] = []
        self.streams: list[AsyncIterator[Any]] = []
        """What the next streams of events send."""
        self.open_streams = 0
        self.address = ""
        self._port = 0
        self._server: Any = None

    async def start(self, credentials: Any = None) -> Self:
        # Not shared with another process: two tests at once must not answer for one another.
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        gateway_grpc.add_GatewayServicer_to_server(self, self._server)
        events_grpc.add_DeliverServicer_to_server(self, self._server)
        at = f"127.0.0.1:{self._port}"
        if credentials is None:
            self._port = self._server.add_insecure_port(at)
        else:
            self._port = self._server.add_secure_port(at, credentials)
        self.address = f"127.0.0.1:{self._port}"
        await self._server.start()
        return self

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    def count(self, method: str) -> int:
        return sum(name == method for name, _ in self.seen)

    async def Evaluate(self, request: Any, context: Any) -> Any:
        return await self._answer("Evaluate", request, context)

    async def Endorse(self, request: Any, context: Any) -> Any:
        return await self._answer("Endorse", request, context)

    async def Submit(self, request: Any, context: Any) -> Any:
        return await self._answer("Submit", request, context)

    async def CommitStatus(self, request: Any, context: Any) -> Any:
        return await self._answer("CommitStatus", request, context)

    async def ChaincodeEvents(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.seen.append(("ChaincodeEvents", request))
        async for response in self._stream(context):
            yield response

    async def Deliver(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for response in self._deliver("Deliver", requests, context):
            yield response

    async def DeliverFiltered(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for response in self._deliver("DeliverFiltered", requests, context):
            yield response

    async def DeliverWithPrivateData(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for response in self._deliver("DeliverWithPrivateData", requests, context):
            yield response

    async def _deliver(self, method: str, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        self.seen.append((method, await anext(requests)))
        async for response in self._stream(context):
            yield response

    async def _stream(self, context: Any) -> AsyncIterator[Any]:
        self.open_streams += 1
        try:
            async for response in self.streams.pop(0) if self.streams else silence():
                if isinstance(response, grpc.StatusCode):
                    await context.abort(response, "as scripted")
                yield response
        finally:
            self.open_streams -= 1

    async def _answer(self, method: str, request: Any, context: Any) -> Any:
        copy = type(request)()
        copy.CopyFrom(request)
        self.seen.append((method, copy))
        answer = self.answers[method].pop(0) if self.answers[method] else getattr(self, f"_{method.lower()}")
        return await answer(request, context)

    async def _evaluate(self, request: Any, context: Any) -> Any:
        result = b" ".join(arguments(request.proposed_transaction))
        return gateway.EvaluateResponse(result=responses.Response(status=200, payload=result))

    async def _endorse(self, request: Any, context: Any) -> Any:
        return gateway.EndorseResponse(prepared_transaction=endorsed(request.proposed_transaction))

    async def _submit(self, request: Any, context: Any) -> Any:
        await self.network.commit(request.transaction_id)
        return gateway.SubmitResponse()

    async def _commitstatus(self, request: Any, context: Any) -> Any:
        inner = gateway.CommitStatusRequest.FromString(request.request)
        code, block = await self.network.status(inner.transaction_id)
        return gateway.CommitStatusResponse(result=code, block_number=block)


def refuse(code: str, message: str = "as scripted", *details: tuple[str, str, str]) -> Answer:
    """Answer with an error; details are (address, MSP id, message)."""

    async def answer(request: Any, context: Any) -> Any:
        status = grpc.StatusCode[code]
        if details:
            packed = tuple(ErrorDetail(address, text, msp) for address, msp, text in details)
            context.set_trailing_metadata((pack_details(status.value[0], message, packed),))
        await context.abort(status, message)

    return answer


def hang() -> Answer:
    """Never answer."""

    async def answer(request: Any, context: Any) -> Any:
        await asyncio.sleep(3600)

    return answer


def commits_as(code: int, block: int = 7) -> Answer:
    """Answer a question for the commit status."""

    async def answer(request: Any, context: Any) -> Any:
        return gateway.CommitStatusResponse(result=code, block_number=block)

    return answer


async def silence() -> AsyncIterator[Any]:
    """Keep a stream open on which nothing comes."""
    await asyncio.sleep(3600)
    yield None


async def sends(*responses_: Any, then_silence: bool = True) -> AsyncIterator[Any]:
    """Send these messages; a status code in place of one breaks the stream off."""
    for response in responses_:
        yield response
    if then_silence:
        await asyncio.sleep(3600)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something to be so."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a fake tells nobody
            await asyncio.sleep(0.005)


def arguments(signed: Any) -> list[bytes]:
    """Return function and arguments of a signed proposal."""
    return list(_invocation(signed).chaincode_spec.input.args)


def transient(signed: Any) -> dict[str, bytes]:
    """Return the transient data of a signed proposal."""
    return dict(_payload(signed).TransientMap)


def endorsed(signed: Any) -> Any:
    """Return the envelope a gateway makes of a proposal; the result is function and arguments."""
    proposal = proposals.Proposal.FromString(signed.proposal_bytes)
    header = common.Header.FromString(proposal.header)
    action = proposals.ChaincodeAction(
        response=responses.Response(status=200, payload=b" ".join(arguments(signed)))
    )
    inner = responses.ProposalResponsePayload(extension=action.SerializeToString())
    endorsement = transactions.ChaincodeEndorsedAction(proposal_response_payload=inner.SerializeToString())
    payload = transactions.ChaincodeActionPayload(action=endorsement)
    transaction = transactions.Transaction(
        actions=[transactions.TransactionAction(payload=payload.SerializeToString())]
    )
    body = common.Payload(header=header, data=transaction.SerializeToString())
    return common.Envelope(payload=body.SerializeToString())


def chaincode_events(block: int, *transaction_ids: str) -> Any:
    """Return the events of a block, as a gateway sends them."""
    kind = gateway.ChaincodeEventsResponse.DESCRIPTOR.fields_by_name["events"].message_type._concrete_class
    made = [kind(chaincode_id="basic", tx_id=one, event_name="e", payload=b"p") for one in transaction_ids]
    return gateway.ChaincodeEventsResponse(block_number=block, events=made)


def block(number: int) -> Any:
    """Return a block, as a peer delivers it."""
    return events.DeliverResponse(block=common.Block(header=common.BlockHeader(number=number)))


def _payload(signed: Any) -> Any:
    proposal = proposals.Proposal.FromString(signed.proposal_bytes)
    return proposals.ChaincodeProposalPayload.FromString(proposal.payload)


def _invocation(signed: Any) -> Any:
    return chaincodes.ChaincodeInvocationSpec.FromString(_payload(signed).input)
