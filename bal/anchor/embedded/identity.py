"""Identities of the embedded ledger: whose transactions it takes, and in which roles."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Identity:
    """A member of an organisation, as a certificate would name it."""

    organisation: str
    roles: frozenset[str]


OPERATOR: Final = Identity("EmbeddedMSP", frozenset({"admin", "client"}))
"""Whoever runs the BAL: registers logs and sources, anchors."""
REGULATOR: Final = Identity("RegulatorMSP", frozenset({"admin", "client"}))
"""May suspend any source and lift its own suspensions."""
