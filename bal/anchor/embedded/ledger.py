"""The embedded ledger as the pipeline sees it: the port `Ledger` over an embedded chain."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bal.anchor.embedded.beside import ChainBeside
from bal.anchor.embedded.block import altered
from bal.anchor.embedded.blockfile import BlockReader
from bal.anchor.embedded.chain import EmbeddedChain
from bal.anchor.embedded.execution import execute
from bal.anchor.embedded.identity import OPERATOR, REGULATOR, Identity
from bal.anchor.embedded.records import CHANNEL, KIND, commitment
from bal.anchor.embedded.state import StateDamaged, Value, WorldState
from bal.anchor.embedded.verified import VerifiedChain
from bal.core.commitment import Commitment
from bal.core.errors import LedgerRefused
from bal.ports import Clock, Random
from chaincode import canonical
from chaincode.anchor import Anchor
from chaincode.chain import Head
from chaincode.errors import CODES, ContractError
from chaincode.numbers import MAX_LIST
from chaincode.state import anchor_key, head_key, record

_PAGE: Final = MAX_LIST


class EmbeddedLedger:
    """One identity's access to an embedded chain; see `bal.ports.Ledger` for what its methods promise."""

    def __init__(
        self, chain: EmbeddedChain | ChainBeside, identity: Identity = OPERATOR, *, channel: str = CHANNEL
    ) -> None:
        self.kind = KIND
        self.channel = channel
        self.organisation = identity.organisation
        self._identity = identity
        self._chain = chain

    @classmethod
    async def open(
        cls,
        directory: Path,
        key: Ed25519PrivateKey,
        clock: Clock,
        random: Random,
        identity: Identity = OPERATOR,
    ) -> Self:
        """Open or begin the ledger in `directory`, blocks signed with `key`. `LedgerAltered`, `HomeLocked`."""
        return cls(await asyncio.to_thread(EmbeddedChain.open, directory, key, clock, random), identity)

    @classmethod
    async def beside(cls, directory: Path, key: Ed25519PublicKey, identity: Identity = OPERATOR) -> Self:
        """Open the ledger for reading while another process may write it; writing raises `HomeLocked`."""
        return cls(await asyncio.to_thread(ChainBeside, directory, key), identity)

    def as_identity(self, identity: Identity = REGULATOR) -> "EmbeddedLedger":
        """Return another identity's access to the same chain."""
        return EmbeddedLedger(self._chain, identity, channel=self.channel)

    @property
    def path(self) -> Path:
        """The file of blocks."""
        return self._chain.path

    @property
    def public_key(self) -> Ed25519PublicKey:
        """The key that proves the blocks."""
        return self._chain.public_key

    @property
    def height(self) -> int:
        """How many blocks the chain has."""
        return self._chain.tip.height

    @property
    def tip(self) -> str:
        """Hex hash of the last block, 64 zeros before the first."""
        return self._chain.tip.hash

    async def register_log(self, log: str) -> None:
        """Register a log for this organisation."""
        await self._submit("RegisterLog", log)

    async def register_source(self, source: str) -> None:
        """Register a source for this organisation."""
        await self._submit("RegisterSource", source)

    async def set_rules(self, source: str, digest: str) -> None:
        """Put the digest of a source's quality rules on the ledger."""
        await self._submit("SetRules", source, digest)

    async def suspend_source(self, source: str, *, suspended: bool, why: str) -> None:
        """Suspend a source or lift this organisation's suspension of it."""
        await self._submit("SuspendSource", source, "suspend" if suspended else "resume", why)

    async def suspended(self, source: str) -> bool:
        """Tell whether any organisation suspends a source."""
        try:
            found = json.loads(self._query("GetSource", [source]))
        except ContractError as error:
            if error.code == "unknown_source":
                return False
            raise _refused(error) from None
        return bool(found["suspended_by"])

    async def anchor(self, anchors: Sequence[Anchor]) -> list[Commitment]:
        """Commit 1 to 64 consecutive anchors of one log."""
        try:
            text = canonical.encode([anchor.to_json() for anchor in anchors]).decode()
        except ContractError as error:
            raise _refused(error) from None
        records: list[dict[str, Any]] = json.loads(await self._submit("Anchor", text))
        keys = [anchor_key(str(each["log"]), int(each["seq"])) for each in records]
        return self._chain.reading(lambda state: [self._commitment(state.get(key)) for key in keys])

    async def head(self, log: str) -> Commitment | None:
        """Return the newest anchor of a log, None for an empty or unknown one."""

        def newest(state: WorldState) -> Commitment | None:
            found = state.get(head_key(log))
            end = Head.from_json(record(found.value)).next if found else 0
            return self._commitment(state.get(anchor_key(log, end - 1))) if end else None

        return self._chain.reading(newest)

    async def find(self, log: str, seq: int) -> Commitment | None:
        """Return an anchor as the ledger holds it."""

        def one(state: WorldState) -> Commitment | None:
            found = state.get(anchor_key(log, seq))
            return found and self._commitment(found)

        return self._chain.reading(one)

    async def logs(self) -> list[str]:
        """Return the logs that belong to this organisation, by name."""
        owned: list[str] = []
        after = ""
        while page := json.loads(self._query("ListLogs", [after, str(_PAGE)])):
            owned += [each["log"] for each in page if each["organisation"] == self.organisation]
            after = page[-1]["log"]
        return owned

    async def anchors(self, log: str, first: int = 0) -> AsyncIterator[Commitment]:
        """Yield the anchors of a log in sequence, those included that come while this goes on."""
        start, end = anchor_key(log, first), anchor_key(log, 10**20 - 1)
        while page := self._page(start, end):
            for _, each in page:
                yield each
            start = page[-1][0] + "\0"  # by key: an index that was altered may say any number behind it

    async def verify(self) -> None:
        """Replay the whole chain up to its present end. `LedgerAltered` names the first block that does not fit.

        The index is held against the blocks too: all answers come from it, and only its own process guards it.
        """
        tip = self._chain.tip
        chain = VerifiedChain(self.path, self.public_key, channel=self.channel, until=tip.offset)
        proven, count = iter(chain), 0
        while page := await asyncio.to_thread(lambda: list(islice(proven, _PAGE))):
            count += len(page)
            for each in page:
                if await self.find(each.anchor.log, each.anchor.seq) != each:
                    raise altered(each.block, "the index says something else of one of its anchors")
        if chain.tip != tip:
            raise altered(chain.tip.height, "it ends in another block than was written")
        # Behind it may stand what a writer is adding at this moment, and nothing else.
        await asyncio.to_thread(_exhaust, BlockReader(self.path, self.public_key, tip))
        census = self._chain.reading(WorldState.census)
        if self._chain.tip == tip and census != (count, chain.others):
            raise altered(tip.height, "the index says something else of logs and sources than the blocks do")

    async def close(self) -> None:
        """Finish what is being written and let the files go; closes the chain for every identity."""
        await self._chain.close()

    async def _submit(self, function: str, *args: str) -> bytes:
        try:
            return await self._chain.submit(self._identity, function, args)
        except ContractError as error:
            raise _refused(error) from None

    def _query(self, function: str, args: Sequence[str]) -> bytes:
        return self._chain.reading(lambda state: execute(state, function, args, self._identity, "", "")[1])

    def _page(self, start: str, end: str) -> Any:
        return self._chain.reading(
            lambda state: [(key, self._commitment(found)) for key, found in state.range(start, end, _PAGE)]
        )

    def _commitment(self, found: Value | None) -> Commitment:
        if found is None:
            raise StateDamaged
        return commitment(found.value, found.version[0], self.channel)


def _exhaust(blocks: BlockReader) -> None:
    for _ in blocks:
        pass


def _refused(error: ContractError) -> LedgerRefused:
    return LedgerRefused(error.message, code=error.code, subject="certification", remedy=CODES[error.code])
