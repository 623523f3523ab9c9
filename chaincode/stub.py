"""What a contract may ask of its ledger: the part of Fabric's stub that an embedded ledger has as well."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol


class Stub(Protocol):
    """Stand for one transaction: reads see the committed state, never the transaction's own writes."""

    @property
    def tx_id(self) -> str:
        """Id of the transaction, the same on every peer."""

    @property
    def tx_time(self) -> str:
        """Time of the transaction's header, the submitter's claim: "YYYY-MM-DDTHH:MM:SS.ffffffZ"."""

    @property
    def creator_organisation(self) -> str:
        """Organisation (MSP id) whose member signed the transaction."""

    @property
    def creator_roles(self) -> frozenset[str]:
        """Roles in the signer's certificate, such as admin and client."""

    async def get_state(self, key: str) -> bytes | None:
        """Return the committed value of `key`, None where there is none; the key enters the read set."""

    async def put_state(self, key: str, value: bytes) -> None:
        """Write `key` when the transaction commits."""

    def get_state_by_range(self, start: str, end: str, limit: int) -> AsyncIterator[tuple[str, bytes]]:
        """Yield keys from `start` up to but without `end` in order, at most `limit`; for queries only."""

    def set_event(self, name: str, payload: bytes) -> None:
        """Announce the transaction's effect to those who listen to blocks; at most one event a transaction."""
