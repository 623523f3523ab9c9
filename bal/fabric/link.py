"""A gRPC channel to one gateway."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import grpc
from fabric_protos.gateway import gateway_pb2_grpc as gateway_grpc
from fabric_protos.peer import events_pb2_grpc as events_grpc

from bal.fabric.backoff import Backoff
from bal.fabric.endpoint import Endpoint
from bal.fabric.errors import ErrorDetail
from bal.fabric.rpcstatus import read_details

_NEVER_SENT = "failed to connect to all addresses"
"""How gRPC begins the message of a call for which there was no connection to send it on."""


class CallFailed(Exception):
    """A call to one gateway failed; stays within this package."""

    def __init__(
        self, code: str, message: str, details: tuple[ErrorDetail, ...] = (), *, answered: bool, sent: bool
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.details = details
        self.answered = answered
        """The gateway itself answered; else the connection failed, or time was up."""
        self.sent = sent
        """The request may have left this machine."""


class Link:
    """An open channel, connected when first used; its calls, and whether it is being left alone."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.backoff = Backoff(time.monotonic)
        self._channel = _open(endpoint)
        gateway = gateway_grpc.GatewayStub(self._channel)
        deliver = events_grpc.DeliverStub(self._channel)
        self._unary = {
            name: getattr(gateway, name) for name in ("Evaluate", "Endorse", "Submit", "CommitStatus")
        }
        self._chaincode_events = gateway.ChaincodeEvents
        self._deliver = {
            name: getattr(deliver, name) for name in ("Deliver", "DeliverFiltered", "DeliverWithPrivateData")
        }
        self._closed = False

    async def call(self, method: str, request: Any, seconds: float) -> Any:
        """Make one call of the Gateway service.

        Raises CallFailed.
        """
        if self._closed:
            raise _was_closed()
        try:
            return await self._unary[method](request, timeout=max(seconds, 0.001))
        except grpc.aio.AioRpcError as error:
            raise self._failure(error) from error
        except asyncio.CancelledError:
            if self._closed and not _task_is_cancelled():
                raise _was_closed() from None
            raise

    def stream(self, method: str, request: Any) -> "Stream":
        """Begin to follow chaincode events or blocks.

        Raises CallFailed where the channel is closed.
        """
        if self._closed:
            raise _was_closed()
        if method == "ChaincodeEvents":
            return Stream(self._chaincode_events(request), self._failure)
        return Stream(self._deliver[method](_once(request)), self._failure)

    async def close(self) -> None:
        """Close the channel; calls under way end with CallFailed."""
        self._closed = True
        await self._channel.close()

    def _failure(self, error: Any) -> CallFailed:
        code, message = error.code(), str(error.details() or "")
        alive = self._channel.get_state() is grpc.ChannelConnectivity.READY
        answered = code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED) or (
            code is grpc.StatusCode.UNAVAILABLE and alive
        )
        sent = not message.startswith(_NEVER_SENT)
        return CallFailed(str(code.name), message, read_details(error), answered=answered, sent=sent)


class Stream:
    """Messages a gateway sends one after the other."""

    def __init__(self, call: Any, failure: Callable[[Any], CallFailed]) -> None:
        self._call = call
        self._failure = failure

    async def responses(self) -> AsyncGenerator[Any, None]:
        """Yield messages as they come; leaving the iteration ends the call.

        Raises CallFailed, also when the call is cancelled from elsewhere or the channel closed.
        """
        try:
            async for response in self._call:
                yield response
        except grpc.aio.AioRpcError as error:
            raise self._failure(error) from error
        except asyncio.CancelledError:
            if not _task_is_cancelled():
                raise _was_closed() from None
            raise
        finally:
            self._call.cancel()

    def cancel(self) -> None:
        """End the call; whoever waits for a message gets CallFailed."""
        self._call.cancel()


def _task_is_cancelled() -> bool:
    """Tell a task that was cancelled from a call that was: gRPC ends both with CancelledError."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _was_closed() -> CallFailed:
    return CallFailed("CANCELLED", "the gateway was closed", answered=False, sent=True)


async def _once(request: Any) -> AsyncIterator[Any]:
    yield request


def _open(endpoint: Endpoint) -> Any:
    options: dict[str, int | str] = {
        "grpc.max_receive_message_length": endpoint.largest_message,
        "grpc.max_send_message_length": endpoint.largest_message,
        # Peers refuse pings more often than once a minute (peer.keepalive.minInterval).
        "grpc.keepalive_time_ms": int(endpoint.keepalive_seconds * 1000),
        "grpc.keepalive_timeout_ms": 20_000,
        "grpc.keepalive_permit_without_calls": 0,
        # A gateway that came back is found within seconds; gRPC's own limit is two minutes.
        "grpc.initial_reconnect_backoff_ms": 200,
        "grpc.min_reconnect_backoff_ms": 1_000,
        "grpc.max_reconnect_backoff_ms": 5_000,
        # Each link has its own connection: two gateways of one address but other names must not share one.
        "grpc.use_local_subchannel_pool": 1,
    }
    if endpoint.server_name:
        options["grpc.ssl_target_name_override"] = endpoint.server_name
    options.update(endpoint.options)
    arguments = list(options.items())
    if not endpoint.tls_roots:
        return grpc.aio.insecure_channel(endpoint.address, options=arguments)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=endpoint.tls_roots,
        private_key=endpoint.key or None,
        certificate_chain=endpoint.certificate or None,
    )
    return grpc.aio.secure_channel(endpoint.address, credentials, options=arguments)
