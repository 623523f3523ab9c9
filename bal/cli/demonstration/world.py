"""What the demonstration needs of the world it runs in."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from bal.config import Settings
from bal.core.source import Source
from bal.home import Home

Say = Callable[[str], None]
"""Takes one line for people."""


class Failed(Exception):
    """Something the demonstration promises did not happen."""


class Tampered(NamedTuple):
    """A stored value that somebody changed."""

    address: str
    before: str
    after: str
    finding: str
    """What the audit calls that row."""


class World(Protocol):
    """Embedded parts or real servers, with a home in them that holds nothing yet."""

    home: Home
    dso: str
    """Name of the source of the data server."""
    pmu: str
    """Name of the source of the PMUs."""
    auditor: Path
    """Home that the audit is asked of."""

    async def prepare(self, say: Say) -> Settings:
        """Make the home; return what it is set to. `Failed` when it is in use."""
        ...

    def source(self, name: str, lane: str) -> Source:
        """Return a source as it is to be registered."""
        ...

    async def published(self, counts: Mapping[str, int]) -> list[dict[str, Any]]:
        """Return the certificates that went out, each once; wait until they are as many as `counts` says of each source."""
        ...

    def trusted(self, anchors: Path) -> list[str]:
        """Return the options of `bal verify` that say whom to trust."""
        ...

    def tampering(self) -> AbstractAsyncContextManager[Tampered]:
        """Change one stored value behind the service's back; put it back at the end."""
        ...

    async def clean(self, say: Say) -> None:
        """Remove what was made outside of the home, as far as it can be; say what stays."""
        ...
