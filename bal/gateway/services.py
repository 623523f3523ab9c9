"""What the gateway is given: ports, and functions of rooms it does not know."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from bal.core.message import Message, Receipt
from bal.gateway.clients import Clients
from bal.gateway.tokens import Tokens
from bal.metrics import Metrics
from bal.ports import Clock, Ledger, Quarantine, Store


class Intake(Protocol):
    """Where messages go."""

    async def submit(self, message: Message) -> Receipt:
        """Return the receipt of a message once it is durable.

        `Overloaded`, `Unreadable`, `Refused`, `UnknownSource`.
        """
        ...


class Event(Protocol):
    """One certified entry on its way to subscribers."""

    @property
    def id(self) -> str:
        """Its address; grows within a log."""
        ...

    @property
    def source(self) -> str:
        """The source it is of."""
        ...

    @property
    def data(self) -> str:
        """Its certificate, one line."""
        ...


class Subscription(Protocol):
    """Events from now on; raises `Overloaded` after the last one when the subscriber fell too far behind."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __aiter__(self) -> AsyncIterator[Event]: ...


class Events(Protocol):
    """Hands events to whoever listens now."""

    def subscribe(self, sources: frozenset[str]) -> Subscription:
        """Return the events of `sources` from now on. `Overloaded` when there are too many subscribers."""
        ...


class Verdict(Protocol):
    """What became of checking a certificate."""

    @property
    def valid(self) -> bool:
        """Whether it proves what it says."""
        ...

    @property
    def reason(self) -> str:
        """Why not; empty when valid."""
        ...


@dataclass(frozen=True, slots=True)
class GatewayServices:
    """Everything the routes of the gateway work with."""

    store: Store
    ledger: Ledger
    quarantine: Quarantine
    intake: Intake
    events: Events
    clients: Clients
    tokens: Tokens
    clock: Clock
    metrics: Metrics
    pseudonyms: Callable[[str, str], list[str]] = field(repr=False)
    """(source, plain identifier) -> every pseudonym it may stand under."""
    verify: Callable[[bytes], Awaitable[Verdict]]
    """Check a certificate against the ledger's own anchors."""
    health: Callable[[], Awaitable[Mapping[str, str]]]
    """Port -> `ok`, or a short reason fit for strangers."""
    spool: Path | None = None
    """Folder of anonymous temporary files for large bodies; None is the system's own."""
    docs: bool = True
    """Whether the OpenAPI document and its page are served."""
