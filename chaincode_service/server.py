"""The gRPC server that the organisation's peers call: the chaincode service and a health answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable
from typing import Any, Final

import grpc
from fabric_protos.peer import chaincode_shim_pb2_grpc
from fabric_protos.peer.chaincode_shim_pb2 import ChaincodeMessage

from chaincode_service.contract import Certification
from chaincode_service.library import Conversation
from chaincode_service.settings import Settings

#: As large as peers take: 64 anchors of 256 sources are 4 MiB, which is gRPC's own limit.
MESSAGE_BYTES: Final = 100 * 1024 * 1024
#: A peer asks every minute whether the service lives, also when nothing goes on; gRPC would hang up on it.
OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    # Two services on one port would share the peers' calls, whichever contract each runs.
    ("grpc.so_reuseport", 0),
    # A peer whose machine vanished is noticed, and what it began is ended.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)
#: What is begun may end before the service does.
DRAIN_SECONDS: Final = 3.0
#: Health service of gRPC (grpc/health/v1/health.proto): HealthCheckResponse{status: SERVING}.
HEALTH: Final = "grpc.health.v1.Health"
SERVING: Final = b"\x08\x01"

log = logging.getLogger("chaincode_service")


class Service(chaincode_shim_pb2_grpc.ChaincodeServicer):  # type: ignore[misc]
    """Answers the peers that connect, each in a conversation of its own."""

    def __init__(self, package_id: str) -> None:
        self._package_id = package_id
        self._conversations: set[Conversation] = set()

    async def Connect(  # noqa: N802 - the service's own name
        self, messages: AsyncIterable[ChaincodeMessage], context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        """Converse with one peer until it leaves."""
        conversation = Conversation(self._package_id, Certification())
        self._conversations.add(conversation)
        log.info("a peer is connected")
        try:
            await conversation.converse(messages, context)
        finally:
            self._conversations.discard(conversation)
            log.info("a peer has left")

    async def drain(self, seconds: float) -> bool:
        """Let the transactions that are worked on end; tell whether all have."""
        work = {task for conversation in self._conversations for task in conversation.work}
        return not work or not (await asyncio.wait(work, timeout=seconds))[1]


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then let what is begun end."""
    service = Service(settings.package_id)
    server = grpc.aio.server(options=OPTIONS)
    chaincode_shim_pb2_grpc.add_ChaincodeServicer_to_server(service, server)
    server.add_generic_rpc_handlers((_health(),))
    credentials = grpc.ssl_server_credentials(
        [(settings.key, settings.certificate)], settings.client_ca, require_client_auth=True
    )
    server.add_secure_port(settings.address, credentials)
    await server.start()
    log.info("listening on %s as %s", settings.address, settings.package_id)
    await stop.wait()
    if not await service.drain(DRAIN_SECONDS):
        log.warning("transactions were cut off")
    await server.stop(None)
    log.info("stopped")


async def is_healthy(settings: Settings, seconds: float) -> bool:
    """Ask the service of these settings whether it serves, by its own certificate."""
    credentials = grpc.ssl_channel_credentials(settings.client_ca, settings.key, settings.certificate)
    async with grpc.aio.secure_channel(settings.address, credentials) as channel:
        try:
            answer: bytes = await channel.unary_unary(f"/{HEALTH}/Check")(b"", timeout=seconds)
        except grpc.aio.AioRpcError:
            return False
        return answer == SERVING


def _health() -> grpc.GenericRpcHandler:
    async def check(request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        del request, context
        return SERVING

    return grpc.method_handlers_generic_handler(HEALTH, {"Check": grpc.unary_unary_rpc_method_handler(check)})
