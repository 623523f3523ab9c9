"""Peers against one another: where each says that every log ends, asked of it itself.

A peer may be a few blocks behind for a moment; one that stays behind, or holds another anchor, or names a head that it
has no anchor for, is a finding. So is one that gives no answer that makes sense: it was not compared.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from bal.core.errors import LedgerError
from bal.ports import Clock
from bal.verify.report import AuditReport
from chaincode.anchor import GENESIS, Anchor
from chaincode.chain import Head

PATIENCE_SECONDS: Final = 15.0
"""How long a peer may take to reach what another one has."""
_PAUSE: Final = 0.5


class LedgerPeers(Protocol):
    """Peers of one ledger, each asked itself; all raise `LedgerError` for one that gives no answer."""

    @property
    def peers(self) -> Sequence[str]:
        """Addresses, the one that is trusted most first."""

    async def heads_at(self, peer: str) -> Mapping[str, Head | None]:
        """Return where each log ends, None for one whose last anchor the peer does not have."""
        ...

    async def head_at(self, peer: str, log: str) -> Head:
        """Return where a log ends; `Head(log)` for an empty or unknown one."""
        ...

    async def find_at(self, peer: str, log: str, seq: int) -> Anchor | None:
        """Return an anchor."""
        ...


async def compare_peers(
    ledger: LedgerPeers,
    report: AuditReport,
    clock: Clock,
    *,
    named: Collection[str] = (),
    patience: float = PATIENCE_SECONDS,
) -> None:
    """Add `peer_differs` and `peer_silent` to `report`, with the peer's address.

    Those of `named` are asked for one by one, as who checks a certificate does, and so are those whose ends differ in the
    lists of all ends.
    """
    answering: dict[str, Mapping[str, Head | None]] = {}
    for peer, heads in zip(
        ledger.peers, await asyncio.gather(*(_heads(ledger, peer) for peer in ledger.peers)), strict=True
    ):
        if heads is None:
            report.add("peer_silent", peer)
        else:
            answering[peer] = heads
    until = clock.monotonic() + patience
    for log in sorted({log for heads in answering.values() for log in heads} | {*named}):
        ends = {heads.get(log) for heads in answering.values()}
        if len(ends) == 1 and None not in ends and log not in named:
            continue
        while True:
            try:
                for peer in await _differing(ledger, [*answering], log, clock, until):
                    report.add("peer_differs", peer)
                break
            except _SilentPeer as silent:  # the others are compared without it, this log too
                report.add("peer_silent", silent.address)
                answering.pop(silent.address)


class _End(NamedTuple):
    head: Head
    shown: bool
    """The peer has the anchor too that its head names."""


class _SilentPeer(Exception):
    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address


async def _differing(
    ledger: LedgerPeers, peers: list[str], log: str, clock: Clock, until: float
) -> list[str]:
    """Return which of `peers` differ in a log; what one can't show an anchor for is its own fault and no goal."""
    ends = dict(zip(peers, await asyncio.gather(*(_end(ledger, peer, log) for peer in peers)), strict=True))
    goal = max((end.head.next for end in ends.values() if end.shown), default=0)
    for peer in peers:
        while ends[peer].shown and ends[peer].head.next < goal and clock.monotonic() < until:
            await clock.sleep(_PAUSE)
            ends[peer] = await _end(ledger, peer, log)
    there = [peer for peer in peers if ends[peer].shown and ends[peer].head.next >= goal]
    hashes = {peer: await _hash(ledger, peer, log, ends[peer].head, goal) for peer in there}
    right = next((each for each in hashes.values() if each is not None), None)
    return [peer for peer in peers if peer not in hashes or hashes[peer] != right]


async def _end(ledger: LedgerPeers, peer: str, log: str) -> _End:
    """Return where a peer says that a log ends."""
    try:
        head = await ledger.head_at(peer, log)
    except LedgerError:
        raise _SilentPeer(peer) from None
    if not head.next:
        return _End(head, shown=head.hash == GENESIS)
    last = await _anchor(ledger, peer, log, head.next - 1)
    return _End(head, shown=last is not None and last.seq == head.next - 1 and last.hash == head.hash)


async def _hash(ledger: LedgerPeers, peer: str, log: str, head: Head, end: int) -> str | None:
    """Return the hash of the anchor before `end` on a peer that showed its `head`: that of the head, or what it is asked for."""
    if head.next == end:
        return head.hash
    last = await _anchor(ledger, peer, log, end - 1)
    return last.hash if last is not None else None


async def _heads(ledger: LedgerPeers, peer: str) -> Mapping[str, Head | None] | None:
    try:
        return await ledger.heads_at(peer)
    except LedgerError:
        return None


async def _anchor(ledger: LedgerPeers, peer: str, log: str, seq: int) -> Anchor | None:
    try:
        return await ledger.find_at(peer, log, seq)
    except LedgerError:
        raise _SilentPeer(peer) from None
