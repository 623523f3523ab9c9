"""Commitments: an anchor together with what the ledger itself says of the transaction that carried it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from chaincode.anchor import Anchor


@dataclass(frozen=True, slots=True)
class Commitment:
    """An anchor that stands on the ledger."""

    anchor: Anchor
    ledger: str
    """Kind of ledger: `embedded` or `fabric`."""
    channel: str
    tx_id: str
    block: int
    time: str
    """The transaction's time as the ledger holds it: the submitter's claim within the ledger's window."""
    organisation: str
    """MSP id of the submitter."""
    suspended: tuple[str, ...] = ()
    """Sources of the batch that were suspended when the anchor was committed."""

    def to_json(self) -> dict[str, Any]:
        """Return the `anchor` member of a certificate (design, section 5)."""
        return {
            **self.anchor.to_json(),
            "ledger": self.ledger,
            "channel": self.channel,
            "tx_id": self.tx_id,
            "block": self.block,
            "time": self.time,
            "organisation": self.organisation,
        }

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> Self:
        """Return the commitment of a JSON object; `ContractError` or `KeyError` when the form is wrong."""
        own = {
            name: members[name] for name in ("ledger", "channel", "tx_id", "block", "time", "organisation")
        }
        suspended = tuple(members.get("suspended", ()))
        anchor = {name: value for name, value in members.items() if name not in own and name != "suspended"}
        return cls(Anchor.from_json(anchor), **own, suspended=suspended)
