"""A request for events, to be signed here or off-line."""

from typing import Generic, TypeVar

from bal.fabric.events import Events, Feed
from bal.fabric.session import Session

T = TypeVar("T")


class EventsRequest(Generic[T]):
    """What `Network.new_*_events_request` and, from bytes, `Gateway.new_*_events_request` return."""

    def __init__(
        self,
        session: Session,
        feed: Feed[T],
        signature: bytes = b"",
    ) -> None:
        self._session = session
        self._feed = feed
        self._signature = signature

    @property
    def digest(self) -> bytes:
        """Return what is to be signed off-line."""
        return self._session.signing.hash(self._feed.message)

    def to_bytes(self) -> bytes:
        """Return the request as its protobuf message."""
        return bytes(self._feed.signed(self._signature).SerializeToString())

    def events(self) -> Events[T]:
        """Return the events; the request is sent when the first is asked for, and can be used once."""
        return Events(self._session, self._feed, self._signature)
