"""The embedded MQTT 3.1.1 broker over TLS: one listener, an identity for everybody, rights looked up live.

Messages are kept in memory: a PUBACK says only that the broker has the message. What carries documents is handed to
the intake; only what the intake took is acknowledged, so a full intake stops the reading of that client.
"""

import asyncio
import contextlib
import secrets
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import structlog

from bal.core.errors import Misconfigured, Unavailable
from bal.core.limits import MQTT_MESSAGE_BYTES
from bal.core.topics import Rights, check_topic
from bal.ingest.accounts import Accounts
from bal.ingest.budget import Budget
from bal.ingest.connection import Connection
from bal.ingest.identity import Gatekeeper, Identity
from bal.ingest.session import Outgoing, Session, Subscriptions
from bal.ingest.wire import Connect, Publish

log = structlog.get_logger("bal.ingest.broker")

SESSIONS_PER_IDENTITY = 64
"""Most sessions of one identity, connected or remembered."""
STALL_SECONDS = 10
"""How long a subscriber may keep everybody waiting before its session is ended."""
SWEEP_SECONDS = 0.5
"""How soon a revocation, an expiry or a silence shows."""
READ_BYTES = 256 * 1024
"""What one connection buffers before its TCP window closes (twice this at most)."""


class MessageIntake(Protocol):
    """Where messages that carry documents go."""

    async def take(self, identity: str, topic: str, body: bytes) -> bool:
        """Take a message, waiting while there is no room; return False when the topic carries no documents."""
        ...

    async def refuse(self, identity: str, topic: str, body: bytes, reason: str) -> None:
        """Tell the sender that a message on its own topic was not taken."""
        ...


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Where the broker listens and what it may cost."""

    ca: Path
    certificate: Path
    key: Path
    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free one; `EmbeddedBroker.port` tells which."""
    connections: int = 1024
    message_bytes: int = MQTT_MESSAGE_BYTES
    bodies_bytes: int = 256 * 1024 * 1024
    """Most bytes of messages being read at a time, over all connections."""
    session_hours: float = 24
    """How long a session is remembered after its client left."""


