"""Readers of what is reported: the operator's own systems, by name."""

from typing import Protocol

from bal.core.names import check_name
from bal.granting import Granting


class ReaderList(Protocol):
    """Who may read the operator's output, on record. Raises `StoreFailed` when it cannot."""

    async def let_read(self, name: str) -> None:
        """Record that `name` may; again is no harm."""

    async def shut_out(self, name: str) -> None:
        """Record that `name` may not; one that might not is no harm."""


class Readers:
    """Lets identities read what was refused, and takes it back: on record first, then outside."""

    def __init__(self, listed: ReaderList, granting: Granting) -> None:
        self._listed = listed
        self._granting = granting

    async def admit(self, name: str) -> None:
        """Let `name` read. `Malformed` for what is no name. Where the output is away, its rights follow once it answers."""
        await self._listed.let_read(check_name(name, "reader name"))
        await self._granting.apply()

    async def dismiss(self, name: str) -> None:
        """Let `name` read no longer; one that does not is no harm."""
        await self._listed.shut_out(check_name(name, "reader name"))
        await self._granting.apply()
