"""Transactions of the contract, submitted until one is valid, a refusal of it counts, or time is up."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import combinations
from typing import Final

from bal.anchor.fabric.channel import Channel, Committed, Stale
from bal.anchor.fabric.peers import BEHIND_SECONDS, Peers, unsettled
from bal.core.commitment import Commitment
from bal.core.errors import LedgerOutcomeUnknown, LedgerRefused, LedgerUnavailable
from bal.ports import Clock
from chaincode.anchor import Anchor
from chaincode.errors import CODES, ContractError

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_LAGGING: Final = frozenset(("wrong_sequence", "unknown_log", "unknown_source"))
"""What a peer says that has not seen the latest blocks."""

Said = Mapping[str, ContractError | None]
"""How each peer that was asked itself refuses a call; None: it takes it."""
Standing = Callable[[Sequence[Anchor]], Awaitable[list[Commitment] | None]]
"""Returns what the ledger holds of anchors, None where one is missing. `LedgerRefused` for others in their place."""


def refused(error: ContractError) -> LedgerRefused:
    """Return the contract's refusal as the pipeline knows it."""
    return LedgerRefused(error.message, code=error.code, subject="certification", remedy=CODES[error.code])


class Submission:
    """Submits for one identity.

    An endorser may refuse what the contract takes, or endorse a result that differs. So a refusal counts when one's own
    peer gives it, asked itself, or a majority of organisations does: one's own may be silent, or behind. What a peer
    behind would say counts when all say it, or for longer than peers are behind a majority that one's own does not
    contradict, and never where the log was seen to reach so far. Otherwise the organisations whose peers take the call
    are named to endorse it, one group after the other, those with one's own first: a gateway left to itself asks its own
    peer, be it behind for good.
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
        self._turn = 0
        """How often naming a group of organisations did not help: the one that did is the first named the next time."""

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
        named: tuple[str, ...] = ()
        while True:
            waited = self._clock.monotonic() - begun
            late = waited > self._patience
            try:
                return await self._channel.submit(function, args, admin=admin, organisations=named)
            except ContractError as error:
                said = await self._hear(function, args, admin=admin)
                self._check_refused(said, waited, anchors)
                if late:
                    raise unsettled(f"peers do not agree that {error.code} is so") from None
                named = self._next(named, said)
            except Stale as error:
                standing = await self._standing(anchors)
                if standing is not None:
                    return standing
                if late:
                    raise unsettled(str(error)) from None
                named = self._next(named, await self._hear(function, args, admin=admin))
            except LedgerUnavailable:
                if late or not named:
                    raise
                named = self._next(named, {})
            except LedgerOutcomeUnknown:
                if anchors or late:
                    raise
            await self._clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _hear(self, function: str, args: Sequence[str], *, admin: bool) -> Said:
        """Ask every peer itself; nothing is written by asking. `LedgerUnavailable` when none answers."""

        async def refusal(peer: str) -> ContractError | None:
            try:
                await self._channel.evaluate(function, args, peer, admin=admin)
            except ContractError as error:
                return error
            return None

        return await self._peers.hear(refusal)

    def _check_refused(self, said: Said, waited: float, anchors: Sequence[Anchor]) -> None:
        """Raise `LedgerRefused` for a refusal that counts."""
        own = said.get(self._peers.own)
        if own is not None and own.code not in _LAGGING:
            raise refused(own) from None
        seen = any(anchor.seq <= self._seen.get(anchor.log, -1) for anchor in anchors[:1])
        takes = own is None and self._peers.own in said
        for error in filter(None, said.values()):
            saying = [peer for peer, each in said.items() if each is not None and each.code == error.code]
            if len(self._peers.organisations(saying)) < self._peers.needed:
                continue
            lasting = len(saying) == len(self._peers) > 1 or waited > BEHIND_SECONDS
            if error.code not in _LAGGING or (lasting and not seen and not takes):
                raise refused(error) from None

    def _next(self, failed: tuple[str, ...], said: Said) -> tuple[str, ...]:
        """Return which organisations to name after those that `failed`, none where too few take the call."""
        self._turn += bool(failed)
        taking = self._peers.organisations(peer for peer, error in said.items() if error is None)
        groups = list(combinations(taking, self._peers.needed)) if self._peers.needed > 1 else []
        return groups[self._turn % len(groups)] if groups else ()
