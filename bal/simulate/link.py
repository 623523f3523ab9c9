"""The seam between a sender and the way its messages travel."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, NamedTuple, Protocol

from bal.simulate.plan import Outgoing


class Answer(NamedTuple):
    """What the BAL said of one message: it need not be kept any longer."""

    digest: str
    """Lower-case hex SHA-256 of the message."""
    accepted: bool
    by: Literal["mqtt", "http"]
    body: Mapping[str, Any]


class Link(Protocol):
    """An open connection. Raises `Unavailable` when it breaks: what has no answer is sent again on the next one."""

    async def send(self, message: Outgoing) -> Answer | None:
        """Hand over one message; return its answer where the connection gives it at once."""
        ...

    def answers(self) -> AsyncIterator[Answer]:
        """Yield answers that come by themselves, for as long as the connection lives."""
        ...


class Door(Protocol):
    """A way to the BAL, opened again after each break."""

    def open(self) -> AbstractAsyncContextManager[Link]:
        """Connect, ready for answers before anything is sent. Raises `Unavailable`; `Refused` for good."""
        ...