class EmbeddedBroker:
    """A broker in this process. `start` and `stop` it, or use it as an asynchronous context manager.

    `rights_of` and `is_revoked` are asked on every use, so that registrations, grants and revocations count at once.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        *,
        rights_of: Callable[[str], Rights],
        is_revoked: Callable[[int], bool],
        accounts: Accounts | None = None,
        intake: MessageIntake | None = None,
    ) -> None:
        self._settings = settings
        self._rights_of = rights_of
        self._gatekeeper = Gatekeeper(is_revoked=is_revoked, accounts=accounts, now=time.time)
        self._intake = intake
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sessions: dict[tuple[str, str], Session] = {}
        self.subscriptions = Subscriptions()
        self.bodies = Budget(settings.bodies_bytes)
        self._notes: Counter[tuple[str, str]] = Counter()
        self.counts: Counter[str] = Counter()
        """What happened so often: `taken`, `denied`, `refused`, `protocol`, `retained`, `will`, `full`, `dropped`."""

    @property
    def message_bytes(self) -> int:
        """Largest message body taken."""
        return self._settings.message_bytes

    @property
    def connections(self) -> int:
        """Connections open now."""
        return len(self._connections)

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def serve(self, intake: MessageIntake) -> None:
        """Hand documents to `intake` from now on."""
        self._intake = intake

    async def start(self) -> None:
        """Listen. Raises `Misconfigured` for certificates that cannot be used, `Unavailable` for a port that is taken."""
        context = self._tls()
        try:
            self._server = await asyncio.start_server(
                self._accept,
                self._settings.host,
                self._settings.port,
                ssl=context,
                ssl_handshake_timeout=10,
                ssl_shutdown_timeout=2,
                limit=READ_BYTES,
            )
        except OSError as error:
            message = "the MQTT listener could not be opened"
            raise Unavailable(
                message, subject=str(self._settings.port), remedy="choose another port"
            ) from error
        self._sweeper = asyncio.create_task(self._sweep())

    async def stop(self) -> None:
        """Stop listening and put everybody out."""
        if self._server is None:
            return
        self._server.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
        for connection in list(self._connections):
            connection.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for session in list(self._sessions.values()):
            self._end(session)
        with contextlib.suppress(TimeoutError):  # somebody in the middle of a TLS handshake
            await asyncio.wait_for(self._server.wait_closed(), 5)
        self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def send(self, topic: str, body: bytes, qos: int = 1) -> None:
        """Hand a message of the BAL's own to every client that wants it and may have it, waiting for slow ones a while."""
        check_topic(topic)
        for session, wanted in self.subscriptions.of(topic).items():
            if not self._rights_of(session.identity).may_receive(topic):
                continue
            if not session.room.is_set() and session.connection is not None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(session.room.wait(), STALL_SECONDS)
            stalled = not session.room.is_set() and (session.connection is not None or session.overfull)
            if stalled and not session.ended:
                self.note(
                    "dropped",
                    "a subscriber fell too far behind: its session was ended",
                    name=session.identity,
                )
                self._put_out(session)
            elif not session.ended and (session.connection is not None or min(qos, wanted)):
                session.put(Outgoing(topic, body, min(qos, wanted)))

    def note(self, event: str, reason: str, identity: Identity | None = None, *, name: str = "") -> None:
        """Count and log something; never a topic, a client identifier or a payload: they may name meters."""
        who = identity.name if identity is not None else name
        self.counts[event] += 1
        self._notes[event, who] = times = self._notes[event, who] + 1
        if times & (times - 1) == 0:  # the 1st, 2nd, 4th, 8th… time: nobody floods the log
            log.warning(event, reason=reason, identity=who, times=times)

    # --- what connections ask -------------------------------------------------------------------------------------
    async def identify(self, tls: ssl.SSLObject, connect: Connect) -> Identity | int:
        """Return who it is, or the CONNACK code that refuses."""
        return await self._gatekeeper.identify(tls, connect)

    def may_subscribe(self, identity: Identity, topic_filter: str) -> bool:
        """Tell whether the rights in force now cover the filter."""
        return self._rights_of(identity.name).may_subscribe(topic_filter)

    async def take(self, identity: Identity, message: Publish) -> None:
        """Deal with a published message: to the intake, to subscribers, or nowhere when it is not granted."""
        if not self._rights_of(identity.name).may_publish(message.topic):
            self.note("denied", "a publish is not granted", identity)
        elif message.retain:
            self.note("retained", "a retained message is not taken", identity)
            if self._intake is not None:
                reason = "retained messages are not taken: send it without the retain flag"
                await self._intake.refuse(identity.name, message.topic, message.body, reason)
        elif self._intake is not None and await self._intake.take(identity.name, message.topic, message.body):
            self.counts["taken"] += 1
        else:
            await self.send(message.topic, message.body, message.qos)

    def open_session(
        self, connection: Connection, identity: Identity, connect: Connect
    ) -> tuple[Session | None, bool]:
        """Return the client's session and whether it was there before; None when its identity has too many."""
        key = (identity.name, connect.client_id or secrets.token_hex(16))
        session = self._sessions.get(key)
        if session is not None and session.connection is not None:
            other, session.connection = session.connection, None
            other.session = None
            other.abort()  # the same client again (3.1.4-2)
        if session is not None and (connect.clean or session.clean):
            self._end(session)
            session = None
        present = session is not None
        if session is None:
            if sum(name == identity.name for name, _ in self._sessions) >= SESSIONS_PER_IDENTITY:
                self.note("full", "an identity has too many sessions", identity)
                return None, False
            session = self._sessions[key] = Session(*key, clean=connect.clean)
        session.connection = connection
        return session, present

    def detach(self, connection: Connection) -> None:
        """Remember that a connection is gone."""
        session = connection.session
        if session is not None and session.connection is connection:
            session.connection = None
            session.left_at = time.monotonic()
            if session.clean:
                self._end(session)

    # --- inside ---------------------------------------------------------------------------------------------------
    def _tls(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self._settings.ca))
            context.load_cert_chain(self._settings.certificate, self._settings.key)
        except (OSError, ssl.SSLError) as error:
            message = "the broker's certificates cannot be used"
            raise Misconfigured(message, remedy="issue them with `bal pki`, or check the paths") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Optional, because some clients have a password instead; without either nobody comes in (`Gatekeeper`).
        context.verify_mode = ssl.CERT_OPTIONAL
        context.options |= ssl.OP_NO_TICKET  # every connection proves anew who it is
        context.num_tickets = 0
        return context

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= self._settings.connections:
            self.note("full", "there are too many connections")
            writer.transport.abort()
            return
        connected = writer.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection = Connection(self, reader, writer)
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(connection)
        self._tasks.add(task)
        try:
            with contextlib.suppress(
                asyncio.CancelledError
            ):  # by `abort`: the task is this connection, no more
                await connection.run()
        finally:
            self._connections.discard(connection)
            self._tasks.discard(task)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = asyncio.get_running_loop().time()
            for connection in list(self._connections):
                identity = connection.identity
                if identity is not None and not self._gatekeeper.still(identity):
                    self.note("refused", "a client's certificate or account is no longer good", identity)
                    connection.abort()
                elif connection.lost or connection.deadline < now:
                    connection.abort()
            oldest = time.monotonic() - 3600 * self._settings.session_hours
            for session in list(self._sessions.values()):
                if session.connection is None and session.left_at < oldest:
                    self._end(session)

    def _put_out(self, session: Session) -> None:
        connection = session.connection
        self._end(session)
        if connection is not None:
            connection.abort()

    def _end(self, session: Session) -> None:
        self.subscriptions.remove_all(session)
        self._sessions.pop(session.key, None)
        session.connection = None
        session.end()
