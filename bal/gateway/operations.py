"""What the operator's control routes ask of the service."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bal.core.address import Address
from bal.core.message import Message, Receipt
from bal.core.source import Source


class Readers(Protocol):
    """The operator's own systems that may read what was refused."""

    async def admit(self, name: str) -> None:
        """Let `name` read; again is no harm. `Malformed` for what is no name."""

    async def dismiss(self, name: str) -> None:
        """Let `name` read no longer; one that does not is no harm."""


class Operations(Protocol):
    """The operator's verbs. Each raises the `BalError` that says why it cannot be done."""

    def source(self, name: str) -> Source | None:
        """Return the registration in force of a source, None where there is none."""
        ...

    def new_source(self, name: str) -> Source:
        """Return the registration of a source of which nothing but its name is given."""
        ...

    async def ingest(self, message: Message) -> Receipt:
        """Return the receipt of a message once all its readings are anchored."""
        ...

    async def register_source(self, source: Source) -> Source:
        """Register a source or change its registration; return it as recorded."""
        ...

    async def change_source(self, name: str, change: Callable[[Source], Source]) -> Source:
        """Register what `change` makes of a registration as it stands when its turn comes, new where there is none."""
        ...

    async def suspend(self, name: str, *, suspended: bool, why: str) -> Source:
        """Suspend a source or lift its suspension, on the ledger first."""
        ...

    def not_in_force(self) -> Mapping[str, str]:
        """Return where registrations have no effect outside yet, and why; empty when they have everywhere."""
        ...

    async def erase(self, address: Address, who: str, why: str) -> Address:
        """Erase a reading; return the address of the anchored note that says so."""
        ...

    async def republish(
        self,
        name: str,
        output: str | None = None,
        start: Address | int | None = None,
        end: Address | int | None = None,
    ) -> Mapping[str, int]:
        """Hand what was parked, or all from `start` on (to `end`), to an output again; return how many batches, by output.

        Bounds are addresses, or times in microseconds UTC.
        """
        ...

    async def status(self) -> Mapping[str, Any]:
        """Return what there is to say of the service, as JSON."""
        ...

    async def stop(self) -> None:
        """Ask the service to finish what it took and end; returns at once."""
        ...
