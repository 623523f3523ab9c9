"""Fabric as the pipeline sees it: the port `Ledger` over a channel whose peers may lag, differ and fall silent."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final, Self, TypeVar

from bal.anchor.fabric.access import FabricAccess
from bal.anchor.fabric.answers import (
    ENDS,
    LogEnds,
    read_ends,
    read_head,
    read_logs,
    read_record,
    read_records,
    read_run,
    read_source,
)
from bal.anchor.fabric.block import altered
from bal.anchor.fabric.blocks import Blocks
from bal.anchor.fabric.channel import Channel
from bal.anchor.fabric.gateways import GatewayChannel
from bal.anchor.fabric.peers import BEHIND_SECONDS, PAUSE, Peers, Question, unsettled
from bal.anchor.fabric.submission import Submission, refused
from bal.anchor.fabric.verification import Line, chained, verify_channel
from bal.anchor.records import of_record
from bal.core.commitment import Commitment
from bal.core.errors import LedgerOutcomeUnknown
from bal.ports import Clock
from bal.system import SystemClock
from chaincode import canonical
from chaincode.anchor import Anchor
from chaincode.chain import Head, check_run
from chaincode.errors import ContractError
from chaincode.numbers import MAX_LIST

KIND: Final = "fabric"
_LOGS: Final = 1 << 20
"""Most logs that a peer may list: one that goes on would do so for ever."""
_UNKNOWN: Final = frozenset(("anchor_unknown", "unknown_log", "unknown_source"))

T = TypeVar("T")


class FabricLedger:
    """One identity's access to the contract; see `bal.ports.Ledger` for what its methods promise.

    What one's own peer answers counts, and what it does not have or can't say where a majority of organisations agrees;
    a refusal, when one's own peer gives it, and longer than it may be behind: one that lags refuses the next anchor as a
    gap.

    With `own` one's own peer is believed and no other; the others only say that it is behind for a moment, and then it
    is waited for.
    """

    kind = KIND

    def __init__(self, channel: Channel, clock: Clock, *, patience: float = 30.0, own: bool = False) -> None:
        self._own = own
        self.channel = channel.name
        self.organisation = channel.organisation
        self._channel = channel
        self._clock = clock
        self._patience = patience
        self._peers = Peers(channel, clock)
        self._submission = Submission(channel, self._peers, clock, patience, self._standing)
        self._blocks = Blocks(channel, self._word)
        self._verified: dict[str, Line] = {}
        """What the blocks had of each log when they were verified last."""
        self._ahead: set[str] = set()
        """Peers one's own never came up with: it is waited for once, be it behind for good or they beyond the truth."""

    @classmethod
    async def connect(cls, access: FabricAccess, clock: Clock | None = None, *, own: bool = False) -> Self:
        """Connect to the gateways of `access`. `Misconfigured`; one that is away now is tried again later."""
        channel = await GatewayChannel.open(access)
        return cls(channel, clock or SystemClock(), patience=access.commit_seconds, own=own)

    @property
    def peers(self) -> Sequence[str]:
        """Addresses of the peers, one's own organisation's first."""
        return self._channel.peers

    async def close(self) -> None:
        """Let all connections go."""
        await self._channel.close()

    # --- registration -------------------------------------------------------------------------------------------------
    async def register_log(self, log: str) -> None:
        """Register a log for this organisation; nothing is submitted where that stands on the ledger."""
        if log not in await self.logs():
            await self._change("RegisterLog", log)

    async def register_source(self, source: str) -> None:
        """Register a source for this organisation; nothing is submitted where that stands on the ledger."""
        found = await self._word(self._source(source))
        if found is None or found["organisation"] != self.organisation:
            await self._change("RegisterSource", source)

    async def set_rules(self, source: str, digest: str) -> None:
        """Put the digest of a source's quality rules on the ledger; nothing is submitted where all peers have it."""
        wanted = (self.organisation, digest)
        answers = (await self._peers.everyone(self._source(source))).values()
        if any(each is None or (each["organisation"], each["rules"]) != wanted for each in answers):
            await self._change("SetRules", source, digest)

    async def suspend_source(self, source: str, *, suspended: bool, why: str) -> None:
        """Suspend a source or lift this organisation's suspension of it."""
        await self._change("SuspendSource", source, "suspend" if suspended else "resume", why)

    async def suspended(self, source: str) -> bool:
        """Tell whether any organisation suspends a source."""
        found = await self._peers.agreed(self._source(source))
        return found is not None and bool(found["suspended_by"])

    # --- anchors --------------------------------------------------------------------------------------------------
    async def anchor(self, anchors: Sequence[Anchor]) -> list[Commitment]:
        """Commit 1 to 64 consecutive anchors of one log."""
        try:
            check_run(anchors)
            text = canonical.encode([anchor.to_json() for anchor in anchors]).decode()
        except ContractError as error:
            raise refused(error) from None
        committed = await self._submission.run("Anchor", [text], anchors=anchors)
        if isinstance(committed, list):
            return committed
        if committed.told_by != self._peers.own:
            # Another organisation's gateway may say what it likes of a commit.
            standing = await self._standing(anchors)
            if standing is None:
                message = "another organisation's gateway says that it is committed, and no majority has it"
                raise LedgerOutcomeUnknown(
                    message, subject="certification", remedy="it is settled by reading"
                )
            return standing
        self._blocks.remember(committed.tx_id, committed.block)
        return await self._commitments(read_records(committed.answer))

    async def head(self, log: str) -> Commitment | None:
        """Return the newest anchor of a log, None for an empty or unknown one."""
        end = await self._end(log)
        return await self.find(log, end - 1) if end else None

    async def find(self, log: str, seq: int) -> Commitment | None:
        """Return an anchor as the ledger holds it."""
        question = self._question("GetAnchor", [log, str(seq)], read_record)
        found = await self._word(question)
        if found is None and self._own:
            others = await self._peers.everyone(question)
            has = {peer: seq + 1 for peer, each in others.items() if each is not None}
            if has:  # the own one is behind, or will never say so
                await self._reached(log, has)
                found = await self._word(question)
        return (await self._commitments([found]))[0] if found is not None else None

    async def anchors(self, log: str, first: int = 0) -> AsyncIterator[Commitment]:
        """Yield the anchors of a log in sequence, those included that come while this goes on.

        `LedgerUnavailable` where it is known to go on and nobody that counts lists what follows. After `verify`, read from
        the beginning, `LedgerAltered` where they are not those of the blocks.
        """
        line = self._verified.get(log) if first == 0 else None
        digest = b""
        while first < (end := await self._end(log)):
            if line is not None and self._own and end < line.head.next:
                raise altered(line.block, f"the peer says that log {log} ends before its blocks do")
            while first < end:
                count = min(end - first, MAX_LIST)
                records = await self._listed(log, first, count)
                digest = _held(line, digest, first, records)
                for commitment in await self._commitments(records):
                    yield commitment
                first += count

    async def logs(self) -> list[str]:
        """Return the logs that belong to this organisation, by name."""
        return [log for log, owner in await self.all_logs() if owner == self.organisation]

    async def all_logs(self) -> list[tuple[str, str]]:
        """Return every log of the channel with the organisation it belongs to, by name."""
        known: list[tuple[str, str]] = []
        while page := await self._word(self._logs(known[-1][0] if known else "")):
            known += page
        return known

    async def logs_with(self, sources: Collection[str]) -> list[str]:
        """Return the logs, whosesoever, whose first or newest anchor counts one of `sources`: a source has one owner.

        By one's own peer. `LedgerUnavailable` when it gives no answer that makes sense.
        """
        return [
            each.head.log
            for each in await self._ends_at(self._peers.own)
            if not all(counts.isdisjoint(sources) for counts in each.sources)
        ]

    async def verify(self) -> None:
        """Read every block of the first peer and hold its answers against them. `LedgerAltered` names the first that lies.

        Order, hashes, validity flags, endorsements of every anchor by two organisations, and that all logs, ends, anchors and
        sources the contract lists on this peer are what the blocks wrote. What `anchors` yields from then on is held against
        them too.
        """
        self._verified = await verify_channel(self._channel)

    # --- one peer, for audits -------------------------------------------------------------------------------------
    async def heads_at(self, peer: str) -> dict[str, Head | None]:
        """Return where each log ends by one peer, asked itself; None where it lacks the anchor that the head names.

        `LedgerUnavailable` when it gives no answer that makes sense.
        """
        return {each.head.log: each.head if each.shown else None for each in await self._ends_at(peer)}

    async def head_at(self, peer: str, log: str) -> Head:
        """Return where a log ends by one peer, asked itself. `LedgerUnavailable` as above."""
        return await self._head(log)(peer) or Head(log)

    async def find_at(self, peer: str, log: str, seq: int) -> Anchor | None:
        """Return an anchor by one peer, asked itself. `LedgerUnavailable` as above."""
        found = await self._question("GetAnchor", [log, str(seq)], read_record)(peer)
        return of_record(found, KIND, self.channel, 0).anchor if found is not None else None

    # --- inside ---------------------------------------------------------------------------------------------------
    async def _change(self, function: str, *args: str) -> None:
        await self._submission.run(function, args, admin=True)

    async def _standing(self, anchors: Sequence[Anchor]) -> list[Commitment] | None:
        """Return what the ledger holds of all `anchors`, None where one is missing. `LedgerRefused` for another."""
        if not anchors:
            return None
        log, first, count = anchors[0].log, anchors[0].seq, len(anchors)

        records = await self._word(self._list(log, first, count))
        if records is None:
            return None
        found = await self._commitments(records)
        for anchor, standing in zip(anchors, found, strict=True):
            if standing.anchor.hash != anchor.hash:
                raise refused(ContractError("fork", f"another anchor stands at {anchor.seq} of log {log}"))
        return found

    async def _end(self, log: str) -> int:
        """Return the sequence number a log goes on at."""
        until = self._clock.monotonic() + BEHIND_SECONDS
        while True:
            heads = await self._peers.everyone(self._head(log))
            ends = {peer: head.next if head is not None else 0 for peer, head in heads.items()}
            if self._own:
                return await self._reached(log, ends)
            end = self._peers.attested(ends)
            if end is not None:
                return end
            if self._clock.monotonic() >= until:
                raise unsettled("one's own peer is silent or behind, and no majority agrees where a log ends")
            await self._clock.sleep(PAUSE)

    async def _reached(self, log: str, ends: Mapping[str, int]) -> int:
        """Return where a log ends by the own peer, once that is as far as others say, or has not become so in time."""
        until = self._clock.monotonic() + BEHIND_SECONDS
        while True:
            standing = (await self.head_at(self._peers.own, log)).next
            further = {peer for peer, end in ends.items() if end > standing}
            self._ahead -= ends.keys() - further
            if further <= self._ahead:
                return standing
            if self._clock.monotonic() >= until:
                self._ahead |= further
                return standing
            await self._clock.sleep(PAUSE)

    async def _listed(self, log: str, first: int, count: int) -> list[dict[str, Any]]:
        """Return the records of anchors that stand on the ledger, once they can be read. `LedgerUnavailable`."""
        until = self._clock.monotonic() + self._patience
        while True:
            records = await self._word(self._list(log, first, count))
            if records is not None:
                return records
            if self._clock.monotonic() >= until:
                raise unsettled("no peer that counts lists a log to its end")
            await self._clock.sleep(PAUSE)

    async def _commitments(self, found: Sequence[dict[str, Any]]) -> list[Commitment]:
        """Return the contract's records with the numbers of the blocks they stand in."""
        places = await self._blocks.of([str(each["tx_id"]) for each in found])
        made = [of_record(each, KIND, self.channel, places[str(each["tx_id"])]) for each in found]
        for each in made:
            self._submission.saw(each.anchor.log, each.anchor.seq + 1)
        return made

    async def _ends_at(self, peer: str) -> list[LogEnds]:
        known: list[LogEnds] = []
        while page := await self._ends(known[-1].head.log if known else "")(peer):
            known += page
            if len(known) > _LOGS:
                raise unsettled("a peer lists logs without end")
        return known

    # --- questions ------------------------------------------------------------------------------------------------
    async def _word(self, question: Question[T]) -> T | None:
        return await (question(self._peers.own) if self._own else self._peers.word(question))

    def _question(self, function: str, args: Sequence[str], read: Callable[[bytes], T | None]) -> Question[T]:
        async def ask(peer: str) -> T | None:
            try:
                return read(await self._channel.evaluate(function, args, peer))
            except ContractError as error:
                if error.code in _UNKNOWN:
                    return None
                raise refused(error) from None

        return ask

    def _list(self, log: str, first: int, count: int) -> Question[list[dict[str, Any]]]:
        """Ask for all of so many anchors: a peer that has fewer has not the answer."""
        read = partial(read_run, first=first, count=count)
        return self._question("ListAnchors", [log, str(first), str(count)], read)

    def _head(self, log: str) -> Question[Head]:
        return self._question("GetHead", [log], read_head)

    def _source(self, source: str) -> Question[dict[str, Any]]:
        return self._question("GetSource", [source], read_source)

    def _logs(self, after: str) -> Question[list[tuple[str, str]]]:
        return self._question("ListLogs", [after, str(MAX_LIST)], lambda raw: read_logs(raw, after))

    def _ends(self, after: str) -> Question[list[LogEnds]]:
        return self._question("ListEnds", [after, str(ENDS)], lambda raw: read_ends(raw, after))


def _held(line: Line | None, digest: bytes, first: int, records: Sequence[dict[str, Any]]) -> bytes:
    """Return the digest of a log's records, those before number `first` and these. `LedgerAltered` where it is not the blocks'."""
    if line is None:
        return digest
    for end, record in enumerate(records, first + 1):
        digest = chained(digest, record)
        if end == line.head.next and digest != line.digest:
            raise altered(
                line.block, f"the peer lists other anchors of log {line.head.log} than its blocks have"
            )
    return digest
