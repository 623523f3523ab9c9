"""One client's connection to the embedded broker: the protocol of MQTT 3.1.1, section 3."""

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING

from bal.core.errors import BalError, Malformed
from bal.ingest import wire
from bal.ingest.identity import Identity
from bal.ingest.session import SUBSCRIPTIONS, Session
from bal.ingest.wire import Connect, Header, Publish

if TYPE_CHECKING:
    from bal.ingest.broker import EmbeddedBroker

CONNECT_SECONDS = 15
"""From the first byte to a CONNECT that is let in."""
BODY_SECONDS = 120
"""For one packet to arrive, and for a client to take what was written to it."""
IDLE_SECONDS = 3600
"""For a client that wants no keep-alive to say something; the peer's TCP is asked meanwhile."""
FOREVER = float("inf")


class Connection:
    """Runs the protocol until the client leaves, breaks a rule or is put out. `deadline` is when it is given up."""

    def __init__(
        self, broker: "EmbeddedBroker", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._broker = broker
        self._reader = reader
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._idle: float = IDLE_SECONDS
        self._task = asyncio.current_task()
        self.identity: Identity | None = None
        self.session: Session | None = None
        self.deadline = self._loop.time() + CONNECT_SECONDS

    @property
    def lost(self) -> bool:
        """True once the transport is closed, whether or not the protocol has noticed."""
        return self._writer.transport.is_closing()

    def abort(self) -> None:
        """Cut the connection now; what was being handed over and is not acknowledged comes again."""
        self._writer.transport.abort()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    async def run(self) -> None:
        """Serve the client; never raises for what a client does."""
        pump: asyncio.Task[None] | None = None
        try:
            if await self._connect():
                pump = asyncio.create_task(self._pump())
                await self._serve()
        except (
            BalError
        ) as error:  # a broken rule, or an intake that takes nothing now: unacknowledged, it comes again
            self._broker.note(
                "protocol" if isinstance(error, Malformed) else "closed", error.what, self.identity
            )
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError, ssl.SSLError, OSError):
            pass  # gone; MQTT has a word for leaving, and not every client says it
        finally:
            if pump is not None:
                pump.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionError, OSError):
                    await pump
            self._broker.detach(self)
            self._writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError, OSError, TimeoutError):
                await asyncio.wait_for(self._writer.wait_closed(), 5)

    async def _connect(self) -> bool:
        header = await wire.read_header(self._reader)
        if header.kind != wire.CONNECT:
            message = "the first MQTT packet is no CONNECT"
            raise Malformed(message)
        wire.check_length(header, self._broker.message_bytes)
        connect = await wire.read_connect(header, await self._reader.readexactly(header.length))
        if connect.level != 4:
            await self._write(
                wire.CONNACK_OF_MQTT5 if connect.level == 5 else wire.connack(wire.BAD_PROTOCOL)
            )
            return False
        if not connect.client_id and not connect.clean:
            await self._write(wire.connack(wire.BAD_IDENTIFIER))
            return False
        identity = await self._broker.identify(self._writer.get_extra_info("ssl_object"), connect)
        if isinstance(identity, int):
            self._broker.note("refused", "a client did not prove who it is")
            await self._write(wire.connack(identity))
            return False
        self.identity = identity
        return await self._open(connect, identity)

    async def _open(self, connect: Connect, identity: Identity) -> bool:
        session, present = self._broker.open_session(self, identity, connect)
        if session is None:
            await self._write(wire.connack(wire.UNAVAILABLE))
            return False
        self.session = session
        if connect.will:
            self._broker.note("will", "a will message is not taken", identity)
        self._idle = 1.5 * connect.keepalive or IDLE_SECONDS
        await self._write(wire.connack(wire.ACCEPTED, present=present))
        return True

    async def _serve(self) -> None:
        while True:
            self.deadline = self._loop.time() + self._idle
            header = await wire.read_header(self._reader)
            wire.check_length(header, self._broker.message_bytes)
            if header.kind == wire.PUBLISH:
                await self._take_publish(header)
            elif header.kind == wire.DISCONNECT:
                return
            else:
                self.deadline = self._loop.time() + BODY_SECONDS
                await self._take_control(header, await self._reader.readexactly(header.length))

    async def _take_publish(self, header: Header) -> None:
        self.deadline = FOREVER  # waiting for memory is not the client's fault
        budget = self._broker.bodies
        taken = await budget.take(header.length)
        try:
            self.deadline = self._loop.time() + BODY_SECONDS
            packet = await self._reader.readexactly(header.length)
            message = wire.read_publish(header.flags, packet, self._broker.message_bytes)
            del packet
            self.deadline = FOREVER  # nor is back-pressure
            await self._deliver(message)
        finally:
            budget.give(taken)
        self.deadline = self._loop.time() + BODY_SECONDS
        if message.qos == 1:
            await self._write(wire.puback(message.packet_id))
        elif message.qos == 2:
            await self._write(wire.pubrec(message.packet_id))

    async def _deliver(self, message: Publish) -> None:
        session, identity = self._serving()
        if message.qos == 2:
            if message.packet_id in session.received:
                return  # the same message again, not released yet (4.3.3)
            await self._broker.take(identity, message)
            session.received.add(message.packet_id)
        else:
            await self._broker.take(identity, message)

    async def _take_control(self, header: Header, packet: bytes) -> None:
        session, identity = self._serving()
        if header.kind == wire.PUBACK:
            session.acknowledge(wire.read_packet_id(packet))
        elif header.kind == wire.PUBREL:
            packet_id = wire.read_packet_id(packet)
            session.received.discard(packet_id)
            await self._write(wire.pubcomp(packet_id))
        elif header.kind == wire.PINGREQ:
            await self._write(wire.PINGRESP)
        elif header.kind == wire.SUBSCRIBE:
            packet_id, topics = await wire.read_subscribe(header, packet)
            codes = [self._subscribe(session, identity, *wanted) for wanted in topics]
            await self._write(wire.suback(packet_id, codes))
        elif header.kind == wire.UNSUBSCRIBE:
            packet_id, filters = await wire.read_unsubscribe(header, packet)
            for topic_filter in filters:
                self._broker.subscriptions.remove(session, topic_filter)
            await self._write(wire.unsuback(packet_id))
        else:
            message = "an MQTT packet is not one a client sends"
            raise Malformed(message)

    def _subscribe(self, session: Session, identity: Identity, topic_filter: str, qos: int) -> int:
        known = topic_filter in session.filters
        if (not known and len(session.filters) >= SUBSCRIPTIONS) or not self._broker.may_subscribe(
            identity, topic_filter
        ):
            self._broker.note("denied", "a subscription is not granted", identity)
            return wire.FAILURE
        granted = min(qos, 1)
        self._broker.subscriptions.add(session, topic_filter, granted)
        return granted

    def _serving(self) -> tuple[Session, Identity]:
        assert self.session is not None
        assert self.identity is not None
        return self.session, self.identity

    async def _write(self, packet: bytes) -> None:
        self._writer.write(packet)
        await self._writer.drain()

    async def _pump(self) -> None:
        session, _ = self._serving()
        for number, message in list(session.in_flight.items()):
            await self._write(wire.publish(message.topic, message.body, number, again=True))
        while not session.ended:
            session.wake.clear()
            while (taken := session.take()) is not None:
                packet_id, message = taken
                await self._write(wire.publish(message.topic, message.body, packet_id, again=False))
            await session.wake.wait()
