"""Fabric as the pipeline sees it: the port `Ledger` over a channel whose peers may lag, differ and fall silent."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any, Final, Self

from bal.anchor.fabric.access import FabricAccess
from bal.anchor.fabric.channel import Channel, Committed, Stale
from bal.anchor.fabric.gateways import GatewayChannel
from bal.anchor.fabric.verification import verify_channel
from bal.anchor.records import of_record
from bal.core.commitment import Commitment
from bal.core.errors import LedgerError, LedgerOutcomeUnknown, LedgerRefused, LedgerUnavailable
from bal.ports import Clock
from bal.system import SystemClock
from chaincode import canonical
from chaincode.anchor import Anchor
from chaincode.chain import Head, check_run
from chaincode.errors import CODES, ContractError
from chaincode.numbers import MAX_LIST

KIND: Final = "fabric"
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_AGREE_SECONDS: Final = 2.0
"""How long peers that answer differently are asked again: a block takes milliseconds from one to the next."""
_BEHIND_SECONDS: Final = 5.0
"""How long a refusal that a peer behind would give must last while not all peers answer."""
_REMEMBERED: Final = 65_536
"""Transactions whose block is remembered."""
_LOOK_UPS: Final = 8
"""Blocks of transactions looked up at a time."""
_NOWHERE: Final = frozenset(("anchor_unknown", "unknown_log", "unknown_source"))
_LAGGING: Final = frozenset(("wrong_sequence", "unknown_log", "unknown_source"))
"""What a peer says that has not seen the latest blocks."""


class FabricLedger:
    """One identity's access to the contract; see `bal.ports.Ledger` for what its methods promise.

    A refusal counts only when every peer that answers gives it: one that lags refuses the next anchor as a gap.

    With `own` anchors are read from the first peer alone, for whoever trusts no other; the others only say that it is
    behind for a moment, and then it is waited for.
    """

    kind = KIND

    def __init__(self, channel: Channel, clock: Clock, *, patience: float = 30.0, own: bool = False) -> None:
        self._own = own
        self._preferred = channel.peers[0] if own else None
        self.channel = channel.name
        self.organisation = channel.organisation
        self._channel = channel
        self._clock = clock
        self._patience = patience
        self._blocks: OrderedDict[str, int] = OrderedDict()
        # A peer that is behind for good is waited for once, not in every call.
        self._agrees = True
        self._catches_up = True

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
        """Register a log for this organisation."""
        await self._change("RegisterLog", log)

    async def register_source(self, source: str) -> None:
        """Register a source for this organisation."""
        await self._change("RegisterSource", source)

    async def set_rules(self, source: str, digest: str) -> None:
        """Put the digest of a source's quality rules on the ledger."""
        await self._change("SetRules", source, digest)

    async def suspend_source(self, source: str, *, suspended: bool, why: str) -> None:
        """Suspend a source or lift this organisation's suspension of it."""
        await self._change("SuspendSource", source, "suspend" if suspended else "resume", why)

    async def suspended(self, source: str) -> bool:
        """Tell whether any organisation suspends a source."""
        answers = await self._agreed("GetSource", source)
        found = next((each for each in answers if each is not None), None)
        return found is not None and bool(found["suspended_by"])

    # --- anchors --------------------------------------------------------------------------------------------------
    async def anchor(self, anchors: Sequence[Anchor]) -> list[Commitment]:
        """Commit 1 to 64 consecutive anchors of one log."""
        try:
            check_run(anchors)
            text = canonical.encode([anchor.to_json() for anchor in anchors]).decode()
        except ContractError as error:
            raise _refused(error) from None
        committed = await self._submit("Anchor", [text], anchors=anchors)
        if isinstance(committed, list):
            return committed
        self._remember(committed.tx_id, committed.block)
        return await self._commitments(json.loads(committed.answer))

    async def head(self, log: str) -> Commitment | None:
        """Return the newest anchor of a log, None for an empty or unknown one; the furthest that any peer has."""
        end = await self._end(log)
        if self._own:
            end = await self._reached(log, end)
        return await self.find(log, end - 1) if end else None

    async def find(self, log: str, seq: int) -> Commitment | None:
        """Return an anchor as the ledger holds it; a peer that does not have it yet is not the last one asked."""
        silent: LedgerUnavailable | None = None
        for peer in (self._preferred, *self._channel.peers[1:]):
            try:
                answer = await self._channel.evaluate("GetAnchor", [log, str(seq)], peer)
                if self._own and peer != self._preferred:
                    # Another peer has it: the own one is behind, or will never say so.
                    await self._reached(log, seq + 1)
                    answer = await self._channel.evaluate("GetAnchor", [log, str(seq)], self._preferred)
            except LedgerUnavailable as error:
                if self._own and peer == self._preferred:
                    raise
                silent = silent or error
                continue
            except ContractError as error:
                if error.code in _NOWHERE:
                    continue
                raise _refused(error) from None
            return (await self._commitments([json.loads(answer)]))[0]
        if silent is not None and not self._own:
            raise silent
        return None

    async def anchors(self, log: str, first: int = 0) -> AsyncIterator[Commitment]:
        """Yield the anchors of a log in sequence, those included that come while this goes on."""
        until = self._clock.monotonic() + self._patience
        while True:
            page = await self._list(log, first)
            for commitment in await self._commitments(page):
                yield commitment
            first += len(page)
            if len(page) == MAX_LIST:
                continue
            end = await self._end(log)
            if (
                first >= (await self._reached(log, end) if self._own else end)
                or self._clock.monotonic() > until
            ):
                return
            if not page:
                await self._clock.sleep(_FIRST_PAUSE)

    async def logs(self) -> list[str]:
        """Return the logs that belong to this organisation, by name."""
        return [log for log, owner in await self.all_logs() if owner == self.organisation]

    async def all_logs(self) -> list[tuple[str, str]]:
        """Return every log of the channel with the organisation it belongs to, by name."""
        return await self._logs(None)

    async def logs_with(self, sources: Collection[str]) -> list[str]:
        """Return the logs, whosesoever, whose first or newest anchor counts one of `sources`: a source has one owner."""
        found = []
        for log, _ in await self.all_logs():
            head = await self.head(log)
            ends = [head, await self.find(log, 0)] if head is not None else []
            if any(end is not None and not end.anchor.counts.keys().isdisjoint(sources) for end in ends):
                found.append(log)
        return found

    async def verify(self) -> None:
        """Read every block of the first peer and hold its answers against them. `LedgerAltered` names the first that lies.

        Order, hashes, validity flags, endorsements of every anchor by two organisations, and that all the contract
        answers on this peer is what the blocks wrote.
        """
        await verify_channel(self._channel)

    # --- one peer, for audits -------------------------------------------------------------------------------------
    async def logs_at(self, peer: str) -> list[str]:
        """Return all logs by one peer, asked itself. `LedgerUnavailable` when it does not answer."""
        return [log for log, _ in await self._logs(peer)]

    async def head_at(self, peer: str, log: str) -> Head:
        """Return where a log ends by one peer, asked itself. `LedgerUnavailable` when it does not answer."""
        try:
            return Head.from_json(json.loads(await self._channel.evaluate("GetHead", [log], peer)))
        except ContractError as error:
            if error.code == "unknown_log":
                return Head(log)
            raise _refused(error) from None

    async def find_at(self, peer: str, log: str, seq: int) -> Anchor | None:
        """Return an anchor by one peer, asked itself. `LedgerUnavailable` when it does not answer."""
        try:
            members = json.loads(await self._channel.evaluate("GetAnchor", [log, str(seq)], peer))
            return of_record(members, KIND, self.channel, 0).anchor
        except ContractError as error:
            if error.code in _NOWHERE:
                return None
            raise _refused(error) from None

    # --- inside ---------------------------------------------------------------------------------------------------
    async def _change(self, function: str, *args: str) -> None:
        await self._submit(function, args, admin=True)

    async def _submit(
        self, function: str, args: Sequence[str], *, admin: bool = False, anchors: Sequence[Anchor] = ()
    ) -> Committed | list[Commitment]:
        """Return the valid transaction, or what stands in its stead; the same call again changes nothing on the ledger."""
        begun, pause = self._clock.monotonic(), _FIRST_PAUSE
        while True:
            late = self._clock.monotonic() - begun > self._patience
            try:
                return await self._channel.submit(function, args, admin=admin)
            except ContractError as error:
                if error.code not in _LAGGING or await self._is_so(error, function, args, begun, admin=admin):
                    raise _refused(error) from None
                if late:
                    raise _unsettled(f"peers do not agree that {error.code} is so") from None
            except Stale as error:
                standing = await self._standing(anchors)
                if standing is not None:
                    return standing
                if late:
                    raise _unsettled(str(error)) from None
            except LedgerOutcomeUnknown:
                if anchors or late:
                    raise
            await self._clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _is_so(
        self, refused: ContractError, function: str, args: Sequence[str], begun: float, *, admin: bool
    ) -> bool:
        """Tell whether every peer, asked itself, refuses a call with the same code; nothing is written by asking.

        While one is silent the others may both be behind it, for a moment: then they have to say so for longer.
        """

        async def says(peer: str) -> str | None:
            try:
                await self._channel.evaluate(function, args, peer, admin=admin)
            except ContractError as error:
                return error.code
            except LedgerUnavailable:
                return None
            return ""

        if len(self._channel.peers) == 1:
            return True
        codes = await asyncio.gather(*(says(peer) for peer in self._channel.peers))
        patient = None not in codes or self._clock.monotonic() - begun > _BEHIND_SECONDS
        return patient and {refused.code} == {*codes} - {None}

    async def _standing(self, anchors: Sequence[Anchor]) -> list[Commitment] | None:
        """Return what the ledger holds of all `anchors`, None where one is missing. `LedgerRefused` for another."""
        found = []
        for anchor in anchors:
            commitment = await self.find(anchor.log, anchor.seq)
            if commitment is None:
                return None
            if commitment.anchor.hash != anchor.hash:
                message = f"another anchor stands at {anchor.seq} of log {anchor.log}"
                raise _refused(ContractError("fork", message))
            found.append(commitment)
        return found or None

    async def _asked(self, function: str, args: Sequence[str], peer: str | None = None) -> bytes:
        try:
            return await self._channel.evaluate(function, args, peer or self._preferred)
        except ContractError as error:
            raise _refused(error) from None

    async def _logs(self, peer: str | None) -> list[tuple[str, str]]:
        known: list[tuple[str, str]] = []
        after = ""
        while page := json.loads(await self._asked("ListLogs", [after, str(MAX_LIST)], peer)):
            known += [(str(each["log"]), str(each["organisation"])) for each in page]
            after = known[-1][0]
        return known

    async def _list(self, log: str, first: int) -> list[dict[str, Any]]:
        try:
            answer = await self._channel.evaluate(
                "ListAnchors", [log, str(first), str(MAX_LIST)], self._preferred
            )
        except ContractError as error:
            if error.code == "unknown_log":
                return []
            raise _refused(error) from None
        return list(json.loads(answer))

    async def _end(self, log: str) -> int:
        """Return the sequence number a log goes on at, the furthest of what the peers say."""
        heads = [Head.from_json(each).next for each in await self._agreed("GetHead", log) if each is not None]
        return max(heads, default=0)

    async def _reached(self, log: str, end: int) -> int:
        """Return where a log ends by the first peer, once that is `end` or has not become so in time."""
        until = self._clock.monotonic() + (_BEHIND_SECONDS if self._catches_up else 0)
        while True:
            standing = (await self.head_at(self._channel.peers[0], log)).next
            if standing >= end or self._clock.monotonic() >= until:
                self._catches_up = standing >= end
                return standing
            await self._clock.sleep(_FIRST_PAUSE)

    async def _agreed(self, function: str, *args: str) -> list[dict[str, Any] | None]:
        """Return what the peers answer, once they answer alike or it is plain that they do not; None is `unknown`.

        `LedgerUnavailable` when no peer answers.
        """
        until = self._clock.monotonic() + (_AGREE_SECONDS if self._agrees else 0)
        while True:
            answers = await asyncio.gather(
                *(self._answer(peer, function, args) for peer in self._channel.peers)
            )
            said = [each for each in answers if not isinstance(each, LedgerError)]
            if not said:
                raise next(each for each in answers if isinstance(each, LedgerError))
            alike = all(each == said[0] for each in said)
            if alike or self._clock.monotonic() >= until:
                self._agrees = alike
                return said
            await self._clock.sleep(_FIRST_PAUSE)

    async def _answer(
        self, peer: str, function: str, args: Sequence[str]
    ) -> dict[str, Any] | LedgerUnavailable | None:
        try:
            answer: dict[str, Any] = json.loads(await self._channel.evaluate(function, args, peer))
        except LedgerUnavailable as error:
            return error
        except ContractError as error:
            if error.code in _NOWHERE:
                return None
            raise _refused(error) from None
        return answer

    async def _commitments(self, found: Sequence[dict[str, Any]]) -> list[Commitment]:
        """Return the contract's records with the numbers of the blocks they stand in."""
        wanted = list(dict.fromkeys(str(each["tx_id"]) for each in found))
        places = {tx_id: self._blocks[tx_id] for tx_id in wanted if tx_id in self._blocks}
        unknown = [tx_id for tx_id in wanted if tx_id not in places]
        for start in range(0, len(unknown), _LOOK_UPS):
            some = unknown[start : start + _LOOK_UPS]
            places.update(zip(some, await asyncio.gather(*map(self._block_of, some)), strict=True))
        return [of_record(each, KIND, self.channel, places[str(each["tx_id"])]) for each in found]

    async def _block_of(self, tx_id: str) -> int:
        block = await self._channel.block_of(tx_id)
        if block is None:
            raise _unsettled("no peer that answers has the block of an anchor's transaction")
        self._remember(tx_id, block)
        return block

    def _remember(self, tx_id: str, block: int) -> None:
        self._blocks[tx_id] = block
        self._blocks.move_to_end(tx_id)
        if len(self._blocks) > _REMEMBERED:
            self._blocks.popitem(last=False)


def _refused(error: ContractError) -> LedgerRefused:
    return LedgerRefused(error.message, code=error.code, subject="certification", remedy=CODES[error.code])


def _unsettled(what: str) -> LedgerUnavailable:
    return LedgerUnavailable(
        what, subject="certification", remedy="see that the peers of all organisations are up and not behind"
    )
