"""Transactions of the contract, submitted until one is valid, all peers refuse it, or time is up."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from bal.anchor.fabric.channel import Channel, Committed, Stale
from bal.anchor.fabric.peers import Peers, unsettled
from bal.core.commitment import Commitment
from bal.core.errors import LedgerOutcomeUnknown, LedgerRefused
from bal.ports import Clock
from chaincode.anchor import Anchor
from chaincode.errors import CODES, ContractError

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_BEHIND_SECONDS: Final = 5.0
"""How long a refusal that a peer behind would give must last while not all peers answer."""
_LAGGING: Final = frozenset(("wrong_sequence", "unknown_log", "unknown_source"))
"""What a peer says that has not seen the latest blocks."""
_ACCEPTED: Final = ""

Standing = Callable[[Sequence[Anchor]], Awaitable[list[Commitment] | None]]
"""Returns what the ledger holds of anchors, None where one is missing. `LedgerRefused` for others in their place."""


def refused(error: ContractError) -> LedgerRefused:
    """Return the contract's refusal as the pipeline knows it."""
    return LedgerRefused(error.message, code=error.code, subject="certification", remedy=CODES[error.code])


class Submission:
    """Submits for one identity.

    A refusal that a peer behind would give counts only when every peer that answers gives it, and never where the log
    was seen to reach so far. Where enough peers would take what one refuses, their organisations are named to endorse:
    a gateway asks its own peer first, be it behind for good.
    """

    def __init__(
        self, channel: Channel, peers: Peers, clock: Clock, patience: float, standing: Standing
    ) -> None:
        self._channel = channel
        self._peers = peers
        self._clock = clock
        self._patience = patience
        self._standing = standing
        self._seen: dict[str, int] = {}

    def saw(self, log: str, end: int) -> None:
        """Remember that a log reaches up to `end`: it does not go back."""
        self._seen[log] = max(end, self._seen.get(log, 0))

    async def run(
        self, function: str, args: Sequence[str], *, admin: bool = False, anchors: Sequence[Anchor] = ()
    ) -> Committed | list[Commitment]:
        """Return the valid transaction, or of `anchors` what stands in its stead.

        The same call again changes nothing on the ledger. `LedgerRefused`, `LedgerUnavailable`, `LedgerOutcomeUnknown`.
        """
        begun, pause = self._clock.monotonic(), _FIRST_PAUSE
        organisations: tuple[str, ...] = ()
        while True:
            waited = self._clock.monotonic() - begun
            late = waited > self._patience
            try:
                return await self._channel.submit(function, args, admin=admin, organisations=organisations)
            except ContractError as error:
                if error.code not in _LAGGING:
                    raise refused(error) from None
                organisations = await self._taking(
                    error, function, args, waited, admin=admin, anchors=anchors
                )
                if late:
                    raise unsettled(f"peers do not agree that {error.code} is so") from None
            except Stale as error:
                standing = await self._standing(anchors)
                if standing is not None:
                    return standing
                if late:
                    raise unsettled(str(error)) from None
            except LedgerOutcomeUnknown:
                if anchors or late:
                    raise
            await self._clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _taking(
        self,
        error: ContractError,
        function: str,
        args: Sequence[str],
        waited: float,
        *,
        admin: bool,
        anchors: Sequence[Anchor],
    ) -> tuple[str, ...]:
        """Return the organisations whose peers take a refused call, where they are enough; none is named otherwise.

        Every peer is asked itself; nothing is written by asking. `LedgerRefused` when all refuse it with the same code.
        While one is silent the others may both be behind it, for a moment: then they have to say so for longer.
        """

        async def says(peer: str) -> str:
            try:
                await self._channel.evaluate(function, args, peer, admin=admin)
            except ContractError as answered:
                return answered.code
            return _ACCEPTED

        said = await self._peers.hear(says)
        seen = any(anchor.seq <= self._seen.get(anchor.log, -1) for anchor in anchors[:1])
        all_asked = len(said) == len(self._peers) > 1
        if not seen and set(said.values()) == {error.code} and (all_asked or waited > _BEHIND_SECONDS):
            raise refused(error) from None
        taking = self._peers.organisations(peer for peer, code in said.items() if code == _ACCEPTED)
        return taking[: self._peers.needed] if len(taking) >= self._peers.needed > 1 else ()
