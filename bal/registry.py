"""The sources in force, in memory: asked for every message, changed only through the service."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from bal.core.errors import Refused, UnknownSource
from bal.core.ownership import Ownership
from bal.core.source import Output, Source


class Registry:
    """Registrations by name, and the ownership that follows from them."""

    def __init__(self, outputs: tuple[Output, ...] = ("jsonl",)) -> None:
        self._outputs = outputs
        self._sources: dict[str, Source] = {}
        self._ownership = Ownership(())
        self._moving: set[str] = set()

    def replace(self, sources: Iterable[Source]) -> None:
        """Put the registrations in force. `Conflict` when two sources map the same foreign topic."""
        named = {source.name: source for source in sources}
        self._ownership = Ownership(named.values())
        self._sources = named

    def check(self, source: Source) -> None:
        """Raise `Conflict` when `source` would not fit beside the others."""
        Ownership([*(other for other in self._sources.values() if other.name != source.name), source])

    def new(self, name: str, lane: str) -> Source:
        """Return the registration of a source of which nothing else is given; it is not in force yet."""
        return Source(name=name, lane=lane, outputs=self._outputs)

    def all(self) -> Mapping[str, Source]:
        """Return every registration in force, by name."""
        return self._sources

    def ownership(self) -> Ownership:
        """Return who may send as whom."""
        return self._ownership

    def get(self, name: str) -> Source:
        """Return a registration. `UnknownSource`."""
        source = self._sources.get(name)
        if source is None:
            message = "this source is not registered"
            raise UnknownSource(message, subject=name, remedy=f"register it with `bal sources add {name}`")
        return source

    @contextmanager
    def moving(self, name: str) -> Iterator[None]:
        """Take nothing new of a source for as long as this lasts."""
        self._moving.add(name)
        try:
            yield
        finally:
            self._moving.discard(name)

    def is_moving(self, name: str) -> bool:
        """Tell whether a source is changing its lane."""
        return name in self._moving

    def taking(self, name: str) -> Source:
        """Return the registration of a source that may send now. `UnknownSource`, `Refused` when suspended."""
        source = self.get(name)
        if source.suspended:
            message = "this source is suspended"
            raise Refused(message, subject=name, remedy="ask the operator or the regulator why")
        return source
