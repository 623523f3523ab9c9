"""Which organisations can endorse, and how many are needed."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True, slots=True)
class Endorsers:
    """The organisations of a chaincode's endorsement policy: any `needed` of them will do.

    Told to a gateway, they are the ways it tries when a peer's own choice fails. A policy that is not of that form is not described here: leave it out and name
    organisations call by call.
    """

    organisations: tuple[str, ...]
    needed: int

    def __post_init__(self) -> None:
        if not 1 <= self.needed <= len(self.organisations):
            raise ValueError(f"{self.needed} of {len(self.organisations)} organisations can't endorse")

    def groups(self) -> Iterator[tuple[str, ...]]:
        """Yield every group of as many organisations as needed."""
        yield from combinations(self.organisations, self.needed)
