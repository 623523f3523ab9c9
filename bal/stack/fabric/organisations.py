"""The organisations that run the ledger together, and what their network is called."""

from dataclasses import dataclass
from typing import Final

from bal.core.errors import NotFound

CHANNEL: Final = "certification"
CHAINCODE: Final = "certification"
ENDORSEMENT: Final = "OutOf(2, 'DsoMSP.peer', 'MarketMSP.peer', 'RegulatorMSP.peer')"
"""Two of three: one organisation alone, whatever it does to its own machines, writes nothing."""
HOST: Final = "127.0.0.1"
SERVERS: Final = ("orderer", "peer", "chaincode")
"""Processes of an organisation, in starting order."""


@dataclass(frozen=True, slots=True)
class Organisation:
    """A member of the ledger."""

    name: str
    msp: str
    """Its name on the ledger: a membership service provider (MSP) says who belongs to it."""

    @property
    def port_names(self) -> tuple[str, ...]:
        """Return the names of the ports its servers listen on."""
        return tuple(
            f"{self.name}-{part}"
            for part in (
                "orderer",
                "orderer-admin",
                "orderer-operations",
                "peer",
                "peer-chaincode",
                "peer-operations",
                "chaincode",
            )
        )


ORGANISATIONS: Final = (
    Organisation("dso", "DsoMSP"),
    Organisation("market", "MarketMSP"),
    Organisation("regulator", "RegulatorMSP"),
)


def organisation(name: str) -> Organisation:
    """Return an organisation by its name. Raises `NotFound`."""
    for each in ORGANISATIONS:
        if each.name == name:
            return each
    message = "the ledger has no such organisation"
    names = ", ".join(each.name for each in ORGANISATIONS)
    raise NotFound(message, subject=name, remedy=f"choose among {names}")
