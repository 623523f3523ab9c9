"""Following events, over the loss of gateways."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, suppress
from types import TracebackType
from typing import Any, Final, Generic, Protocol, Self, TypeVar

from bal.fabric.errors import GatewayError, NotSigned
from bal.fabric.link import CallFailed, Link, Stream
from bal.fabric.session import Session

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_AGAIN: Final = frozenset({"UNAVAILABLE", "CANCELLED", "ABORTED", "DEADLINE_EXCEEDED"})
_ALIVE_SECONDS: Final = 5.0
"""A stream that held so long was one: its end begins a new count."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0


class Feed(Protocol[T_co]):
    """A request for events, and how its answers are read; moves on with what it has read."""

    method: str

    @property
    def message(self) -> bytes:
        """Return what is signed."""

    @property
    def pinned(self) -> bool:
        """Tell whether the request names where to start, so that it asks for the same events at whatever time."""

    def signed(self, signature: bytes) -> Any:
        """Return the request with its signature, as it is sent."""

    def read(self, response: Any) -> Iterable[tuple[T_co, tuple[int, str]]]:
        """Return the events of an answer, each with the block and transaction to start after it."""

    def move(self, block: int, transaction_id: str) -> None:
        """Make the request one that starts at this block, after this transaction (if any)."""


class Events(Generic[T]):
    """An asynchronous iterator of events, and an asynchronous context manager that ends it.

    When a gateway is lost it goes on at the next one with the first event not yet delivered: none is left out, none comes twice. Iterating raises GatewayError where that
    can't be (it had no start block and nothing was delivered yet; there is no signer; no gateway answered for `Deadlines.events` seconds). After `close` it ends.
    """

    def __init__(
        self,
        session: Session,
        feed: Feed[T],
        signature: bytes,
    ) -> None:
        self._session = session
        self._seconds = session.deadlines.events
        self._feed = feed
        self._signature = signature
        self._moved: tuple[int, str] | None = None
        self._stream: Stream | None = None
        self._closing = asyncio.Event()
        self._failing_since: float | None = None
        self._events = self._follow()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        return await anext(self._events)

    async def close(self) -> None:
        """End the stream; an iteration that waits ends as well, other streams go on."""
        self._closing.set()
        if self._stream is not None:
            self._stream.cancel()
        with suppress(RuntimeError):  # somebody waits for the next event; that wait ends by itself now
            await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def _ended(self) -> bool:
        return self._closing.is_set() or self._session.failover.closed

    async def _follow(self) -> AsyncGenerator[T, None]:
        pause = _FIRST_PAUSE
        while not self._ended:
            for link in self._session.failover.preferred():
                began = time.monotonic()
                try:
                    async with aclosing(self._from(link)) as events:
                        async for event in events:
                            self._failing_since = None
                            pause = _FIRST_PAUSE
                            yield event
                    failure = CallFailed("UNAVAILABLE", "the stream ended", answered=False, sent=True)
                except CallFailed as error:
                    failure = error
                if self._ended:
                    return
                if time.monotonic() - began > _ALIVE_SECONDS:
                    self._failing_since = None
                await self._renew(failure)
                link.backoff.failed()
            await self._rest(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _from(self, link: Link) -> AsyncGenerator[T, None]:
        if not self._signature:
            self._signature = await self._session.signing.sign(self._feed.message)
        stream = self._stream = link.stream(self._feed.method, self._feed.signed(self._signature))
        async with aclosing(stream.responses()) as responses:
            async for response in responses:
                link.backoff.worked()
                for event, after in self._feed.read(response):
                    self._moved = after
                    yield event
                    if self._ended:
                        return

    async def _renew(self, failure: CallFailed) -> None:
        """Make the request one for what was not delivered yet.

        Raises GatewayError where it can't be.
        """
        now = time.monotonic()
        self._failing_since = self._failing_since or now
        if failure.code not in _AGAIN or now - self._failing_since > self._seconds:
            raise _lost(failure)
        if self._moved is None and not self._feed.pinned:
            raise _lost(failure)
        if self._session.signing.can_sign:
            if self._moved is not None:
                self._feed.move(*self._moved)
            self._signature = b""
        elif self._moved is not None:
            raise _lost(failure) from NotSigned("going on elsewhere takes another signature")

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return


def _lost(failure: CallFailed) -> GatewayError:
    return GatewayError(failure.message, code=failure.code, details=failure.details)
